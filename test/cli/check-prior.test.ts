// dwp check-prior as a real process: a prior that fits, one that does not, and what it says of the kernels it is given.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeNpy } from '../../src/formats/npy.js';
import { normal } from '../engine/reference.js';
import { dwp } from './run.js';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
const write = (name: string, shape: number[], scale = 1, first?: number) => {
  const data = normal(7, ...shape).data.map((x) => scale * x) as Float32Array<ArrayBuffer>;
  if (first !== undefined) data[0] = first;
  writeNpy(at(name), { shape, data });
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-check-'));
  write('kernels.npy', [400, 3, 3], 0.1);
  write('wide.npy', [60, 3, 3], 0.3);
  write('few.npy', [10, 3, 3]);
  write('other.npy', [60, 5, 5]);
  write('nan.npy', [60, 3, 3], 1, Number.NaN);
  const { code, err } = await dwp(
    'fit-prior',
    at('kernels.npy'),
    '--family',
    'gaussian',
    '--out',
    at('prior'),
  );
  expect(code, err).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const check = (kernels: string, ...args: string[]) =>
  dwp('check-prior', at('prior'), '--kernels', at(kernels), '--permutations', '99', ...args);

test('of its own file, the kernels that the fit held out are taken: not told apart; and drawn', async () => {
  const { code, out, err } = await check('kernels.npy', '--html', at('a.html'), '--format', 'json');
  expect(code, err).toBe(0);
  const found = JSON.parse(out);
  expect(found).toMatchObject({
    n: 80,
    family: 'gaussian',
    size: '3x3',
    kernels: { from: 'held out by the fit', seen: 'no' },
    html: at('a.html'),
  });
  expect(found.warning).toBeUndefined();
  expect(found.sentence).toContain('held-out kernels');
  for (const name of ['norm', 'lagOne', 'spectrum', 'covariance', 'mmd2'])
    expect(found[name].pValue).toBeGreaterThan(0.005);
  expect(found.nearestTrain.nearer).toBeLessThan(0.3);
  expect(readFileSync(at('a.html'), 'utf8')).toContain(found.sentence);
  const again = await check('kernels.npy', '--html', at('a.html'));
  expect([again.code, again.out]).toEqual([2, '']);
});

test('kernels three times as wide: told apart, and a loud note that they may have been seen', async () => {
  const { code, out, err } = await check('wide.npy');
  expect(code).toBe(0);
  expect(out).toMatch(/^Note: .*has no test kernels, so all of its kernels are taken/);
  expect(out).toMatch(/Yes: samples can be told from these kernels, by norms \(p = 0\.010\)/);
  expect(err).toContain('warning:');
});

test('a prior fitted on part of this file that nobody can find again: seen', async () => {
  const path = at('prior', 'prior.json');
  const about = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...about, source: { ...about.source, train: 5 } }));
  const { out } = await check('kernels.npy', '--format', 'json', '-n', '40');
  expect(JSON.parse(out)).toMatchObject({ kernels: { from: 'all kernels', seen: 'yes' } });
  writeFileSync(path, JSON.stringify(about));
});

test.each([
  ['few.npy', 'too few'],
  ['other.npy', 'no kernels of 3x3'],
  ['nan.npy', 'NaN'],
  ['missing.npy', 'missing.npy'],
])('%s: one line, nothing written', async (kernels, message) => {
  const { code, out, err } = await check(kernels, '--html', at('none.html'));
  expect([code, out]).toEqual([3, '']);
  expect(err).toContain(message);
  expect(err.trim().split('\n')).toHaveLength(1);
  expect(existsSync(at('none.html'))).toBe(false);
});
