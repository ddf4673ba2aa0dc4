// What a convolution with random weights gives, against sums written out by hand.
import { beforeAll, describe, expect, test } from 'vitest';
import {
  createEngine,
  type Engine,
  f32,
  foldIn,
  type NdArray,
  noiseFor,
  seedKey,
  type tf,
} from '../../src/engine/index.js';
import { makeLayer, weightShape } from '../../src/network/index.js';
import { type Estimator, posteriors, type Tensors } from '../../src/posteriors/index.js';
import { normal, runOn } from '../engine/reference.js';
import { estimate, expectMean } from '../monte-carlo.js';

const layer = makeLayer({ kind: 'conv', name: 'conv', channels: 3, kernel: [2, 3] }, [[5, 6, 2]]);
const SHAPE = weightShape(layer);
const [OUT, IN, KH, KW] = SHAPE;
const N = 2;
const x = normal(220, N, 5, 6, IN);
const mean = normal(221, ...SHAPE);
const logStd = f32(SHAPE, normal(222, ...SHAPE).data.map((v) => v - 1) as Float32Array);

/** Σ over the window of f(weight index) · g(x), [n, 4, 4, out]. */
function convolved(
  weight: (i: number) => number,
  pixel: (v: number, n: number, i: number) => number = (v) => v,
): number[] {
  const out: number[] = [];
  for (let n = 0; n < N; n++)
    for (let y = 0; y < 4; y++)
      for (let z = 0; z < 4; z++)
        for (let o = 0; o < OUT; o++) {
          let sum = 0;
          for (let i = 0; i < IN; i++)
            for (let a = 0; a < KH; a++)
              for (let b = 0; b < KW; b++)
                sum +=
                  weight(((o * IN + i) * KH + a) * KW + b) *
                  pixel(x.data[((n * 5 + y + a) * 6 + z + b) * IN + i], n, i);
          out.push(sum);
        }
  return out;
}

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

async function run(
  name: string,
  noise: Record<string, NdArray>,
  estimator: Estimator,
): Promise<ArrayLike<number>> {
  const { value } = await runOn(
    engine,
    (inputs: { x: tf.Tensor4D; parameters: Tensors; noise: Tensors }) => ({
      value: posteriors[name].apply(layer, inputs.parameters, inputs.x, inputs.noise, estimator),
    }),
    { x, parameters: name === 'point' ? { mean } : { mean, logStd }, noise } as never,
  );
  return (value as NdArray).data;
}

function expectClose(actual: ArrayLike<number>, expected: readonly number[]) {
  expect(actual).toHaveLength(expected.length);
  expected.forEach((v, i) => {
    expect(actual[i]).toBeCloseTo(v, 4);
  });
}

describe('mean field', () => {
  test('local reparameterisation: mean x ⋆ m, variance x² ⋆ s²', async () => {
    const activations = normal(223, N, 4, 4, OUT);
    const m = convolved((i) => mean.data[i]);
    const variance = convolved(
      (i) => Math.exp(2 * logStd.data[i]),
      (v) => v * v,
    );
    expectClose(
      await run('mean-field', { activations }, 'local-reparameterisation'),
      m.map((v, i) => v + Math.sqrt(variance[i]) * activations.data[i]),
    );
  });

  test('weight samples: one draw m + s · ε for the whole batch', async () => {
    const weights = normal(224, ...SHAPE);
    expectClose(
      await run('mean-field', { weights }, 'weight-samples'),
      convolved((i) => mean.data[i] + Math.exp(logStd.data[i]) * weights.data[i]),
    );
  });

  test('flipout: the deviation m + s · ε with other signs of inputs and outputs for every example', async () => {
    const noise = {
      weights: normal(225, ...SHAPE),
      inputSigns: normal(226, N, IN),
      outputSigns: normal(227, N, OUT),
    };
    const sign = (v: number) => (v > 0 ? 1 : -1);
    const m = convolved((i) => mean.data[i]);
    const flipped = convolved(
      (i) => Math.exp(logStd.data[i]) * noise.weights.data[i],
      (v, n, i) => v * sign(noise.inputSigns.data[n * IN + i]),
    );
    expectClose(
      await run('mean-field', noise, 'flipout'),
      m.map((v, at) => {
        const n = Math.floor(at / (16 * OUT));
        return v + flipped[at] * sign(noise.outputSigns.data[n * OUT + (at % OUT)]);
      }),
    );
  });

  test('flipout has the mean and variance of weight samples, and examples that are not correlated', async () => {
    const DRAWS = 4000;
    const { inputSigns, outputSigns, weights } = posteriors['mean-field'].noise(layer, N, 'flipout');
    const step = await engine.compile(
      (inputs: { noise: Tensors }, given: Tensors) => ({
        value: posteriors['mean-field'].apply(layer, given, given.x, inputs.noise, 'flipout'),
      }),
      {
        inputs: { noise: { inputSigns, outputSigns, weights } } as never,
        constants: { mean, logStd, x },
      },
    );
    const values: Float64Array[] = convolved(() => 0).map(() => new Float64Array(DRAWS));
    for (let i = 0; i < DRAWS; i++) {
      const noise = noiseFor({ inputSigns, outputSigns, weights }, foldIn(seedKey(228), i));
      const { value } = (await step.run({ noise } as never)) as unknown as { value: NdArray };
      for (const [at, v] of value.data.entries()) values[at][i] = v;
    }
    await step.release();
    const m = convolved((i) => mean.data[i]);
    const variance = convolved(
      (i) => Math.exp(2 * logStd.data[i]),
      (v) => v * v,
    );
    for (const [at, draws] of values.entries()) {
      expectMean(estimate(draws), m[at], `mean ${at}`);
      expectMean(estimate(draws.map((v) => (v - m[at]) ** 2)), variance[at], `variance ${at}`);
    }
    // The same place of two examples: weight samples have the covariance (x ⊙ x') ⋆ s², flipout none.
    const half = values.length / 2;
    for (let at = 0; at < half; at++)
      expectMean(
        estimate(values[at].map((v, i) => (v - m[at]) * (values[at + half][i] - m[at + half]))),
        0,
        `covariance ${at}`,
      );
  });

  test('kernels are the slices of the weights in rows [out · in, h · w]', async () => {
    const q = await runOn(
      engine,
      (parameters: { mean: tf.Tensor; logStd: tf.Tensor }) => {
        const { kind, ...rows } = posteriors['mean-field'].kernels!(layer, parameters);
        expect(kind).toBe('diagonal');
        return rows;
      },
      { mean, logStd } as never,
    );
    const arrays = q as unknown as Record<'mean' | 'logStd', NdArray>;
    expect(arrays.mean.shape).toEqual([OUT * IN, KH * KW]);
    expect(arrays.mean.data).toEqual(mean.data);
    expect(arrays.logStd.data).toEqual(logStd.data);
  });

  test('noise is asked for in the shapes that are used', () => {
    const { noise, sampleNoise } = posteriors['mean-field'];
    expect(noise(layer, 7, 'local-reparameterisation').activations.shape).toEqual([7, 4, 4, OUT]);
    expect(noise(layer, 7, 'weight-samples').weights.shape).toEqual(SHAPE);
    expect(noise(layer, 7, 'flipout').inputSigns.shape).toEqual([7, IN]);
    expect(noise(layer, 7, 'flipout').outputSigns.shape).toEqual([7, OUT]);
    expect(sampleNoise(layer).weights.shape).toEqual(SHAPE);
  });
});

test('a point is a plain convolution, and has no density', async () => {
  expectClose(
    await run('point', {}, 'weight-samples'),
    convolved((i) => mean.data[i]),
  );
  expect(posteriors.point.kernels).toBeUndefined();
});
