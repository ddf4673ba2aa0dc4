// Configurations: which options a method has, names of earlier versions, and YAML with and without headings.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { families } from '../../src/priors/index.js';
import { parseRunConfig } from '../../src/runs/config.js';
import { readRunConfig, settingsOfFile, withHeadings, withoutHeadings } from '../../src/runs/config-file.js';

const folder = mkdtempSync(join(tmpdir(), 'dwp-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function parsed(given: Record<string, unknown>) {
  const notes: string[] = [];
  return { config: parseRunConfig(given, { note: (line) => notes.push(line) }), notes };
}

test('a method has its own options and defaults', () => {
  expect(parseRunConfig({})).toMatchObject({ method: 'variational', prior: 'dwp', posterior: 'mean-field' });
  expect(parseRunConfig({})).not.toHaveProperty('leapfrog');
  const point = parseRunConfig({ method: 'point' });
  expect(point).toMatchObject({ prior: 'none', weightDecay: 0 });
  expect(point).not.toHaveProperty('temperature');
  expect(parseRunConfig({ method: 'chains' })).toMatchObject({ sampler: 'hmc', leapfrog: 20 });
});

test.each<[Record<string, unknown>, RegExp]>([
  [
    { method: 'point', samples: 3 },
    /^--samples cannot be used with --method point: it is an option of variational and chains/,
  ],
  [{ leapfrog: 3 }, /^--leapfrog cannot be used with --method variational: it is an option of chains$/],
  [{ method: 'point', prior: 'dwp' }, /^--prior dwp cannot be used with --method point$/],
  [{ method: 'best' }, /^--method "best": must be one of variational, point, chains/],
  [{ steps: 0 }, /^--steps 0: must be at least 1$/],
  [{ priorPaths: ['x'] }, /^unknown option --prior-paths$/],
  [{ prior: 'best' }, /^--prior "best": /],
  [{ adaptPrior: ['colour'] }, /^--adapt-prior \["colour"\]: 0: /],
])('%o is refused', (given, message) => {
  expect(() => parseRunConfig(given)).toThrow(message);
});

test('--prior none says the method, and what the others have is of no effect', () => {
  const { config, notes } = parsed({ prior: 'none', samples: 3, weightDecay: 1 });
  expect(config).toMatchObject({ method: 'point', weightDecay: 1 });
  expect(notes).toEqual(['--samples has no effect with --prior none']);
  expect(() => parsed({ prior: 'none', colour: 3 })).toThrow('unknown option --colour');
});

test('settings that methods share are passed over where a method has no use for them', () => {
  const base = { temperature: 1, leapfrog: 3, steps: 7 };
  expect(parseRunConfig({ prior: 'none' }, { base })).toMatchObject({ method: 'point', steps: 7 });
  expect(() => parseRunConfig({}, { base: { ...base, colour: 1 } })).toThrow('unknown option --colour');
});

test('names of earlier versions: every family is dwp, a sampler is a method', () => {
  for (const name of [...families.keys(), 'external', 'fitted', 'dwp']) {
    const { config, notes } = parsed({ prior: name });
    expect(config.prior).toBe('dwp');
    expect(notes).toHaveLength(['dwp', 'fitted'].includes(name) ? 0 : 1);
  }
  const { config, notes } = parsed({ posterior: 'sgld', cycles: 2, prior: 'standard-normal' });
  expect(config).toMatchObject({ method: 'chains', sampler: 'sgld', cycles: 2 });
  expect(notes).toEqual(['--posterior sgld is --method chains --sampler sgld now']);
});

test('headings come and go', () => {
  const flat = parseRunConfig({ method: 'chains', priorPath: ['a'], examples: 7, dataDir: 'd', data: 'x' });
  const grouped = withHeadings(flat);
  expect(Object.keys(grouped)).toEqual(['data', 'network', 'prior', 'method', 'training', 'output']);
  expect(grouped.data).toMatchObject({ name: 'x', dataDir: 'd', examples: 7 });
  expect(grouped.method).toMatchObject({ name: 'chains', sampler: 'hmc' });
  const { dataDir, stepSize: _, ...rest } = flat;
  expect(withoutHeadings(grouped)).toEqual({ dataDir, ...JSON.parse(JSON.stringify(rest)) });
  expect(() => withoutHeadings({ steps: 3, training: { steps: 4 } })).toThrow('steps is given twice');
  expect(withoutHeadings({ data: 'mnist', prior: 'dwp' })).toEqual({ data: 'mnist', prior: 'dwp' });
});

test('a flat configuration of an earlier version, whose options all stood in it', () => {
  const earlier = {
    ...{
      data: 'mnist',
      examples: 50,
      prior: 'mixture',
      priorPath: ['p'],
      posterior: 'mean-field',
      leapfrog: 20,
    },
    ...{ weightDecay: 0, chains: 2, cycles: 4, temperature: 0.1, components: 3, steps: 9 },
  };
  const run = (name: string, settings: object) => {
    const path = mkdtempSync(join(folder, name));
    writeFileSync(join(path, 'config.yaml'), stringify(settings));
    return readRunConfig(path);
  };
  const read = run('variational', earlier);
  expect(read).toMatchObject({ method: 'variational', prior: 'dwp', components: 3, denseStart: 0.1 });
  expect(read).not.toHaveProperty('leapfrog');
  expect(run('point', { ...earlier, prior: 'none' })).toMatchObject({ method: 'point', components: 3 });
  expect(run('chains', { ...earlier, posterior: 'sghmc' })).toMatchObject({ method: 'chains', cycles: 4 });
  expect(() => run('unknown', { ...earlier, colour: 1 })).toThrow(/config\.yaml: unknown option colour/);
  expect(() => run('wrong', { ...earlier, steps: 'x' })).toThrow(/config\.yaml: steps "x": /);
  expect(settingsOfFile({ ...earlier, colour: 1 })).toMatchObject({ prior: 'dwp', colour: 1 });
  expect(settingsOfFile(earlier)).not.toHaveProperty('leapfrog');
});
