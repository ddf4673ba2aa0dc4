// Quality and shift against values of other programs: scripts/reference-quality.py.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { distributionShift, type Kernels, measureLayer } from '../../src/kernels/index.js';
import { entropy10 } from '../../src/kernels/quality/entropy.js';
import { loadModel } from '../importers/loaded.js';

interface Measures {
  sparsity: number;
  entropy: number;
  varianceEntropy: number;
  orthogonality: number | null;
  /** `middle`: the two values that the median lies between. */
  lagOne: { middle: [number, number]; mean: number };
}
type Shape = [number, number, number, number];
interface Layer {
  shape: Shape;
  seed: number;
  smooth?: number;
  weak?: number;
}
const at = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
const reference: {
  layers: (Layer & Measures)[];
  published: ({ weight: string; shape: Shape } & Measures)[];
  shifts: { layers: number[]; nats: number[][] }[];
} = JSON.parse(readFileSync(at('quality.json'), 'utf8'));

/** As `layer` of the script makes it. */
function made({ shape, seed, smooth = 0, weak }: Layer): Float32Array {
  const [out, inputs, h, w] = shape;
  let state = seed;
  const values = Float64Array.from({ length: out * inputs * h * w }, () => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 32 - 0.5);
  });
  for (let i = 0; i < values.length; i++) if (i % w > 0) values[i] += smooth * values[i - 1];
  if (weak)
    for (let i = 0; i < values.length; i++) if (Math.floor(i / h / w) % weak === 0) values[i] *= 2 ** -10;
  return Float32Array.from(values);
}

function expectMeasures(shape: Shape, data: Float32Array, expected: Measures) {
  const quality = measureLayer(data, shape);
  expect(quality.sparsity).toBeCloseTo(expected.sparsity, 6); // torch divides in float32
  expect(entropy10(quality.explainedVariance!)).toBeCloseTo(expected.entropy, 9);
  if (shape[2] * shape[3] === 9) expect(quality.varianceEntropy).toBeCloseTo(expected.varianceEntropy, 9);
  expect(quality.orthogonality).toBeCloseTo(expected.orthogonality!, 6); // the script's scale is a float32, too
  expect(quality.lagOne!.mean).toBeCloseTo(expected.lagOne.mean, 9);
  const bin = 0.001;
  expect(quality.lagOne!.median).toBeGreaterThan(expected.lagOne.middle[0] - bin);
  expect(quality.lagOne!.median).toBeLessThan(expected.lagOne.middle[1] + bin);
}

describe('measures are those of torchconvquality', () => {
  test.each(reference.layers)('$shape, seed $seed', (layer) => {
    expectMeasures(layer.shape, made(layer), layer);
  });

  test('on the layers of a published model', async () => {
    const { layers } = await loadModel(at('websr/model-checkpoint.h5'));
    expect(layers).toHaveLength(reference.published.length);
    for (const expected of reference.published) {
      const layer = layers.find(({ name }) => expected.weight.split('/').includes(name))!;
      expect(layer.shape).toEqual(expected.shape);
      expectMeasures(layer.shape, layer.data, expected);
    }
  });
});

test('shifts are those of NumPy', () => {
  for (const { layers, nats } of reference.shifts) {
    const sets = layers.map((i): Kernels => {
      const { shape } = reference.layers[i];
      return { data: made(reference.layers[i]), count: shape[0] * shape[1], h: shape[2], w: shape[3] };
    });
    const shift = distributionShift(sets);
    for (const [a, row] of nats.entries())
      for (const [b, value] of row.entries()) expect(shift.nats[a][b]).toBeCloseTo(value, 6);
  }
});
