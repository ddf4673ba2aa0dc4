// One network in every format of Keras, written by Keras itself (scripts/write-keras-fixtures.py): the same kernels,
// bit by bit, and the same arithmetic.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LayerKind } from '../../src/importers/index.js';
import { type LoadedLayer, loadModel } from './loaded.js';

interface Stored {
  shape: number[];
  data: string;
}
interface Network {
  files: string[];
  kernels: Record<string, Stored & { kind: LayerKind }>;
  checks?: Record<
    string,
    { input: Stored; output: Stored; kernels: string[]; groups?: number; strides?: [number, number] }
  >;
}

const fixtures = fileURLToPath(new URL('../fixtures/keras/', import.meta.url));
const networks: Network[] = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8'));
const floats = ({ data }: Stored) => new Float32Array(new Uint8Array(Buffer.from(data, 'base64')).buffer);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-keras-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function load(file: string) {
  const path = join(folder, file);
  writeFileSync(path, gunzipSync(readFileSync(join(fixtures, `${file}.gz`))));
  return loadModel(path);
}

/** Names as files without a configuration have them. */
const RENAMED: Record<string, Record<string, string>> = {
  'keras2-weights.hdf5': { 'inner/block/leaf': 'inner/leaf' },
  'keras2.weights.h5': {
    plain: 'conv2d',
    grouped: 'conv2d_1',
    depth: 'depthwise_conv2d',
    'apart/depthwise_kernel': 'separable_conv2d/depthwise_kernel',
    'apart/pointwise_kernel': 'separable_conv2d/pointwise_kernel',
    two_up: 'conv2d_transpose',
    'inner/deep': 'functional/conv2d',
    'inner/block/leaf': 'functional/sequential/conv2d',
  },
};

/** The network that a file belongs to, and the file's kernels by name. */
const cases = networks.flatMap((network) => network.files.map((file) => [file, network] as const));

describe.each(cases)('%s', (file, { kernels, checks = {} }) => {
  let model: Awaited<ReturnType<typeof load>>;
  let layers: Map<string, LoadedLayer>;
  beforeAll(async () => {
    model = await load(file);
    const names = new Map(Object.entries(RENAMED[file] ?? {}).map(([name, stored]) => [stored, name]));
    for (const layer of model.layers) layer.name = names.get(layer.name) ?? layer.name;
    layers = new Map(model.layers.map((layer) => [layer.name, layer]));
  });

  test('the same layers, each once, and no optimiser slots', () => {
    expect(model.skipped).toEqual([]);
    expect(model.layers.map(({ name, kind, shape }) => ({ name, kind, shape })).sort(byName)).toEqual(
      Object.entries(kernels)
        .map(([name, { kind, shape }]) => ({ name, kind, shape }))
        .sort(byName),
    );
  });

  test('the same kernels, bit by bit', () => {
    for (const [name, kernel] of Object.entries(kernels))
      expect([name, ...(layers.get(name)?.data ?? [])]).toEqual([name, ...floats(kernel)]);
  });

  test.each(Object.keys(checks))('%s computes what Keras does', (name) => {
    const check = checks[name];
    const used = check.kernels.map((kernel) => layers.get(kernel)!);
    let result = toImage(check.input);
    for (const [i, layer] of used.entries())
      result =
        layer.kind === 'transposed'
          ? transposed(result, layer, check.strides ?? [1, 1])
          : convolved(result, layer, i === 0 ? (check.groups ?? 1) : 1);
    const wanted = toImage(check.output);
    expect([result.h, result.w, result.channels]).toEqual([wanted.h, wanted.w, wanted.channels]);
    // float32 sums of at most 30 products of order 1
    for (const [j, value] of wanted.data.entries())
      expect(Math.abs(result.data[j] - value)).toBeLessThan(2e-5);
  });
});

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);

interface Image {
  h: number;
  w: number;
  channels: number;
  /** [h, w, channels] */
  data: Float32Array | Float64Array;
}

function toImage(stored: Stored): Image {
  const [h, w, channels] = stored.shape;
  return { h, w, channels, data: floats(stored) };
}

/** Cross-correlation without padding, with kernels [out, in of group, kh, kw]. */
function convolved(image: Image, { shape, data }: LoadedLayer, groups: number): Image {
  const [out, inner, kh, kw] = shape;
  const [h, w] = [image.h - kh + 1, image.w - kw + 1];
  const result = { h, w, channels: out, data: new Float64Array(h * w * out) };
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++)
      for (let o = 0; o < out; o++) {
        const first = Math.floor(o / (out / groups)) * inner;
        let sum = 0;
        for (let i = 0; i < inner; i++)
          for (let dy = 0; dy < kh; dy++)
            for (let dx = 0; dx < kw; dx++)
              sum +=
                image.data[((y + dy) * image.w + x + dx) * image.channels + first + i] *
                data[((o * inner + i) * kh + dy) * kw + dx];
        result.data[(y * w + x) * out + o] = sum;
      }
  return result;
}

/** Every input value adds its kernel, scaled, to the output. */
function transposed(image: Image, { shape, data }: LoadedLayer, [sy, sx]: [number, number]): Image {
  const [out, inner, kh, kw] = shape;
  const [h, w] = [(image.h - 1) * sy + kh, (image.w - 1) * sx + kw];
  const result = { h, w, channels: out, data: new Float64Array(h * w * out) };
  for (let y = 0; y < image.h; y++)
    for (let x = 0; x < image.w; x++)
      for (let o = 0; o < out; o++)
        for (let i = 0; i < inner; i++)
          for (let dy = 0; dy < kh; dy++)
            for (let dx = 0; dx < kw; dx++)
              result.data[((y * sy + dy) * w + x * sx + dx) * out + o] +=
                image.data[(y * image.w + x) * image.channels + i] *
                data[((o * inner + i) * kh + dy) * kw + dx];
  return result;
}
