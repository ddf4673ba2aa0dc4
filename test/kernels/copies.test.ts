// Near copies: pairs across edges of the grid, models that are copies, and their sides.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RandomStream, seedKey } from '../../src/engine/random.js';
import type { ConvLayer } from '../../src/importers/index.js';
import { cleanAlone } from '../../src/kernels/clean.js';
import {
  type CollectOptions,
  collectKernels,
  deriveDataset,
  leakWarning,
  openStored,
  readKernelDataset,
} from '../../src/kernels/index.js';
import { filesOf, opener } from './in-memory.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-copies-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function random(length: number, seed: number): Float32Array {
  const stream = new RandomStream(seedKey(seed));
  return Float32Array.from({ length }, () => stream.uniform() - 0.5);
}

/** Rounded to the 11 bits of float16's significand. */
const half = (values: Float32Array) =>
  values.map((x) => {
    const step = 2 ** (Math.floor(Math.log2(Math.abs(x))) - 10);
    return Math.round(x / step) * step;
  });

test.each([
  [3, 3],
  [5, 5],
  [7, 7],
])('near finds every float16 copy of kernels of %ix%i, and nothing else', (h, w) => {
  const data = random(2000 * h * w, h);
  const both = new Float32Array(2 * data.length);
  both.set(data);
  both.set(half(data), data.length);
  expect(cleanAlone(both, h, w, { duplicates: 'near' }).duplicate).toBe(2000);
  expect(cleanAlone(data, h, w, { duplicates: 'near' }).duplicate).toBe(0);
});

const layer = (data: Float32Array, dtype = 'float32'): ConvLayer => ({
  name: `conv`,
  kind: 'conv',
  shape: [data.length / 36, 4, 3, 3],
  dtype,
  read: () => data,
});

const OPTIONS: CollectOptions = {
  depthwise: 'include',
  transposed: 'exclude',
  normalize: 'none',
  testFraction: 0.3,
  seed: 1,
};

const nearlyEqual = (a: Float32Array, b: Float32Array) => a.every((x, i) => Math.abs(x - b[i]) < 0.02);

test('a copy in float16 is skipped for the original; a later checkpoint stays on the same side', async () => {
  const first = random(36 * 40, 1);
  const later = first.map((x, i) => x + 0.004 * Math.sin(i));
  const models = [
    [layer(half(first), 'float16')],
    [layer(first)],
    [layer(later)],
    [layer(random(36 * 40, 2))],
  ];
  const out = join(folder, 'kernels');
  const {
    skipped,
    models: used,
    leaks,
  } = await collectKernels(filesOf(models), out, OPTIONS, {}, { open: opener(models) });
  expect(skipped).toEqual([{ path: 'm0', reason: 'a copy of m1 in float16' }]);
  expect(used.map(({ path }) => path)).toEqual(['m1', 'm2', 'm3']);
  expect(leaks).toEqual([]);
  const { train, test: held } = readKernelDataset(out, '3x3');
  const rows = (data: Float32Array) =>
    Array.from({ length: data.length / 9 }, (_, i) => data.subarray(9 * i, 9 * i + 9));
  expect(held!.count).toBeGreaterThan(50);
  for (const row of rows(held!.data))
    expect(rows(train.data).some((other) => nearlyEqual(row, other))).toBe(false);
});

test('models that are copies of one another are on one side of a split by model', async () => {
  const bases = [1, 2, 3, 4, 5, 6].map((seed) => random(36 * 20, seed));
  const models = bases.flatMap((base) => [
    [layer(base)],
    [layer(base.map((x, i) => x + 0.003 * Math.cos(i)))],
  ]);
  const out = join(folder, 'families');
  const { description } = await collectKernels(filesOf(models), out, OPTIONS, {}, { open: opener(models) });
  const { by, testModels } = description!.sizes['3x3'].split;
  expect(by).toBe('model');
  expect(testModels.length).toBeGreaterThan(0);
  for (const model of testModels) expect(testModels).toContain(model ^ 1);
});

/** The same filters in another order. */
const shuffled = (data: Float32Array, by: number) => {
  const count = data.length / 36;
  return Float32Array.from(data, (_, i) => data[36 * ((Math.floor(i / 36) * by) % count) + (i % 36)]);
};

test('copies in other rows leak, and are named with their percent; unrelated models do not', async () => {
  const base = random(36 * 41, 5);
  const collect = async (name: string, second: Float32Array) => {
    const models = [[layer(base)], [layer(second)]];
    const out = join(folder, name);
    return (await collectKernels(filesOf(models), out, OPTIONS, {}, { open: opener(models) })).leaks;
  };
  const leaks = await collect('permuted', half(shuffled(base, 3)));
  expect(leaks).toMatchObject([{ size: '3x3', models: expect.arrayContaining(['models/m0', 'models/m1']) }]);
  expect(leaks[0].kernels).toBeGreaterThan(0.5 * leaks[0].test);
  expect(leakWarning(leaks[0])).toMatch(/ of \d+ test kernels of 3x3 \(\d\d %\) .*m0.*--duplicates near/);
  expect(await collect('unrelated', random(36 * 41, 6))).toEqual([]);
});

test('datasets of one model that were split apart leak when they are merged as they were', async () => {
  const base = random(36 * 41, 7);
  const other = half(base);
  const paths = [base, other].map((_, i) => join(folder, `apart${i}`));
  for (const [i, data] of [base, other].entries()) {
    const models = [[layer(data), layer(random(36 * 3, 8 + i))]];
    await collectKernels(filesOf(models), paths[i], { ...OPTIONS, seed: i }, {}, { open: opener(models) });
  }
  const datasets = paths.map(openStored);
  const merge = (name: string, options = {}) =>
    deriveDataset(datasets, join(folder, name), { seed: 1, ...options });
  const { leaks } = await merge('merged');
  expect(leaks).toHaveLength(1);
  expect(leaks[0].kernels).toBeGreaterThan(0.3 * leaks[0].test);
  expect((await merge('near', { duplicates: 'near' })).leaks).toEqual([]);
  for (const dataset of datasets) dataset.close();
});
