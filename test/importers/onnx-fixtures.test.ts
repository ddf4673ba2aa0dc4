// One network in every form of ONNX that onnx and onnxruntime's quantisation write (scripts/write-onnx-fixtures.py):
// the same kernels, bit by bit, and the same arithmetic as onnxruntime's.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { onnxruntime } from '../../src/engine/onnxruntime.js';
import type { LayerKind } from '../../src/importers/index.js';
import { type LoadedLayer, loadModel } from './loaded.js';

const ort = await onnxruntime();

interface Stored {
  shape: number[];
  /** Base64 of float32. */
  data: string;
}
type LayerName = 'stem' | 'grouped' | 'depthwise' | 'up' | 'wide';
type Norm = Record<'gamma' | 'beta' | 'mean' | 'variance', Stored> & { epsilon: number };
interface FixtureFile {
  /** Key of `kernels`. */
  kernels: string;
  dtype: string;
  /** Of single layers, where they differ. */
  dtypes?: Partial<Record<LayerName, string>>;
  /** Where BatchNormalizations stand: after the stem unless said otherwise. */
  norm?: false | 'each';
  /** Key of the kernels with the normalisation in them. */
  folded?: string;
  /** Key of the kernels before quantisation, and how far apart two quantised values are at most. */
  original?: string;
  steps?: Record<LayerName, number>;
  /** Of the output, relative to its largest value, where activations are quantised. */
  tolerance?: number;
  /** Whether onnxruntime has the operators for it. */
  run?: false;
  /** Shapes of layers beside the network's. */
  also?: number[][];
}

const fixtures = fileURLToPath(new URL('../fixtures/onnx/', import.meta.url));
const expected: {
  image: Stored;
  norm: Norm;
  kernels: Record<string, Record<LayerName, Stored & { kind: LayerKind }>>;
  files: Record<string, FixtureFile>;
} = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8'));

const LAYERS: readonly LayerName[] = ['stem', 'grouped', 'depthwise', 'up', 'wide'];
const GROUPS: Partial<Record<LayerName, number>> = { grouped: 2, depthwise: 6, up: 2 };
const floats = ({ data }: Stored) => new Float32Array(new Uint8Array(Buffer.from(data, 'base64')).buffer);

/** Layers by the network's names: no two have kernels of the same shape. */
function byName(layers: readonly LoadedLayer[]): Map<LayerName, LoadedLayer> {
  const found = new Map<LayerName, LoadedLayer>();
  for (const name of LAYERS) {
    const shape = expected.kernels.float32[name].shape.join();
    const layer = layers.find((layer) => layer.shape.join() === shape);
    if (layer) found.set(name, layer);
  }
  return found;
}

describe.each(Object.entries(expected.files))('%s', (file, fixture) => {
  const path = join(fixtures, file);
  const kernels = expected.kernels[fixture.kernels];
  let model: Awaited<ReturnType<typeof loadModel>>;
  let layers: Map<LayerName, LoadedLayer>;
  beforeAll(async () => {
    model = await loadModel(path);
    layers = byName(model.layers);
  });

  test('the same layers, each once', () => {
    expect(model.skipped).toEqual([]);
    expect(model.layers.map(({ kind, shape, dtype }) => `${kind} ${shape} ${dtype}`).sort()).toEqual(
      [
        ...LAYERS.map((name) => {
          const { kind, shape } = kernels[name];
          return `${kind} ${shape} ${fixture.dtypes?.[name] ?? fixture.dtype}`;
        }),
        ...(fixture.also ?? []).map((shape) => `conv ${shape} ${fixture.dtype}`),
      ].sort(),
    );
  });

  test('the same kernels, bit by bit', () => {
    for (const name of LAYERS)
      expect([name, ...(layers.get(name)?.data ?? [])]).toEqual([name, ...floats(kernels[name])]);
  });

  if (fixture.original)
    test('kernels at most half a quantisation step from the original ones', () => {
      for (const name of LAYERS) {
        // half a step, and the rounding of the quantiser's own division
        const limit = (fixture.steps![name] / 2) * (1 + 1e-4);
        const original = floats(expected.kernels[fixture.original!][name]);
        const furthest = layers
          .get(name)!
          .data.reduce((a, x, i) => Math.max(a, Math.abs(x - original[i])), 0);
        expect(furthest, name).toBeLessThanOrEqual(limit);
      }
    });

  if (fixture.run !== false)
    test('onnxruntime computes what the kernels do', async () => {
      const session = await ort.InferenceSession.create(path, { logSeverityLevel: 3 });
      const image = new ort.Tensor('float32', floats(expected.image), expected.image.shape);
      const [output] = Object.values(await session.run({ image }));
      const theirs = output.data as Float32Array;
      const ours = computed(layers, fixture.norm);
      expect(ours).toHaveLength(theirs.length);
      const largest = ours.reduce((a, x) => Math.max(a, Math.abs(x)), 0);
      // without quantised activations, float32 sums of at most 36 products in each of five layers
      const limit = (fixture.tolerance ?? 1e-5) * largest;
      for (const [i, x] of ours.entries()) expect(Math.abs(x - theirs[i])).toBeLessThan(limit);
    });

  test('folded: kernels times γ / √(σ² + ε)', async () => {
    const folded = byName((await loadModel(path, { foldBatchNorm: true })).layers);
    for (const name of LAYERS) {
      const { shape } = kernels[name];
      const size = shape[1] * shape[2] * shape[3];
      const normalised = fixture.norm === 'each' || (fixture.norm !== false && name === 'stem');
      const wanted = fixture.folded // as NumPy has it
        ? floats(expected.kernels[fixture.folded][name])
        : floats(kernels[name]).map((x, i) => (normalised ? x * factor(Math.floor(i / size)) : x));
      const { data } = folded.get(name)!;
      for (const [i, x] of wanted.entries())
        expect(Math.abs(data[i] - x)).toBeLessThanOrEqual(1e-6 * Math.abs(x));
    }
  });
});

test('layers have the names of their nodes, in the order of the graph', async () => {
  const { layers, producer } = await loadModel(join(fixtures, 'float32-opset17.onnx'));
  expect(layers.map(({ name }) => name)).toEqual(LAYERS);
  expect(producer).toBe('onnx');
});

test('weights that cannot be had are left out, with the reason', async () => {
  const { layers, skipped } = await loadModel(join(fixtures, 'left-out.onnx'));
  expect(layers.map(({ name }) => name)).toEqual(['filled', 'product']); // computed from constants
  expect(Object.fromEntries(skipped.map(({ layer, reason }) => [layer, reason]))).toEqual({
    sparse: 'its weights are stored sparse, which is not read',
    float8: 'its weights are float8e4m3fn, not float',
    random: expect.stringMatching(/computed by the node .* \("RandomNormal"\), which is not evaluated: save/),
    input: expect.stringMatching(/depend on ".*", an input of the graph/),
  });
});

function factor(channel: number): number {
  const { gamma, variance, epsilon } = expected.norm;
  return floats(gamma)[channel] / Math.sqrt(floats(variance)[channel] + epsilon);
}

interface Image {
  channels: number;
  h: number;
  w: number;
  /** [channels, h, w] */
  data: Float32Array | Float64Array;
}

/** The network's result from the kernels alone. */
function computed(layers: ReadonlyMap<LayerName, LoadedLayer>, norm: FixtureFile['norm']): Float64Array {
  const [, channels, h, w] = expected.image.shape;
  let value: Image = { channels, h, w, data: floats(expected.image) };
  for (const name of LAYERS) {
    const layer = layers.get(name)!;
    value =
      name === 'up' ? painted(value, layer, GROUPS[name] ?? 1, 2) : slid(value, layer, GROUPS[name] ?? 1);
    if (norm === 'each' || (norm !== false && name === 'stem')) normalise(value);
  }
  return Float64Array.from(value.data);
}

function normalise({ h, w, data }: Image): void {
  const [mean, beta] = [floats(expected.norm.mean), floats(expected.norm.beta)];
  for (let i = 0; i < data.length; i++) {
    const channel = Math.floor(i / (h * w));
    data[i] = (data[i] - mean[channel]) * factor(channel) + beta[channel];
  }
}

/** Cross-correlation without padding, with kernels [out, in of group, kh, kw]. */
function slid(image: Image, { shape, data }: LoadedLayer, groups: number): Image {
  const [out, inputs, kh, kw] = shape;
  const [h, w] = [image.h - kh + 1, image.w - kw + 1];
  const result = { channels: out, h, w, data: new Float64Array(out * h * w) };
  for (let o = 0; o < out; o++) {
    const first = Math.floor(o / (out / groups)) * inputs;
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++)
        for (let i = 0; i < inputs; i++)
          for (let dy = 0; dy < kh; dy++)
            for (let dx = 0; dx < kw; dx++)
              result.data[(o * h + y) * w + x] +=
                image.data[((first + i) * image.h + y + dy) * image.w + x + dx] *
                data[((o * inputs + i) * kh + dy) * kw + dx];
  }
  return result;
}

/** Transposed convolution: every input value adds its kernel, scaled, to the output. */
function painted(image: Image, { shape, data }: LoadedLayer, groups: number, stride: number): Image {
  const [out, inputs, kh, kw] = shape;
  const [h, w] = [(image.h - 1) * stride + kh, (image.w - 1) * stride + kw];
  const result = { channels: out, h, w, data: new Float64Array(out * h * w) };
  for (let o = 0; o < out; o++) {
    const first = Math.floor(o / (out / groups)) * inputs;
    for (let i = 0; i < inputs; i++)
      for (let y = 0; y < image.h; y++)
        for (let x = 0; x < image.w; x++)
          for (let dy = 0; dy < kh; dy++)
            for (let dx = 0; dx < kw; dx++)
              result.data[(o * h + y * stride + dy) * w + x * stride + dx] +=
                image.data[((first + i) * image.h + y) * image.w + x] *
                data[((o * inputs + i) * kh + dy) * kw + dx];
  }
  return result;
}
