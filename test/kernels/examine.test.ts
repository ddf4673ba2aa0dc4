import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inputError } from '../../src/errors.js';
import type { ConvLayer } from '../../src/importers/index.js';
import {
  collectKernels,
  examineDatasetSize,
  examineKernels,
  examineModel,
  powerSpectrum,
  QualityAccumulator,
  readDatasetDescription,
} from '../../src/kernels/index.js';
import { filesOf, opener } from './in-memory.js';

/** Weights that all differ: 1, 2, 3, … scaled, every second one negative. */
const layer = (name: string, out: number, inputs: number, scale = 1, h = 3, w = 3): ConvLayer => ({
  name,
  kind: 'conv',
  shape: [out, inputs, h, w],
  dtype: 'float32',
  read: () =>
    Float32Array.from({ length: out * inputs * h * w }, (_, i) => (i % 2 ? -scale : scale) * (i + 1)),
});

let folder: string;
const options = {
  depthwise: 'include',
  transposed: 'exclude',
  normalize: 'none',
  testFraction: 0.25,
  seed: 0,
} as const;
beforeAll(async () => {
  folder = join(mkdtempSync(join(tmpdir(), 'dwp-examine-')), 'kernels');
  const models = [[layer('a', 4, 5), layer('b', 2, 2, 3, 1, 7)], [layer('c', 6, 2, 2)]];
  await collectKernels(filesOf(models), folder, options, {}, { open: opener(models) });
});
afterAll(() => rmSync(join(folder, '..'), { recursive: true }));

test('a model: layers one after the other, sizes with everything of them, damaged layers with their reason', async () => {
  const damaged: ConvLayer = {
    ...layer('broken', 2, 2),
    read: () => {
      throw inputError('m.onnx: truncated');
    },
  };
  const seen: string[] = [];
  const { layers, sizes, skipped } = await examineModel(
    [layer('a', 4, 5), damaged, layer('b', 2, 2, 3, 1, 7), layer('c', 6, 2, 2)],
    (_, { name }) => {
      seen.push(name);
    },
  );
  expect(seen).toEqual(['a', 'broken', 'b', 'c']);
  expect(layers.map(({ layer }) => layer.name)).toEqual(['a', 'b', 'c']);
  expect(skipped).toEqual([{ layer: 'broken', reason: 'm.onnx: truncated' }]);
  expect([...sizes.keys()]).toEqual(['1x7', '3x3']);
  const group = sizes.get('3x3')!;
  expect(group).toMatchObject({ layers: 2, kernels: 20 + 12 });
  expect(group.sample.count).toBe(32);
  const [a, , c] = layers.map(({ quality }) => quality.orthogonality!);
  expect(group.orthogonality).toBeCloseTo((4 * a + 6 * c) / 10, 12);
  await expect(
    examineModel([{ ...layer('x', 1, 1), read: () => Promise.reject(new TypeError('a bug')) }]),
  ).rejects.toThrow(TypeError);
});

test('a dataset: rows go to the source they are of', () => {
  const { all, sources } = examineDatasetSize(folder, '3x3', readDatasetDescription(folder));
  expect(all).toMatchObject({ kernels: 32, orthogonality: null });
  expect([...sources].map(([model, { kernels, layers }]) => ({ model, kernels, layers }))).toEqual([
    { model: 0, kernels: 20, layers: 1 },
    { model: 1, kernels: 12, layers: 1 },
  ]);
  // source 1 has the even numbers of `layer`, source 0 all of them
  expect(sources.get(1)!.sample.data.every((x) => x % 2 === 0)).toBe(true);
  expect(sources.get(0)!.sample.data.some((x) => x % 2 !== 0)).toBe(true);
});

test('a dataset whose layers lie outside its arrays is an error', () => {
  const description = readDatasetDescription(folder);
  const bad = (change: object) => ({
    ...description,
    layers: description.layers.map((layer, i) => (i === 0 ? { ...layer, ...change } : layer)),
  });
  const [{ size }] = description.layers;
  expect(() => examineDatasetSize(folder, size, bad({ train: { offset: 1e9, count: 3 } }))).toThrow(
    /3 kernels of .* at 1000000000/,
  );
  expect(() => examineDatasetSize(folder, size, bad({ model: 7 }))).toThrow(
    /names source 7, but there are 2/,
  );
});

test('samples are spread over all kernels', () => {
  const count = 50_000;
  const data = Float32Array.from({ length: count * 2 }, (_, i) => Math.floor(i / 2) + (i % 2) / 2);
  const { sample, kernels } = examineKernels({ data, count, h: 1, w: 2 });
  expect(kernels).toBe(count);
  expect(sample.count).toBe(20_000);
  const rows = Array.from({ length: sample.count }, (_, i) => sample.data[2 * i]);
  expect(new Set(rows.slice(1).map((row, i) => row - rows[i]))).toEqual(new Set([2, 3]));
});

test('of huge kernels fewer are kept', () => {
  const count = 50;
  const { sample } = examineKernels({ data: new Float32Array(count * 500 * 500), count, h: 500, w: 500 });
  expect(sample.count).toBe(16); // of 250,000 weights each
});

test('memory is that of the size, not of the number of kernels, and huge kernels cost nothing', () => {
  const huge = new QualityAccumulator(2000, 2000);
  huge.add(new Float32Array(4_000_000).map((_, i) => i));
  expect(huge.finish()).toMatchObject({ kernels: 1, varianceEntropy: null, directions: null });
});

test('power spectrum: white noise is 1 everywhere, a constant is in the middle, stripes where they belong', () => {
  const of = (kernels: number[][], h: number, w: number) => {
    const quality = new QualityAccumulator(h, w);
    quality.add(Float32Array.from(kernels.flat()));
    return powerSpectrum(quality.finish().directions!.mean, h, w, 5);
  };
  const basis = Array.from({ length: 9 }, (_, i) => Array.from({ length: 9 }, (_, j) => (i === j ? 1 : 0)));
  for (const row of of(basis, 3, 3)) for (const power of row) expect(power).toBeCloseTo(1, 12);
  const constant = of([new Array(9).fill(2)], 3, 3);
  expect(constant[2][2]).toBeCloseTo(9, 12);
  expect(Math.max(...constant.flat())).toBe(constant[2][2]);
  // alternating columns: half a cycle per weight horizontally, none vertically
  const stripes = of([[1, -1, 1, 1, -1, 1]], 2, 3);
  expect(stripes[2][0]).toBeCloseTo(6, 12);
  expect(stripes[2][4]).toBeCloseTo(6, 12);
  expect(stripes[0][2]).toBeLessThan(1);
});
