import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readNpy, writeNpy } from '../../src/formats/npy.js';
import type { ConvLayer } from '../../src/importers/index.js';
import {
  type CollectOptions,
  KernelCollector,
  readDatasetDescription,
  readKernelDataset,
  writeKernelDataset,
} from '../../src/kernels/index.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-dataset-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const OPTIONS: CollectOptions = {
  depthwise: 'include',
  transposed: 'exclude',
  normalize: 'none',
  testFraction: 0.25,
  seed: 0,
};

const layer = (
  name: string,
  shape: ConvLayer['shape'],
  value: (i: number) => number,
  kind: ConvLayer['kind'] = 'conv',
): ConvLayer => ({
  name,
  kind,
  shape,
  dtype: 'float32',
  data: Float32Array.from({ length: shape[0] * shape[1] * shape[2] * shape[3] }, (_, i) => value(i)),
});

const MODELS = [
  [layer('a', [4, 3, 2, 2], (i) => i + 1), layer('b', [2, 1, 3, 1], (i) => i - 3)],
  [layer('a', [4, 3, 2, 2], (i) => i + 5), layer('c', [4, 1, 2, 2], (i) => 1000 - i * i, 'depthwise')],
];

function collect(options: Partial<CollectOptions> = {}, models = MODELS) {
  const all = { ...OPTIONS, ...options };
  const collector = new KernelCollector(all);
  const found = models.map((layers) => collector.add(layers));
  const collection = collector.finish();
  const sources = models.map((_, i) => ({
    name: `m${i}`,
    format: 'onnx',
    sha256: `${i}`.repeat(64),
    bytes: 1,
  }));
  return { found, collection, write: (out: string) => writeKernelDataset(out, collection, all, sources) };
}

test('counts by model and by size, duplicates across models', () => {
  const { found, collection } = collect();
  expect(found).toEqual([{ '2x2': 12, '3x1': 2 }, { '2x2': 16 }]);
  // model 1's layer a is model 0's moved by one slice: 11 of 12 are duplicates
  expect(collection.sizes.get('2x2')).toMatchObject({
    found: 28,
    dropped: { nonFinite: 0, constant: 0, nearZero: 0, duplicate: 11 },
  });
});

test('kinds and sizes that are not wanted are not found', () => {
  expect(collect({ depthwise: 'exclude' }).found[1]).toEqual({ '2x2': 12 });
  expect(collect({ depthwise: 'only' }).found).toEqual([{}, { '2x2': 4 }]);
  expect(collect({ sizes: ['3x1'] }).found).toEqual([{ '3x1': 2 }, {}]);
  const others = [[layer('t', [1, 2, 2, 2], (i) => i, 'transposed'), layer('p', [2, 2, 1, 1], (i) => i + 1)]];
  expect(collect({}, others).found).toEqual([{}]);
  expect(collect({ transposed: 'include', sizes: ['1x1', '2x2'] }, others).found).toEqual([
    { '1x1': 4, '2x2': 2 },
  ]);
});

test('what is written is read back, and the table says where each layer went', () => {
  const out = join(folder, 'kernels');
  const { collection, write } = collect();
  write(out);
  const read = readKernelDataset(out, '2x2');
  expect(read).toMatchObject({ name: 'kernels', train: { count: 13, h: 2, w: 2 }, test: { count: 4 } });
  expect(read.train.data).toEqual(collection.sizes.get('2x2')!.train.data);
  expect(read.sha256).toMatch(/^[0-9a-f]{64}$/);
  expect(readNpy(join(out, '2x2', 'train.npy')).shape).toEqual([13, 2, 2]);
  expect(readdirSync(folder)).toEqual(['kernels']); // nothing temporary is left

  const { layers, sizes } = readDatasetDescription(out);
  expect(sizes['2x2'].split).toEqual({ by: 'kernel', testModels: [] });
  for (const { size, model, layer: name, train, test: held } of layers) {
    const original = [...MODELS[model].find((l) => l.name === name)!.data];
    const cells = size === '2x2' ? 4 : 3;
    const { train: trainSet, test: testSet } = readKernelDataset(out, size);
    for (const [set, { offset, count }] of [[trainSet, train] as const, [testSet!, held] as const])
      for (let row = offset; row < offset + count; row++) expect(original).toContain(set.data[row * cells]); // the row's first weight is one of this layer's
  }
  expect(layers.map(({ train, test: held }) => train.count + held.count)).toEqual([2, 12, 1, 4]); // 3x1 first, then 2x2 by model
});

test('unit: every kernel has norm 1 and its norm is kept beside', () => {
  const out = join(folder, 'kernels');
  collect({ normalize: 'unit' }).write(out);
  const { train } = readKernelDataset(out, '2x2');
  const scale = readNpy(join(out, '2x2', 'train.scale.npy')).data;
  expect(scale).toHaveLength(train.count);
  for (let row = 0; row < train.count; row++) {
    const slice = [...train.data.subarray(4 * row, 4 * row + 4)];
    expect(Math.hypot(...slice)).toBeCloseTo(1, 6);
    expect(slice[0] * scale[row]).toBeCloseTo(Math.round(slice[0] * scale[row]), 3); // the weights were whole
  }
  expect(readDatasetDescription(out).layers.every(({ scale }) => scale === null)).toBe(true);
});

test('layer: each layer has root mean square 1 and its scale is recorded', () => {
  const { collection } = collect({ normalize: 'layer', testFraction: 0 });
  const first = collection.layers.find(({ size }) => size === '2x2')!;
  const rms = Math.sqrt(MODELS[0][0].data.reduce((sum, x) => sum + x * x, 0) / 48);
  expect(first.scale).toBeCloseTo(rms, 10);
  const { train } = collection.sizes.get('2x2')!;
  expect(train.data[0]).toBeCloseTo(1 / rms, 6);
});

test('the same seed gives the same files', () => {
  collect({ seed: 5 }).write(join(folder, 'one'));
  collect({ seed: 5 }).write(join(folder, 'two'));
  collect({ seed: 6 }).write(join(folder, 'other'));
  const description = (name: string) => readFileSync(join(folder, name, 'dataset.json'), 'utf8');
  expect(description('two')).toBe(description('one'));
  expect(description('other')).not.toBe(description('one'));
});

describe('a bare .npy', () => {
  const save = (shape: number[], data: number[]) => {
    const path = join(folder, 'k.npy');
    writeNpy(path, { shape, data: Float32Array.from(data) });
    return path;
  };

  test('[n, k, k] and [n, 1, k, k]', () => {
    for (const shape of [
      [2, 1, 3],
      [2, 1, 1, 3],
    ]) {
      const { train, test: held, std } = readKernelDataset(save(shape, [1, 2, 3, 4, 5, 6]), '1x3');
      expect(train).toEqual({ data: Float32Array.of(1, 2, 3, 4, 5, 6), count: 2, h: 1, w: 3 });
      expect(held).toBeUndefined();
      expect(std).toBeCloseTo(Math.sqrt(35 / 12), 6);
    }
  });

  test.each([
    ['NaN', [2, 1, 2], [1, 2, 3, Number.NaN], undefined, /kernel 1 \(counted from 0\) holds NaN/],
    ['infinity', [2, 1, 2], [Number.NEGATIVE_INFINITY, 2, 3, 4], undefined, /kernel 0 .* holds -Infinity/],
    ['no kernels', [0, 3, 3], [], undefined, /holds no kernels/],
    ['2 dimensions', [2, 2], [1, 2, 3, 4], undefined, /an array of \[2,2\]/],
    ['2 channels', [1, 2, 1, 1], [1, 2], undefined, /an array of \[1,2,1,1\]/],
    ['another size', [2, 1, 2], [1, 2, 3, 4], '7x7', /no kernels of 7x7/],
  ])('%s is an input error', (_, shape, data, size, message) => {
    const path = save(shape, data);
    expect(() => readKernelDataset(path, size)).toThrow(message);
    expect(() => readKernelDataset(path, size)).toThrow(expect.objectContaining({ code: 'INPUT' }));
  });
});

describe('a folder', () => {
  const failure = (path: string, size?: string) => {
    try {
      readKernelDataset(path, size);
    } catch (error) {
      const { code, message, hint } = error as { code: string; message: string; hint: string };
      return `${code} ${message.replace(folder, '')} — ${hint}`;
    }
    return 'no error';
  };

  test('errors say which sizes there are', () => {
    const out = join(folder, 'kernels');
    collect().write(out);
    expect(failure(out, '7x7')).toBe('INPUT /kernels: no kernels of 7x7 — it has 3x1, 2x2');
    expect(failure(out)).toBe('INPUT /kernels: kernels of 3x1, 2x2 — choose one with --size');
    expect(failure(folder, '7x7')).toMatch(/^INPUT : no kernel dataset/);
    expect(failure(join(folder, 'nowhere'))).toMatch(/^INPUT \/nowhere: no such file/);
  });

  test('a changed array and a changed description are noticed', () => {
    const out = join(folder, 'kernels');
    collect().write(out);
    writeNpy(join(out, '2x2', 'test.npy'), { shape: [1, 2, 2], data: Float32Array.of(1, 2, 3, 4) });
    expect(failure(out, '2x2')).toMatch(/test.npy: not the file that dataset.json describes/);
    writeFileSync(join(out, 'dataset.json'), '{"format": "dwp-kernels", "version": 2}');
    expect(failure(out, '2x2')).toMatch(/dataset.json: not a valid kernel dataset \(version/);
  });

  test('an existing folder is not overwritten', () => {
    const out = join(folder, 'kernels');
    collect().write(out);
    expect(() => collect().write(out)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});
