// Losses, and functions that the engine has in a form of its own, against TensorFlow.js's.
import { describe, expect, test } from 'vitest';
import * as original from '#tfjs';
import { tf } from '../../src/engine/index.js';
import { expectSame, gridNormal, type Tensors } from './ops-check.js';
import { positive } from './reference.js';

const labels = gridNormal(1, [4, 3]);
const predictions = gridNormal(2, [4, 3]);
const probabilities = { shape: [4, 3], data: positive(3, 4, 3).data.map((p) => p - 0.5) };
const weights = positive(4, 4, 1);
const binary = { shape: [4, 3], data: Float32Array.of(1, 0, 0, 1, 1, 0, 1, 0, 1, 0, 0, 1) };
const oneHot = { shape: [4, 3], data: Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0) };
const { MEAN, NONE, SUM, SUM_BY_NONZERO_WEIGHTS } = tf.Reduction;

type Losses = typeof tf.losses;
type Loss = (losses: Losses, x: Tensors) => tf.Tensor;
const cases: Record<string, [f: Loss, inputs: Parameters<typeof expectSame>[1]]> = {
  absoluteDifference: [(l, x) => l.absoluteDifference(x.labels, x.predictions), { labels, predictions }],
  cosineDistance: [(l, x) => l.cosineDistance(x.labels, x.predictions, 1), { labels, predictions }],
  hingeLoss: [(l, x) => l.hingeLoss(x.binary, x.predictions), { binary, predictions }],
  huberLoss: [(l, x) => l.huberLoss(x.labels, x.predictions, undefined, 0.7), { labels, predictions }],
  logLoss: [(l, x) => l.logLoss(x.binary, x.probabilities), { binary, probabilities }],
  meanSquaredError: [(l, x) => l.meanSquaredError(x.labels, x.predictions), { labels, predictions }],
  sigmoidCrossEntropy: [(l, x) => l.sigmoidCrossEntropy(x.binary, x.predictions), { binary, predictions }],
  'sigmoidCrossEntropy, smoothed': [
    (l, x) => l.sigmoidCrossEntropy(x.binary, x.predictions, x.weights, 0.1, SUM),
    { binary, predictions, weights },
  ],
  softmaxCrossEntropy: [
    (l, x) => l.softmaxCrossEntropy(tf.tensor(oneHot.data, [4, 3]), x.predictions),
    { predictions },
  ],
  'softmaxCrossEntropy, smoothed': [
    (l, x) => l.softmaxCrossEntropy(tf.tensor(oneHot.data, [4, 3]), x.predictions, undefined, 0.1, NONE),
    { predictions },
  ],
  'a weighted mean': [
    (l, x) => l.meanSquaredError(x.labels, x.predictions, x.weights, MEAN),
    { labels, predictions, weights },
  ],
  'a weighted sum': [
    (l, x) => l.meanSquaredError(x.labels, x.predictions, x.weights, SUM_BY_NONZERO_WEIGHTS),
    { labels, predictions, weights },
  ],
};

// `native` runs the engine's form, `cpu` the one of TensorFlow.js.
const here = () => (tf.getBackend() === 'cpu' ? (original as unknown as typeof tf) : tf);

describe('losses equal those of TensorFlow.js', () => {
  test.each(Object.entries(cases))('%s', (_, [f, inputs]) => expectSame((x) => f(here().losses, x), inputs));
});

describe('functions equal those of TensorFlow.js', () => {
  const x = gridNormal(5, [3, 4, 5]);
  test.each([[null], [1], [[0, 2]], [-1]])('logSumExp over %s', (axis) =>
    expectSame(({ x }) => here().logSumExp(x, axis, axis === 1), { x }),
  );
  test('logSumExp of large numbers', () =>
    expectSame(({ x }) => tf.logSumExp(tf.add(tf.mul(x, 100), 1000), 2), { x }));
  test('logSoftmax', () => expectSame(({ x }) => here().logSoftmax(x), { x }));
});

test('gradients with respect to labels', () => {
  const logits = tf.tensor2d([[1, 2, 4]]);
  const sum = tf.Reduction.SUM;
  const [dz] = tf.grads((z: tf.Tensor, x: tf.Tensor) =>
    tf.losses.softmaxCrossEntropy(z, x, undefined, 0, sum),
  )([tf.tensor2d([[0, 1, 0]]), logits]);
  // −log softmax(x), computed with double precision
  const total = Math.log(Math.exp(1) + Math.exp(2) + Math.exp(4));
  for (const [i, logit] of [1, 2, 4].entries()) expect(dz.dataSync()[i]).toBeCloseTo(total - logit, 5);
  const [dw] = tf.grads((z: tf.Tensor, x: tf.Tensor) =>
    tf.losses.sigmoidCrossEntropy(z, x, undefined, 0, sum),
  )([tf.tensor2d([[0, 1, 0]]), logits]);
  expect([...dw.dataSync()]).toEqual([-1, -2, -4]);
});
