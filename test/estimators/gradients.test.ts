// Estimators of ∇ E_q log q against closed forms, for a q that is normal; and each on both engines.
import { beforeAll, describe, expect, test } from 'vitest';
import {
  foldIn,
  type Layout,
  layoutOf,
  noiseFor,
  packedArrays,
  seedKey,
  tf,
  unpack,
  valueAndGradients,
} from '../../src/engine/index.js';
import {
  type Estimator,
  estimators,
  type Problem,
  type Sampler,
  samplerOf,
} from '../../src/estimators/index.js';
import type { Arrays, Tensors } from '../../src/priors/index.js';
import { engines, largestRelativeError } from '../engine/reference.js';
import { estimate, expectMean } from '../monte-carlo.js';
import { GRADIENT, gaussian, NEGATIVE_ENTROPY } from './gaussian.js';

let native: Awaited<ReturnType<typeof engines>>['native'];
let cpu: typeof native;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

const named = (name: string): Estimator => {
  const found = estimators.find((estimator) => estimator.name === name);
  if (!found) throw new Error(`no ${name}`);
  return found;
};

interface Inputs {
  vector: tf.Tensor;
  auxiliary: Tensors;
  draws: Tensors;
  noise: Tensors;
}

/** Objective, value and gradients of a step, as a function of tensors. */
const stepOf =
  (q: Sampler, estimator: Estimator, problem: Omit<Problem, 'q'>, layout: Layout) =>
  ({ vector, auxiliary, draws, noise }: Inputs, scores?: tf.Tensor) => {
    const { objective, aux, gradients } = valueAndGradients(
      ({ vector, auxiliary }) => {
        const own = unpack(vector, layout); // an estimator need not use them all
        const { descend, value } = estimator.objective(
          { q, ...problem },
          { q: own, auxiliary },
          q.draw(own, draws),
          { noise, scores },
        );
        return { objective: descend, aux: { value: value ?? descend } };
      },
      { vector, auxiliary },
    );
    return {
      objective,
      value: aux.value,
      gradients: { ...gradients, q: unpack(gradients.vector, layout) },
    };
  };

/** Values and gradients of E_q log q alone (log p̃ = 0), from independent batches of n draws. */
async function gradientsOf(estimator: Estimator, q: Sampler, parameters: Arrays, n: number, batches: number) {
  const key = foldIn(seedKey(7), estimator.name);
  const layout = layoutOf(parameters);
  const inputs = {
    vector: packedArrays(layout, parameters).vector,
    auxiliary: estimator.auxiliary?.(q.dimensions, key) ?? {},
    draws: noiseFor(q.noise(n), key),
    noise: noiseFor(estimator.noise?.(q, n) ?? {}, key),
  };
  const compiled = await native.compile(
    stepOf(
      q,
      estimator,
      { logTarget: (w) => tf.mul(tf.sum(w, -1), 0), score: (w) => tf.mul(w, 0) },
      layout,
    ) as never,
    {
      inputs,
    },
  );
  const values: number[] = [];
  const gradients: Record<string, number[][]> = {};
  for (let t = 0; t < batches; t++) {
    noiseFor(q.noise(n), foldIn(key, 'draws', t), inputs.draws);
    noiseFor(estimator.noise?.(q, n) ?? {}, foldIn(key, 'noise', t), inputs.noise);
    const result = (await compiled.run(inputs as never)) as unknown as {
      value: { data: Float32Array };
      gradients: { q: Arrays };
    };
    values.push(result.value.data[0]);
    for (const [name, { data }] of Object.entries(result.gradients.q))
      for (const [j, x] of data.entries()) {
        gradients[name] ??= [];
        gradients[name][j] ??= [];
        gradients[name][j].push(x);
      }
  }
  await compiled.release();
  return { values, gradients };
}

describe('E_q log q of a normal q', () => {
  test.each(['hvi', 'multisample-1', 'multisample-10', 'uivi'])('%s', async (name) => {
    const estimator = named(name);
    const { values, gradients } = await gradientsOf(
      estimator,
      gaussian,
      gaussian.initial(1, seedKey(0)),
      200,
      150,
    );
    if (estimator.valued) expectMean(estimate(values), NEGATIVE_ENTROPY, 'value');
    for (const part of ['a', 'logStd'] as const)
      for (const [j, expected] of GRADIENT[part].entries()) {
        const found = estimate(gradients[part][j]);
        expectMean(found, expected, `∂/∂${part}[${j}]`);
        expect(Math.abs(expected)).toBeGreaterThan(20 * found.standardError);
      }
  });

  test('mean-field: ∂/∂mean = 0, ∂/∂logStd = −1', async () => {
    const q = samplerOf('mean-field', 2);
    const { gradients } = await gradientsOf(named('mean-field'), q, q.initial(0.7, seedKey(0)), 100, 5);
    for (const j of [0, 1]) {
      // log q(w) = −½ε² − logStd + constant: the same in every draw
      for (const x of gradients.mean[j]) expect(x).toBeCloseTo(0, 5);
      for (const x of gradients.logStd[j]) expect(x).toBeCloseTo(-1, 5);
    }
  });

  test('density-ratio with a classifier that finds no difference: the reference is q, and the gradient exact', async () => {
    const q = samplerOf('mean-field', 2);
    const { values, gradients } = await gradientsOf(
      named('density-ratio'),
      q,
      q.initial(0.7, seedKey(0)),
      100,
      5,
    );
    // u has the batch's own moments, so that Σ −u² / n is −1 but for the mean of the draws
    const exact = -Math.log(2 * Math.PI * Math.E * 0.7 ** 2); // two coordinates
    for (const x of values) expect(Math.abs(x - exact)).toBeLessThan(0.4); // √(2/2n) = 0.1 for n = 100
    for (const j of [0, 1]) for (const x of gradients.logStd[j]) expect(x).toBeCloseTo(-1, 4);
  });
});

describe.each(estimators.map((estimator) => [estimator.name, estimator] as const))('%s', (_, estimator) => {
  test('objective and gradients are the same on both engines', async () => {
    const n = 6;
    const q = samplerOf(estimator.family, 2);
    const key = seedKey(11);
    const auxiliary = { ...estimator.auxiliary?.(2, key) };
    // a classifier that starts at zero would hide half of its gradients
    for (const [name, { data }] of Object.entries(auxiliary))
      if (name.endsWith('.out')) for (let i = 0; i < data.length; i++) data[i] = Math.sin(i) / 4;
    const draws = noiseFor(q.noise(n), key);
    const parameters = q.initial(1, key);
    const layout = layoutOf(parameters);
    const inputs = {
      vector: packedArrays(layout, parameters).vector,
      auxiliary,
      draws,
      noise: noiseFor(estimator.noise?.(q, n) ?? {}, key),
      scores: noiseFor({ all: { shape: [n, 2], dtype: 'float32' as const } }, key),
    };
    const step = stepOf(
      q,
      estimator,
      {
        logTarget: (w) => tf.neg(tf.sum(tf.square(tf.square(w)), -1)),
        score: (w) => tf.mul(tf.pow(w, 3), -4),
      },
      layout,
    );
    const [a, b] = await Promise.all(
      [native, cpu].map(async (engine) => {
        const compiled = await engine.compile(
          ((given: Inputs & { scores: Tensors }) => step(given, given.scores.all)) as never,
          { inputs },
        );
        const result = await compiled.run(inputs as never);
        await compiled.release();
        return result;
      }),
    );
    const worst = largestRelativeError(a, b);
    expect(worst.error, worst.path).toBeLessThan(2e-4); // float32, sums in another order
  });
});
