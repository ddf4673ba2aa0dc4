// The Langevin–Stein operator: its divergence, Stein's identity, and the Fisher divergence that it finds.
import { beforeAll, expect, test } from 'vitest';
import { createEngine, type Engine, f32, seedKey, tf, valueAndGradients } from '../../src/engine/index.js';
import { samplerOf } from '../../src/estimators/index.js';
import {
  operator,
  steinDiscrepancy,
  testFunction,
  testFunctionParameters,
} from '../../src/estimators/operator.js';
import type { Tensors } from '../../src/priors/index.js';
import { normal, runOn } from '../engine/reference.js';
import { estimate, expectMean } from '../monte-carlo.js';

const D = 3;
const parameters = testFunctionParameters(D, seedKey(1));
/** ∇ log N(w | 0, I). */
const standard = (w: tf.Tensor) => tf.neg(w);

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

test('∇·f is the sum of the derivatives of f', async () => {
  const w = normal(2, 5, D);
  const { f, ...shifted } = await runOn(
    engine,
    ({ parameters, w }: { parameters: Tensors; w: tf.Tensor }) => {
      const h = 1e-2;
      const differences = Array.from({ length: D }, (_, j) => {
        const e = tf.mul(tf.oneHot(tf.tensor1d([j], 'int32'), D), h);
        const [up, down] = [tf.add(w, e), tf.sub(w, e)].map((x) => testFunction(parameters, x).f);
        return tf.div(tf.sum(tf.mul(tf.sub(up, down), tf.div(e, h)), 1), 2 * h);
      });
      return { f: testFunction(parameters, w).divergence, sum: tf.addN(differences) };
    },
    { parameters, w },
  );
  for (const [i, x] of f.data.entries()) expect(x).toBeCloseTo(shifted.sum.data[i], 3);
});

/** One summand of the discrepancy for each draw of N(0, I). */
const summands = async (
  parameters: ReturnType<typeof testFunctionParameters>,
  score: (w: tf.Tensor) => tf.Tensor,
  penalty: boolean,
) => {
  const { value } = await runOn(
    engine,
    ({ parameters, w }: { parameters: Tensors; w: tf.Tensor }) => {
      const all = steinDiscrepancy(parameters, w, score);
      return { value: penalty ? all : tf.add(all, tf.sum(tf.square(testFunction(parameters, w).f), 1)) };
    },
    { parameters, w: normal(4, 20_000, D) },
  );
  return value.data;
};

test("Stein's identity: for q = p the operator has the mean 0, whatever f", async () => {
  const values = estimate(await summands(parameters, standard, false));
  expectMean(values, 0, 'operator');
  const wrong = estimate(await summands(parameters, (w) => tf.mul(standard(w), 2), false));
  expect(Math.abs(wrong.mean)).toBeGreaterThan(5 * wrong.standardError);
});

test('with f = ∇log p − ∇log q it is their Fisher divergence', async () => {
  const shift = [0.5, -0.3, 0.2];
  const best = {
    ...parameters,
    'test.out.kernel': f32(parameters['test.out.kernel'].shape),
    'test.out.bias': f32([D], Float32Array.from(shift)),
  };
  const target = (w: tf.Tensor) => standard(tf.sub(w, tf.tensor1d(shift)));
  const fisher = shift.reduce((sum, x) => sum + x * x, 0);
  expectMean(estimate(await summands(best, target, true)), fisher, 'Fisher divergence');
});

test('q goes down where f goes up', async () => {
  const q = samplerOf('mean-field', D);
  const own = q.initial(1.5, seedKey(0));
  const { against, along } = await runOn(
    engine,
    ({ own, parameters, kernels }: { own: Tensors; parameters: Tensors; kernels: tf.Tensor }) => {
      const objective = (turned: boolean) =>
        valueAndGradients((auxiliary) => {
          const draws = q.draw(own, { kernels });
          const value = turned
            ? operator.objective(
                { q, logTarget: (w) => tf.mul(tf.sum(tf.square(w), -1), -0.5), score: standard },
                { q: own, auxiliary },
                draws,
                { noise: {} },
              ).descend
            : (tf.mean(steinDiscrepancy(auxiliary, draws.w, standard)) as tf.Scalar);
          return { objective: value, aux: {} };
        }, parameters).gradients;
      return { against: objective(true), along: objective(false) };
    },
    { own, parameters, kernels: normal(6, 50, D) },
  );
  for (const [name, { data }] of Object.entries(along)) {
    expect(Math.max(...Array.from(data, Math.abs))).toBeGreaterThan(0);
    for (const [i, x] of data.entries()) expect(against[name].data[i]).toBeCloseTo(-x, 5);
  }
});
