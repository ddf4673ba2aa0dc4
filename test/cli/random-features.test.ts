// dwp compare with a plan of kind random-features as a process: its rows, its page, and what it refuses.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { randomVae } from '../train/tiny.js';
import { writeTestPrior } from './prior-folder.js';
import { dwp } from './run.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-features-'));
  for (const k of [7, 5]) writeTestPrior(join(folder, `vae-${k}`), randomVae({ h: k, w: k }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const plan = (name: string, changes: object = {}) => {
  const path = join(folder, name);
  const base = { prior: 'none', channels: [2, 3], samples: 2, validation: 40, threads: 1, denseDecay: 1 };
  const methods = [{ label: 'samples', priorPath: ['vae-7', 'vae-5'] }, { label: 'Glorot' }];
  writeFileSync(
    path,
    stringify({ kind: 'random-features', base, methods, examples: [20], splits: [100, 101], ...changes }),
  );
  return path;
};

test('rows of every method, a page, and no run folders', async () => {
  const out = join(folder, 'out');
  const { code, out: stdout } = await dwp('compare', plan('plan.yaml'), '--out', out, '--format', 'json');
  expect(code).toBe(0);
  const { rows, report, sentence } = JSON.parse(stdout);
  expect(rows).toMatchObject([
    { label: 'samples', init: 'samples', examples: 20, runs: 2 },
    { label: 'Glorot', init: 'xavier', examples: 20, runs: 2 },
  ]);
  for (const { accuracy, oneDraw, mean, nll } of rows) {
    for (const value of [...accuracy.values, ...oneDraw.values]) {
      expect(value).toBeGreaterThan(0);
      expect(value).toBeLessThanOrEqual(1);
    }
    expect(mean).toBe(accuracy.mean);
    expect(nll.mean).toBeGreaterThan(0);
  }
  expect(sentence).toContain('With 20 examples (mean of 2 splits), samples got');
  expect(JSON.parse(readFileSync(join(out, 'comparison.json'), 'utf8')).rows).toEqual(rows);
  expect(readFileSync(report, 'utf8')).toContain('Priors over kernels');
  expect(existsSync(join(out, 'runs'))).toBe(false);

  const { out: table } = await dwp('compare', plan('plan.yaml'), '--out', join(folder, 'again'));
  expect(table).toMatch(/one draw \(%\).*ensemble \(%\)/);
  expect(table).toContain(`${(100 * rows[0].accuracy.mean).toFixed(1)} ±`); // the same numbers again
});

test.each([
  [
    'no kernels to draw from',
    { methods: [{ label: 'x', init: 'filters' }] },
    2,
    /--init filters needs --filters/,
  ],
  [
    'engines that differ',
    { methods: [{ label: 'x' }, { label: 'y', threads: 2 }] },
    2,
    /method "y".*same dataset and engine/,
  ],
  ['another kind', { kind: 'random' }, 2, /kind/],
])('%s', async (name, changes, exit, message) => {
  const { code, err } = await dwp(
    'compare',
    plan(`${name}.yaml`, changes),
    '--out',
    join(folder, name),
    '-q',
  );
  expect(code).toBe(exit);
  expect(err).toMatch(message);
  expect(existsSync(join(folder, name))).toBe(false);
});
