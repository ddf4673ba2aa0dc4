// Kernels of a dataset network by network: how many of each, of which layers, in which units.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seedKey } from '../../src/engine/index.js';
import type { ConvLayer } from '../../src/importers/index.js';
import { collectKernels, heStd, type NetworkOptions, readNetworks } from '../../src/kernels/index.js';
import { normal } from '../engine/reference.js';
import { opener } from './in-memory.js';

const layer = (name: string, out: number, inputs: number, std: number, salt: number): ConvLayer => ({
  name,
  kind: 'conv',
  shape: [out, inputs, 3, 3],
  dtype: 'float32',
  read: () => normal(salt, out * inputs, 9).data.map((x) => std * x) as Float32Array,
});

/** Two networks of the first source, one of the second, and one of the third with too few kernels. */
const MODELS = [
  [layer('first', 20, 1, 1, 700), layer('last', 25, 8, 0.5, 701)],
  [layer('first', 300, 2, 2, 702)],
  [layer('first', 5, 10, 3, 703), layer('middle', 2, 5, 4, 704), layer('last', 40, 10, 5, 705)],
  [layer('first', 7, 1, 1, 706)],
];
const NAMES = ['a/one.onnx', 'a/two.onnx', 'b/deep/only.onnx', 'c/small.onnx'];

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-networks-'));
  const options = { depthwise: 'include', transposed: 'exclude', testFraction: 0.2, seed: 0 } as const;
  const files = NAMES.map((name, i) => ({ path: `m${i}`, name }));
  for (const normalize of ['none', 'layer'] as const)
    await collectKernels(
      files,
      join(folder, normalize),
      { ...options, normalize },
      {},
      { open: opener(MODELS) },
    );
});
afterAll(() => rmSync(folder, { recursive: true }));

const read = (options: Partial<NetworkOptions> = {}, dataset = 'none') =>
  readNetworks(join(folder, dataset), {
    ...{ by: 'networks', most: 10_000, units: 'weights', key: seedKey(1) },
    ...options,
  });
const counts = (options: Partial<NetworkOptions>) =>
  Object.fromEntries(read(options).networks.map(({ name, kernels }) => [name, kernels.count]));
const rms = (data: Float32Array) => Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);

test('train and test kernels of every network, those with hardly any left out and named', () => {
  expect(counts({})).toEqual({ 'a/one.onnx': 220, 'a/two.onnx': 600, 'b/deep/only.onnx': 460 });
  expect(read().tooFew).toEqual(['c/small.onnx']);
  expect(read().size).toEqual({ h: 3, w: 3 });
});

test('so many of each at most, spread over its networks and over the layers of each', () => {
  expect(counts({ most: 90 })).toEqual({ 'a/one.onnx': 90, 'a/two.onnx': 90, 'b/deep/only.onnx': 90 });
  const { networks } = read({ most: 90 });
  const deep = [...networks[2].depths];
  // the middle layer has no more than 10
  expect([0, 0.5, 1].map((depth) => deep.filter((d) => d === depth).length)).toEqual([40, 10, 40]);
  expect([...networks[0].depths].filter((d) => d === 0)).toHaveLength(20);
  const sources = read({ by: 'sources', most: 300 });
  expect(sources.networks.map(({ name, kernels }) => [name, kernels.count])).toEqual([
    ['a', 300],
    ['b', 300],
  ]);
  const inFirst = [...sources.networks[0].depths].filter((d) => d === 0).length;
  expect(inFirst).toBe(20 + 150); // of the network with two layers, and of the one with one
});

test('a name is that of a network or of a source; others are an error that lists the sources', () => {
  expect(Object.keys(counts({ names: ['a', 'b/deep/only.onnx'] }))).toEqual([
    'a/one.onnx',
    'a/two.onnx',
    'b/deep/only.onnx',
  ]);
  expect(Object.keys(counts({ names: ['a/two.onnx'] }))).toEqual(['a/two.onnx']);
  expect(() => read({ names: ['a', 'd'] })).toThrow(/no network or source "d" with kernels of 3x3/);
  expect(() => read({ size: '5x5' })).toThrow(/no kernels of 5x5/);
});

test("units: the weights, those of He's start, or of the layer's root mean square; their logarithms bring weights back", () => {
  for (const dataset of ['none', 'layer']) {
    const [one, two, deep] = read({}, dataset).networks;
    expect(rms(one.kernels.data.subarray(0, 180))).toBeCloseTo(1, 0);
    expect(rms(two.kernels.data)).toBeCloseTo(2, 0);
    const weights = deep.kernels.data;
    for (const units of ['he', 'layer'] as const) {
      const scaled = read({ units }, dataset).networks[2];
      scaled.kernels.data.forEach((x, i) => {
        expect(x * Math.exp(scaled.logUnits[Math.floor(i / 9)])).toBeCloseTo(weights[i], 4);
      });
    }
    const he = read({ units: 'he' }, dataset).networks[2];
    expect(Math.exp(he.logUnits[0])).toBeCloseTo(Math.sqrt(2 / (10 * 9)), 6);
    expect(heStd([2, 5, 3, 3])).toBeCloseTo(Math.sqrt(2 / 45), 12);
    for (const { kernels } of read({ units: 'layer' }, dataset).networks)
      expect(rms(kernels.data)).toBeCloseTo(1, 3);
  }
});

test('which kernels are taken depends on the seed, and not on other networks', () => {
  const first = read({ most: 50 }).networks[2];
  expect(read({ most: 50, names: ['b'] }).networks[0].kernels.data).toEqual(first.kernels.data);
  expect(read({ most: 50, key: seedKey(2) }).networks[2].kernels.data).not.toEqual(first.kernels.data);
});
