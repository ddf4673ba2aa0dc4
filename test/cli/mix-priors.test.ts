// dwp mix-priors as a process: what it writes, and what it refuses.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readPriorFolder } from '../../src/prior-folders/prior-folder.js';
import { isotropicNormal } from '../../src/priors/index.js';
import { writeTestPrior } from './prior-folder.js';
import { dwp } from './run.js';

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-mix-'));
  writeTestPrior(at('a'), isotropicNormal({ h: 3, w: 3 }, {}, 1));
  writeTestPrior(at('b'), isotropicNormal({ h: 3, w: 3 }, {}, 2));
  writeTestPrior(at('filters'), isotropicNormal({ channels: 2, h: 3, w: 3 }, {}, 1));
  for (const [name, roles] of [
    ['a', ['first']],
    ['b', ['first', 'middle']],
  ] as const) {
    const path = join(at(name), 'prior.json');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), layers: { roles } }));
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('weights are shares, and the roles are those of all of them', async () => {
  const args = ['mix-priors', at('a'), at('b'), '--weights', '3', '1', '--out', at('mixed')];
  const { code, out, err } = await dwp(...args, '--format', 'json');
  expect(code, err).toBe(0);
  expect(JSON.parse(out)).toEqual({
    out: at('mixed'),
    size: '3x3',
    components: [
      { path: at('a'), family: 'normal', weight: 0.75 },
      { path: at('b'), family: 'normal', weight: 0.25 },
    ],
  });
  const { prior, about } = readPriorFolder(at('mixed'));
  expect(prior.family).toBe('mixed');
  expect(about.layers).toEqual({ roles: ['first', 'middle'] });
});

test('slices and whole filters are refused in one line, and nothing is written', async () => {
  const { code, err } = await dwp('mix-priors', at('a'), at('filters'), '--out', at('no'));
  expect(code).toBe(2);
  expect(err.trim().split('\n')).toHaveLength(1);
  expect(err).toContain('has 3x3');
  expect(err).toContain('has 2x3x3');
  expect(existsSync(at('no'))).toBe(false);
});
