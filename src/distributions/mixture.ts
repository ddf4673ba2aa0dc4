// Mixtures of equally likely diagonal normals: log-density and samples.
import { tf } from '../engine/index.js';
import { type DiagonalNormal, LOG_2PI, reparameterise } from './normal.js';

/**
 * log (1/K) Σ_k N(x | mean_k, diag std_k²), x [.., l] → [..].
 * The squares are multiplied out, so that memory is that of [.., K] and not of [.., K, l]; all is moved to the middle of
 * the means first, which keeps digits.
 *
 * @param components [K, l]
 */
export function mixtureLogDensity(x: tf.Tensor, components: DiagonalNormal): tf.Tensor {
  const [count, size] = components.mean.shape;
  const middle = tf.mean(components.mean, 0); // [l]
  const mean = tf.sub(components.mean, middle);
  const precision = tf.exp(tf.mul(components.logStd, -2)); // [K, l]
  const weighted = tf.mul(mean, precision);
  const constant = tf.sum(tf.add(tf.mul(tf.mul(mean, weighted), -0.5), tf.neg(components.logStd)), 1); // [K]
  const rows = tf.reshape(tf.sub(x, middle), [-1, size]);
  const quadratic = tf.matMul(tf.mul(tf.square(rows), -0.5), precision, false, true); // [n, K]
  const perComponent = tf.add(tf.add(quadratic, tf.matMul(rows, weighted, false, true)), constant);
  const total = tf.sub(tf.logSumExp(perComponent, 1), Math.log(count) + 0.5 * size * LOG_2PI);
  return tf.reshape(total, x.shape.slice(0, -1));
}

/** A whole number below `count`, each as likely, of a standard normal: ⌊count · Φ(x)⌋, int32. */
export function componentOf(x: tf.Tensor, count: number): tf.Tensor {
  const uniform = tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
  return tf.cast(tf.clipByValue(tf.mul(uniform, count), 0, count - 1), 'int32');
}

/**
 * Samples of the mixture.
 * @param noise standard normals: `component` [n] chooses k, `latent` [n, l] is the deviation from its mean
 */
export function mixtureSample(
  { mean, logStd }: DiagonalNormal,
  { component, latent }: { component: tf.Tensor; latent: tf.Tensor },
): tf.Tensor {
  const k = componentOf(component, mean.shape[0]) as tf.Tensor1D;
  return reparameterise({ mean: tf.gather(mean, k), logStd: tf.gather(logStd, k) }, latent);
}
