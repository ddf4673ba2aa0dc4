// Datasets of whole filters: which layers give them, how they are cleaned, stored, read and derived.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readNpy, writeNpy } from '../../src/formats/npy.js';
import type { ConvLayer } from '../../src/importers/index.js';
import {
  type CollectOptions,
  collectKernels,
  deriveDataset,
  diffDatasets,
  examineDatasetSize,
  openStored,
  parseSize,
  readDatasetDescription,
  readKernelDataset,
} from '../../src/kernels/index.js';
import { filesOf, opener } from './in-memory.js';

const value = (name: string) => (_: unknown, i: number) => Math.sin(7.3 * i + name.length);
const layer = (name: string, out: number, inputs: number, change?: (x: Float32Array) => void): ConvLayer => ({
  name,
  kind: 'conv',
  shape: [out, inputs, 3, 2],
  dtype: 'float32',
  read: () => {
    const data = Float32Array.from({ length: out * inputs * 6 }, value(name));
    change?.(data);
    return data;
  },
});
const MODELS = [
  [
    layer('first', 12, 3, (x) => {
      x.copyWithin(2 * 18, 18, 2 * 18); // filter 2 repeats filter 1
      for (let i = 0; i < 18; i++) x[3 * 18 + i] = -x[4 * 18 + Math.floor(i / 6) * 6 + 5 - (i % 6)]; // a turned negative
      x[5 * 18] = Number.NaN;
      x.fill(0, 6 * 18, 6 * 18 + 6); // one empty channel is no empty filter
    }),
    layer('inside', 4, 6),
    layer('even', 5, 4),
  ],
];
const OPTIONS: CollectOptions = {
  depthwise: 'include',
  transposed: 'exclude',
  normalize: 'none',
  testFraction: 0.25,
  seed: 0,
  filters: 3,
};

let folder: string;
const at = (name: string) => join(folder, name);
const collect = (name: string, options: Partial<CollectOptions>) =>
  collectKernels(filesOf(MODELS), at(name), { ...OPTIONS, ...options }, {}, { open: opener(MODELS) });
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-filters-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('filters of layers with just so many inputs, or groups of all with a multiple', async () => {
  const { sizes } = await collect('exact', {});
  expect(sizes.get('3x3x2')).toMatchObject({ found: 12, dropped: { nonFinite: 1, duplicate: 1 } });
  const { train } = readKernelDataset(at('exact'), '3x3x2');
  expect(train).toMatchObject({ h: 3, w: 2, channels: 3 });
  expect(readNpy(join(at('exact'), '3x3x2', 'train.npy')).shape).toEqual([train.count, 3, 3, 2]);
  const grouped = await collect('grouped', { grouped: true });
  expect(grouped.sizes.get('3x3x2')?.found).toBe(12 + (4 * 6) / 3);
  const pairs = await collect('pairs', { filters: 2, grouped: true, testFraction: 0 });
  expect(pairs.sizes.get('2x3x2')?.found).toBe((4 * 6) / 2 + (5 * 4) / 2);
  // row by row what lies side by side in the layer
  expect([...readKernelDataset(at('pairs'), '2x3x2').train.data.subarray(0, 24)]).toEqual([
    ...(await MODELS[0][1].read()).subarray(0, 24),
  ]);
  expect(pairs.description?.layers.map(({ layer: name }) => name)).toEqual(['inside', 'even']);
});

test('turned and negated filters are the same, all channels alike', async () => {
  const { sizes } = await collect('symmetric', { duplicates: 'symmetric' });
  expect(sizes.get('3x3x2')?.dropped.duplicate).toBe(2);
});

test('slices of the same rows, on the same side of the split', async () => {
  const whole = readKernelDataset(at('exact'), '3x3x2');
  const apart = readKernelDataset(at('exact'), '3x2');
  for (const side of ['train', 'test'] as const) {
    expect(apart[side]!.count).toBe(3 * whole[side]!.count);
    expect(apart[side]!.channels).toBeUndefined();
    expect(apart[side]!.data).toEqual(whole[side]!.data);
  }
  expect(() => readKernelDataset(at('exact'), '2x3x2')).toThrow(/no kernels of 2x3x2/);
  writeNpy(at('filters.npy'), { data: new Float32Array(24).fill(0.5), shape: [2, 2, 3, 2] });
  expect(readKernelDataset(at('filters.npy')).train).toMatchObject({ count: 2, channels: 2 });
  expect(readKernelDataset(at('filters.npy'), '3x2').train.count).toBe(4);
});

test('normalised filters come back; datasets of them are derived, compared and examined', async () => {
  await collect('unit', { normalize: 'unit' });
  const [a, b] = [at('exact'), at('unit')].map((path) => readKernelDataset(path, '3x3x2').train.data);
  b.forEach((x, i) => {
    expect(x).toBeCloseTo(a[i], 5);
  });
  const stored = openStored(at('exact'));
  await deriveDataset([stored], at('derived'), { seed: 0, maxPerLayer: 5 });
  const description = readDatasetDescription(at('derived'));
  const [[size, { train, test: held }]] = Object.entries(description.sizes);
  expect([size, train.rows + (held?.rows ?? 0)]).toEqual(['3x3x2', 5]);
  const difference = await diffDatasets(stored, openStored(at('derived')));
  expect(difference.kernels['3x3x2']).toEqual({ first: 10, second: 5, common: 5 });
  const { all } = examineDatasetSize(at('exact'), '3x3x2', readDatasetDescription(at('exact')));
  expect(all.kernels).toBe(30); // slice by slice
});

test('sizes', () => {
  expect(parseSize('3x7x5')).toEqual({ channels: 3, h: 7, w: 5 });
  expect(parseSize('1x7x5')).toEqual({ h: 7, w: 5 });
  expect(() => parseSize('2x3x7x7')).toThrow(/is not a kernel size/);
});
