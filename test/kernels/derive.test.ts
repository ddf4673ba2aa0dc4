import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeNpy } from '../../src/formats/npy.js';
import type { ConvLayer } from '../../src/importers/index.js';
import {
  type CollectOptions,
  collectKernels,
  type DeriveOptions,
  deriveDataset,
  diffDatasets,
  openStored,
  readDatasetDescription,
  readKernelDataset,
} from '../../src/kernels/index.js';
import { filesOf, opener, sha256 } from './in-memory.js';

const layer = (name: string, count: number, salt: number, h = 3, w = 3): ConvLayer => ({
  name,
  kind: 'conv',
  shape: [count, 1, h, w],
  dtype: 'float32',
  read: () => Float32Array.from({ length: count * h * w }, (_, i) => Math.sin(7.3 * i + 100 * salt)),
});

/** b has two models of a's, one of them with other layers, and one of its own that repeats a layer of a's. */
const A = [[layer('one', 20, 1), layer('two', 10, 2, 5, 5)], [layer('one', 30, 3)]];
const B = [[layer('three', 8, 4)], [layer('one', 30, 3)], [layer('copy', 20, 1), layer('own', 12, 5, 1, 7)]];

const OPTIONS: CollectOptions = {
  depthwise: 'include',
  transposed: 'exclude',
  normalize: 'none',
  testFraction: 0.2,
  seed: 0,
};
let folder: string;
const at = (name: string) => join(folder, name);
let made = 0;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-derive-'));
  const about = (path: string) => ({
    licence: 'MIT',
    parts: path === 'm1' ? [{ name: 'm1.data', sha256: sha256('data'), bytes: 5 }] : [],
  });
  await collectKernels(filesOf(A), at('a'), OPTIONS, {}, { open: opener(A, about) });
  await collectKernels(filesOf(B), at('b'), OPTIONS, {}, { open: opener(B, about) });
  await collectKernels(
    filesOf(A),
    at('unit'),
    { ...OPTIONS, normalize: 'unit' },
    {},
    { open: opener(A, about) },
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

async function derive(names: string[], options: Partial<DeriveOptions> = {}) {
  const datasets = names.map((name) => openStored(at(name)));
  const out = at(`out${made++}`);
  try {
    const collection = await deriveDataset(datasets, out, { seed: 0, ...options });
    return { out, collection };
  } finally {
    for (const dataset of datasets) dataset.close();
  }
}

/** Rows as text, sorted. */
const rowsOf = ({ data, h, w, count }: { data: Float32Array; h: number; w: number; count: number }) =>
  Array.from({ length: count }, (_, i) => data.subarray(i * h * w, (i + 1) * h * w).join()).sort();

test('merge: every kernel once, on the side where it was, sources with digests, parts and licence', async () => {
  const { out, collection } = await derive(['a', 'b'], { duplicates: 'exact' });
  const [a, b, merged] = [at('a'), at('b'), out].map((path) => readKernelDataset(path, '3x3'));
  const ofA = new Set([...rowsOf(a.train), ...rowsOf(a.test!)]);
  const fresh = (rows: string[]) => rows.filter((row) => !ofA.has(row));
  expect(rowsOf(merged.train)).toEqual([...rowsOf(a.train), ...fresh(rowsOf(b.train))].sort());
  expect(rowsOf(merged.test!)).toEqual([...rowsOf(a.test!), ...fresh(rowsOf(b.test!))].sort());
  expect(collection.sizes.get('3x3')).toMatchObject({ found: 108, dropped: { duplicate: 50, overLimit: 0 } });
  const { sources, layers, derivedFrom, sizes } = readDatasetDescription(out);
  expect(Object.keys(sizes).sort()).toEqual(['1x7', '3x3', '5x5']);
  expect(sources.map(({ sha256: digest, licence, parts }) => [digest, licence, parts?.length])).toEqual([
    [sha256('m0'), 'MIT', undefined],
    [sha256('m1'), 'MIT', 1],
    [sha256('m2'), 'MIT', undefined],
  ]);
  expect(derivedFrom!.map(({ name, sizes }) => [name, sizes['3x3'].found])).toEqual([
    ['a', 50],
    ['b', 58],
  ]);
  // the row ranges are those of the layers that they are said to be of
  const source = new Map([...A.flat(), ...B.flat()].map((l) => [l.name, l]));
  for (const { layer: name, model, size, train, shape } of layers) {
    const original = model === 1 ? A[1][0] : source.get(name)!;
    expect(shape).toEqual(name === 'one' && model === 0 ? A[0][0].shape : original.shape);
    if (name === 'one' || train.count === 0) continue;
    const { data, h, w } = readKernelDataset(out, size).train;
    const values = new Set(original.read() as Float32Array);
    for (let i = train.offset * h * w; i < (train.offset + train.count) * h * w; i++)
      expect(values.has(data[i])).toBe(true);
  }
});

test('split anew: by kernel and by model, the same kernels', async () => {
  const all = (path: string) => {
    const { train, test: held } = readKernelDataset(path, '3x3');
    return [...rowsOf(train), ...(held ? rowsOf(held) : [])].sort();
  };
  const { out } = await derive(['a'], { splitBy: 'kernel', testFraction: 0.5, seed: 3 });
  expect(all(out)).toEqual(all(at('a')));
  expect(readDatasetDescription(out).sizes['3x3']).toMatchObject({
    split: { by: 'kernel' },
    train: { rows: 25 },
    test: { rows: 25 },
  });
  const { out: byModel } = await derive(['a'], { splitBy: 'model', testFraction: 0.4, seed: 3 });
  expect(readDatasetDescription(byModel).sizes['3x3']).toMatchObject({
    split: { by: 'model', testModels: [0] },
    train: { rows: 30 },
    test: { rows: 20 },
  });
  const { out: none } = await derive(['a'], { splitBy: 'kernel', testFraction: 0, seed: 3 });
  expect(readKernelDataset(none, '3x3').test).toBeUndefined();
});

test('subset: of layers, and so many of each', async () => {
  const { out } = await derive(['a'], { wants: ({ record }) => record.layer === 'two' });
  expect(Object.keys(readDatasetDescription(out).sizes)).toEqual(['5x5']);
  expect(readKernelDataset(out).train.data).toEqual(readKernelDataset(at('a'), '5x5').train.data);
  const { collection } = await derive(['a'], { maxPerModel: 15 });
  expect(collection.sizes.get('3x3')).toMatchObject({ found: 50, dropped: { overLimit: 20 } });
  const nothing = await derive(['a'], { wants: () => false });
  expect(nothing.collection.description).toBeUndefined();
  expect(readdirSync(folder).filter((name) => nothing.out.endsWith(name))).toEqual([]);
});

test('normalisation stays, and is undone as before', async () => {
  const { out } = await derive(['unit'], { wants: ({ record }) => record.size === '3x3' });
  expect(readDatasetDescription(out).options.normalize).toBe('unit');
  const [before, after] = [at('unit'), out].map((path) => readKernelDataset(path, '3x3').train.data);
  for (const [i, x] of after.entries()) expect(Math.abs(x / before[i] - 1)).toBeLessThan(2 ** -21);
  const { out: mixed } = await derive(['unit', 'b']);
  expect(readDatasetDescription(mixed).options.normalize).toBe('none');
});

test('diff: sources, layers and kernels', async () => {
  const [a, b] = [openStored(at('a')), openStored(at('b'))];
  const same = await diffDatasets(a, openStored(at('a')));
  expect(same).toMatchObject({
    sources: { onlyFirst: [], onlySecond: [], common: 2 },
    layers: { onlyFirst: [], onlySecond: [], changed: [], same: 3 },
    kernels: { '3x3': { first: 50, second: 50, common: 50 }, '5x5': { first: 10, second: 10, common: 10 } },
  });
  const { sources, layers, kernels } = await diffDatasets(a, b);
  expect(sources).toEqual({ onlyFirst: [], onlySecond: ['models/m2'], common: 2 });
  expect(layers.same).toBe(1);
  expect(layers.onlyFirst.map(({ layer: name }) => name).sort()).toEqual(['one', 'two']);
  expect(layers.onlySecond.map(({ layer: name }) => name).sort()).toEqual(['copy', 'own', 'three']);
  // the kernels of m0's layer `one` are in b, too, as those of m2's `copy`
  expect(kernels['3x3']).toEqual({ first: 50, second: 58, common: 50 });
  expect(kernels['1x7']).toEqual({ first: 0, second: 12, common: 0 });
  const { out } = await derive(['a'], { maxPerLayer: 25 });
  const less = await diffDatasets(a, openStored(out));
  expect(less.layers.changed).toEqual([
    { source: 'models/m1', layer: 'one', size: '3x3', first: 30, second: 25 },
  ]);
  expect(less.kernels['3x3'].common).toBe(45);
});

test('arrays that are not those of the description are refused', async () => {
  const { out } = await derive(['a']);
  writeNpy(join(out, '3x3', 'train.npy'), { shape: [1, 3, 3], data: new Float32Array(9) });
  expect(() => openStored(out)).toThrow(/train.npy: not the file/);
  const { out: other } = await derive(['a']);
  const text = readFileSync(join(other, 'dataset.json'), 'utf8');
  writeFileSync(join(other, 'dataset.json'), text.replaceAll('"offset": 0', '"offset": 4000'));
  expect(() => openStored(other)).toThrow(/has rows that/);
});
