// Functions that TensorFlow.js composes of many operations, with the same names, arguments and values: fewer operations
// in a compiled step, and gradients where TensorFlow.js has none or wrong ones.
import * as tf from '#tfjs';
import { run, tracing } from './derivatives/shared.js';
import { nested } from './tape.js';

const asTensor = (x: tf.Tensor | tf.TensorLike): tf.Tensor => (x instanceof tf.Tensor ? x : tf.tensor(x));

/**
 * log Σ eˣ over `axis`, or over all axes. Its gradient is the softmax, from exponentials that are there already;
 * TensorFlow.js goes back through the maximum. onnxruntime's ReduceLogSumExp is slower on long axes.
 */
export function logSumExp<T extends tf.Tensor = tf.Tensor>(
  x: tf.Tensor | tf.TensorLike,
  axis: number | number[] | null = null,
  keepDims = false,
): T {
  const input = asTensor(x);
  const axes = tf.util.parseAxisParam(axis as number | number[], input.shape);
  const withGradient = tf.customGrad((...given) => {
    const [x, save] = given as [tf.Tensor, tf.GradSaveFunc];
    const largest = tf.max(x, axes, true);
    const terms = tf.exp(tf.sub(x, largest));
    const total = tf.sum(terms, axes, true);
    const value = tf.add(tf.log(total), largest);
    save([terms, total, x, value]);
    return {
      value,
      gradFunc: (dy: tf.Tensor, [terms, total, x, value]: tf.Tensor[]) =>
        nested() ? tf.mul(dy, tf.exp(tf.sub(x, value))) : tf.mul(terms, tf.div(dy, total)),
    };
  });
  const value = withGradient(input);
  if (keepDims) return value as T;
  return tf.reshape(
    value,
    input.shape.filter((_, i) => !axes.includes(i)),
  ) as T;
}

/** log softmax along the last axis. */
export function logSoftmax<T extends tf.Tensor = tf.Tensor>(logits: T | tf.TensorLike, axis = -1): T {
  const x = asTensor(logits);
  return tracing() && (axis === -1 || axis === x.rank - 1)
    ? run<T>('LogSoftmax', { logits: x }, { axis: x.rank - 1 })
    : (tf.logSoftmax(x, axis) as T);
}

/**
 * (x − mean) / √(variance + ε) · scale + offset; without a scale TensorFlow.js finds no gradient.
 * @param mean, variance, offset, scale [c], or of a shape that broadcasts to x
 */
export function batchNorm<R extends tf.Rank = tf.Rank>(
  x: tf.Tensor<R> | tf.TensorLike,
  mean: tf.Tensor | tf.TensorLike,
  variance: tf.Tensor | tf.TensorLike,
  offset?: tf.Tensor | tf.TensorLike,
  scale?: tf.Tensor | tf.TensorLike,
  varianceEpsilon = 0.001,
): tf.Tensor<R> {
  const location = asTensor(mean) as tf.Tensor1D;
  return tf.batchNorm(
    x as tf.Tensor<R>,
    location,
    variance as tf.Tensor1D,
    (offset ?? tf.zerosLike(location)) as tf.Tensor1D,
    (scale ?? tf.onesLike(location)) as tf.Tensor1D,
    varianceEpsilon,
  );
}

type Loss = typeof tf.losses.sigmoidCrossEntropy;

/** −z log σ(x) − (1 − z) log σ(−x) = softplus(x) − x z for labels z, [..], and logits x, [..]. */
const sigmoidCrossEntropy: Loss = (labels, logits, weights, labelSmoothing = 0, reduction) => {
  const [given, x] = [asTensor(labels), asTensor(logits)];
  tf.util.assertShapesMatch(given.shape, x.shape, 'sigmoidCrossEntropy: labels and logits: ');
  const z = labelSmoothing > 0 ? tf.add(tf.mul(given, 1 - labelSmoothing), 0.5 * labelSmoothing) : given;
  const withGradient = tf.customGrad((...inputs) => {
    const [z, x, save] = inputs as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    save([z, x]);
    return {
      value: tf.sub(tf.softplus(x), tf.mul(x, z)),
      gradFunc: (dy: tf.Tensor, [z, x]: tf.Tensor[]) => [
        tf.neg(tf.mul(dy, x)),
        tf.mul(dy, tf.sub(tf.sigmoid(x), z)),
      ],
    };
  });
  return tf.losses.computeWeightedLoss(withGradient(tf.cast(z, 'float32'), x), weights, reduction);
};

/**
 * −Σ z log softmax(x) for labels z, [n, classes], and logits x, [n, classes]. TensorFlow.js's gradient with respect to
 * the labels is that of another function, and the one with respect to the logits takes it that labels sum to 1.
 */
const softmaxCrossEntropy: Loss = (labels, logits, weights, labelSmoothing = 0, reduction) => {
  const [given, x] = [asTensor(labels), asTensor(logits)];
  tf.util.assertShapesMatch(given.shape, x.shape, 'softmaxCrossEntropy: labels and logits: ');
  const z =
    labelSmoothing > 0 ? tf.add(tf.mul(given, 1 - labelSmoothing), labelSmoothing / given.shape[1]!) : given;
  const losses = tf.neg(tf.sum(tf.mul(logSoftmax(x), z), -1));
  return tf.losses.computeWeightedLoss(losses, weights, reduction);
};

/** tf.losses, with direct gradients of the cross-entropies. */
export const losses: typeof tf.losses = { ...tf.losses, sigmoidCrossEntropy, softmaxCrossEntropy };
