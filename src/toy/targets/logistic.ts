// `logistic`: Bayesian logistic regression with 22 weights, 21 features and an intercept, on waveform data as Breiman,
// Friedman, Olshen & Stone (1984) define them: each example mixes two of three triangular waves and adds noise.
import { LOG_2PI } from '../../distributions/normal.js';
import { f32, foldIn, RandomStream, seedKey, tf } from '../../engine/index.js';
import type { Tensors } from '../../priors/index.js';
import type { Target } from '../target.js';

const FEATURES = 21;
const DIMENSIONS = FEATURES + 1;
const TRAINING = 400;
const HELD_OUT = 4_000;
/** The same examples whatever the seed of a comparison. */
const DATA_SEED = 1984;

/** h₁(i) = max(6 − |i − 11|, 0) for i = 1..21; h₂ and h₃ are the same, 4 later and 4 earlier. */
const wave = (which: 0 | 1 | 2, i: number): number => Math.max(6 - Math.abs(i - [11, 15, 7][which]), 0);

const CLASSES = [
  [0, 1],
  [0, 2],
  [1, 2],
] as const;

/**
 * n examples of three equally likely classes: u·wave + (1 − u)·another wave + N(0, 1), u uniform.
 * @returns features [n, 22] with an intercept of 1 last, and 1 for the first class, 0 for the others
 */
export function waveform(n: number, stream: RandomStream): { x: Float32Array; y: Float32Array } {
  const x = new Float32Array(n * DIMENSIONS);
  const y = new Float32Array(n);
  for (let row = 0; row < n; row++) {
    const label = stream.integer(3);
    const [a, b] = CLASSES[label];
    const u = stream.uniform();
    for (let i = 0; i < FEATURES; i++)
      x[row * DIMENSIONS + i] = u * wave(a, i + 1) + (1 - u) * wave(b, i + 1) + stream.normal();
    x[row * DIMENSIONS + FEATURES] = 1;
    y[row] = label === 0 ? 1 : 0;
  }
  return { x, y };
}

/** Features but the intercept in units of their standard deviation on the training examples, around their mean. */
function standardise(training: Float32Array, others: readonly Float32Array[]): void {
  const n = training.length / DIMENSIONS;
  for (let j = 0; j < FEATURES; j++) {
    let mean = 0;
    for (let i = 0; i < n; i++) mean += training[i * DIMENSIONS + j] / n;
    let variance = 0;
    for (let i = 0; i < n; i++) variance += (training[i * DIMENSIONS + j] - mean) ** 2 / n;
    for (const x of others)
      for (let at = j; at < x.length; at += DIMENSIONS) x[at] = (x[at] - mean) / Math.sqrt(variance);
  }
}

const key = foldIn(seedKey(DATA_SEED), 'waveform');
const training = waveform(TRAINING, new RandomStream(foldIn(key, 'training')));
const heldOut = waveform(HELD_OUT, new RandomStream(foldIn(key, 'held-out')));
standardise(training.x.slice(), [training.x, heldOut.x]);

/** Prior N(0, I). */
const LOG_PRIOR_CONSTANT = -0.5 * DIMENSIONS * LOG_2PI;

/** ± x·w: [n, d] → [n, N]. */
const margins = ({ x, sign }: Tensors, w: tf.Tensor): tf.Tensor =>
  tf.mul(tf.matMul(w as tf.Tensor2D, x as tf.Tensor2D, false, true), sign);

export const logistic: Target = {
  name: 'logistic',
  summary: `logistic regression, ${DIMENSIONS} weights, ${TRAINING} examples of Breiman's waveforms, prior N(0, I)`,
  dimensions: DIMENSIONS,
  scale: 0.3,
  data: {
    x: f32([TRAINING, DIMENSIONS], training.x),
    sign: f32(
      [TRAINING],
      training.y.map((y) => 2 * y - 1),
    ),
  },
  // Σ log σ(± x·w) + log N(w | 0, I)
  logDensity(data, w) {
    const rows = tf.reshape(w, [-1, DIMENSIONS]) as tf.Tensor2D;
    const likelihood = tf.neg(tf.sum(tf.softplus(tf.neg(margins(data, rows))), 1));
    const prior = tf.sub(LOG_PRIOR_CONSTANT, tf.mul(tf.sum(tf.square(rows), 1), 0.5));
    return tf.reshape(tf.add(likelihood, prior), w.shape.slice(0, -1));
  },
  // Σ ± σ(∓ x·w) x − w
  score(data, w) {
    const doubts = tf.mul(tf.sigmoid(tf.neg(margins(data, w))), data.sign);
    return tf.sub(tf.matMul(doubts as tf.Tensor2D, data.x as tf.Tensor2D), w);
  },
  heldOutNll(w) {
    const m = w.length / DIMENSIONS;
    let total = 0;
    for (let i = 0; i < HELD_OUT; i++) {
      let probability = 0;
      for (let k = 0; k < m; k++) {
        let logit = 0;
        for (let j = 0; j < DIMENSIONS; j++) logit += heldOut.x[i * DIMENSIONS + j] * w[k * DIMENSIONS + j];
        probability += 1 / (1 + Math.exp(heldOut.y[i] === 1 ? -logit : logit)) / m;
      }
      total -= Math.log(Math.max(probability, 2 ** -126));
    }
    return total / HELD_OUT;
  },
};
