// One network in every form that PyTorch, Flax, safetensors and NumPy save it in (scripts/write-torch-fixtures.py).
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { loadModel } from './loaded.js';

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/torch/${name}`, import.meta.url));

interface Stored {
  shape: number[];
  values: number[];
}
interface Expected {
  layers: {
    name: string;
    kind: string;
    groups: number;
    stride: number;
    /** As PyTorch has it: [out, in of a group, h, w], for a transposed convolution [in, out of a group, h, w]. */
    stored: [number, number, number, number];
    weights: number[];
    bias: number[];
    input: Stored;
    output: Stored;
  }[];
  views: Record<string, Stored>;
  normalised: Record<string, number[]>;
}
const expected: Expected = JSON.parse(readFileSync(fixture('expected.json'), 'utf8'));

/** [out, in of a group, h, w] of each layer, by its name. */
const weights = new Map(
  expected.layers.map(({ name, kind, groups, stored, weights }) => {
    if (kind !== 'transposed') return [name, { kind, shape: stored, data: Float32Array.from(weights) }];
    const [inputs, out, h, w] = [stored[0] / groups, stored[1], stored[2], stored[3]];
    const data = new Float32Array(weights.length);
    for (let g = 0; g < groups; g++)
      for (let c = 0; c < inputs; c++)
        for (let o = 0; o < out; o++)
          for (let i = 0; i < h * w; i++)
            data[((g * out + o) * inputs + c) * h * w + i] =
              weights[((g * inputs + c) * out + o) * h * w + i];
    return [name, { kind, shape: [groups * out, inputs, h, w], data }];
  }),
);

const FLAX: Record<string, string> = {
  'params.stem': 'stem',
  'params.Conv_0': 'body.1',
  'params.Conv_1': 'body.2',
  'params.ConvTranspose_0': 'up',
};

test.each([
  ['zip.pt', 'float32'],
  ['legacy.pt', 'float32'],
  ['protocol4.pt', 'float32'],
  ['float16.pt', 'float16'],
  ['bfloat16.pth', 'bfloat16'],
  ['float64.bin', 'float64'],
  ['channels-last.pt', 'float32'],
  ['big-endian.pt', 'float32'],
  ['script.pt', 'float32'],
  ['checkpoint.ckpt', 'float32'],
  ['checkpoint-legacy.ckpt', 'float32'],
  ['torch.safetensors', 'float32'],
  ['bfloat16.safetensors', 'bfloat16'],
  ['model.safetensors.index.json', 'float32'],
  ['stored.npz', 'float32'],
  ['deflated.npz', 'float64'],
  ['fortran.npz', 'float16'],
  ['flax.safetensors', 'float32'],
  ['flax-unsaid.safetensors', 'float32'],
  ['flax.npz', 'float32'],
])('%s has the same kernels as all others', async (file, dtype) => {
  const { layers, skipped } = await loadModel(fixture(file));
  const averages = file.startsWith('checkpoint') ? 6 : 0;
  expect(
    skipped.filter(({ layer, reason }) => /^model_ema/.test(layer) && /average/.test(reason)),
  ).toHaveLength(averages);
  expect(skipped).toHaveLength(averages);
  const named = layers.map(({ name, ...layer }) => {
    const dotted = name.replaceAll('/', '.').replace(/^state_dict\./, '');
    return [FLAX[dotted] ?? dotted, layer] as const;
  });
  const names = file.startsWith('flax') ? Object.values(FLAX) : [...weights.keys()];
  expect(named.map(([name]) => name).sort()).toEqual([...names].sort());
  for (const [name, layer] of named) expect(layer, name).toEqual({ ...weights.get(name)!, dtype });
});

test('the parts of a model that is cut into files', async () => {
  const { parts } = await loadModel(fixture('model.safetensors.index.json'));
  expect(parts.map(({ name }) => name)).toEqual([1, 2].map((i) => `model-0000${i}-of-00002.safetensors`));
});

test('licence and producer', async () => {
  expect(await loadModel(fixture('torch.safetensors'))).toMatchObject({
    licence: 'Apache-2.0',
    producer: 'PyTorch',
  });
  expect(await loadModel(fixture('script.pt'))).toMatchObject({ producer: 'TorchScript' });
});

/** Convolution without padding, [channels, h, w] → [out, …]; each kernel is slid, or painted for a transposed one. */
function convolve(
  layer: Expected['layers'][number],
  { shape, data }: { shape: number[]; data: Float32Array },
) {
  const { kind, groups, stride, bias, input, output } = layer;
  const [out, inputs, h, w] = shape;
  const [[, , H, W], [, , Y, X]] = [input.shape, output.shape];
  const result = Float32Array.from({ length: out * Y * X }, (_, i) => bias[Math.floor(i / (Y * X))] ?? 0);
  for (let o = 0; o < out; o++)
    for (let c = 0; c < inputs; c++) {
      const channel = Math.floor(o / (out / groups)) * inputs + c;
      for (let i = 0; i < h; i++)
        for (let j = 0; j < w; j++) {
          const weight = data[((o * inputs + c) * h + i) * w + j];
          for (let y = 0; y < (kind === 'transposed' ? H : Y); y++)
            for (let x = 0; x < (kind === 'transposed' ? W : X); x++) {
              const [from, to] =
                kind === 'transposed'
                  ? [(channel * H + y) * W + x, (o * Y + y * stride + i) * X + x * stride + j]
                  : [(channel * H + y * stride + i) * W + x * stride + j, (o * Y + y) * X + x];
              result[to] += weight * input.values[from];
            }
        }
    }
  return result;
}

test('convolutions with imported weights equal those of PyTorch', async () => {
  const { layers } = await loadModel(fixture('zip.pt'));
  for (const layer of expected.layers) {
    const imported = layers.find(({ name }) => name === layer.name)!;
    // all numbers are multiples of 1/64 below 2¹⁸: sums are exact in any order
    expect([...convolve(layer, imported)], layer.name).toEqual(layer.output.values);
  }
});

describe('views of storages', () => {
  test.each(['views.pt', 'views-legacy.pt'])('%s', async (file) => {
    const { layers, skipped } = await loadModel(fixture(file));
    // "b" is "a" again
    expect(layers.map(({ name }) => name)).toEqual(['a', 'every_second', 'flipped', 'first', 'second']);
    for (const { name, shape, data } of layers) {
      const { shape: wanted, values } = expected.views[`${name}.weight`];
      expect(shape, name).toEqual(wanted);
      expect([...data], name).toEqual(values);
    }
    expect(skipped).toEqual([{ layer: 'expanded', reason: 'a view that repeats its values' }]);
  });
});

test('weight and spectral normalisation are multiplied out; what cannot be had is said', async () => {
  const { layers, skipped } = await loadModel(fixture('others.pt'));
  expect(layers.map(({ name }) => name)).toEqual(['old', 'new', 'spectral']);
  for (const { name, data } of layers.slice(0, 2))
    for (const [i, x] of expected.normalised[name].entries()) expect(data[i]).toBeCloseTo(x, 4);
  const reasons = Object.fromEntries(skipped.map(({ layer, reason }) => [layer, reason]));
  expect(reasons).toEqual({
    quantised: 'its weights are quantised, which is not read',
    'volume.weight': 'a 3-D convolution',
    'conv1d.weight': 'a 1-D convolution',
    pos_embed: expect.stringContaining("no convolution's weights"),
    whole: 'its weights are int8, not float of 16 bits or more',
    tiny: 'its weights are float8_e5m2, not float of 16 bits or more',
  });
});

test('a frozen TorchScript archive: weights without names', async () => {
  const { layers } = await loadModel(fixture('frozen.pt'));
  expect(layers.map(({ name }) => name)).toEqual([0, 2, 3, 5, 7, 9].map((i) => `constants.${i}`));
  expect(layers[1].data).toEqual(weights.get('body.1')!.data); // what batch normalisation was not folded into
});

test('arrays without names, and one array alone', async () => {
  const { layers } = await loadModel(fixture('unnamed.npz'));
  expect(layers.map(({ name, data }) => ({ name, data }))).toEqual([
    { name: 'arr_0', data: weights.get('stem')!.data },
    { name: 'arr_1', data: weights.get('body.1')!.data },
  ]);
  expect((await loadModel(fixture('stem.npy'))).layers).toEqual([
    { name: 'weights', dtype: 'float32', ...weights.get('stem')! },
  ]);
});

test.each(['module.pt', 'module-legacy.pt'])(
  '%s, a pickled module, is refused by the name of its class',
  async (file) => {
    await expect(loadModel(fixture(file))).rejects.toMatchObject({
      code: 'INPUT',
      message: expect.stringMatching(/asks for "__main__\.Net", which is refused/),
      hint: expect.stringContaining('state_dict'),
    });
  },
);
