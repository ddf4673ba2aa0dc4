// Normal densities: log-densities summed over the last axis, entropies, closed-form divergences. All in nats.
import { tf } from '../engine/index.js';

export const LOG_2PI = Math.log(2 * Math.PI);

/** A diagonal normal over the last axis: mean and log standard deviation of the same (or broadcasting) shape. */
export interface DiagonalNormal {
  mean: tf.Tensor; // [.., d]
  logStd: tf.Tensor; // [.., d]
}

/** log N(x | mean, diag std²) = −½ Σ [ ((x−mean)/std)² + 2 log std + log 2π ]: [.., d] → [..]. */
export function logDensity(x: tf.Tensor, { mean, logStd }: DiagonalNormal): tf.Tensor {
  const standardised = tf.mul(tf.sub(x, mean), tf.exp(tf.neg(logStd)));
  const perElement = tf.add(tf.mul(tf.square(standardised), -0.5), tf.sub(-0.5 * LOG_2PI, logStd));
  return tf.sum(perElement, -1);
}

/** log N(x | 0, I): [.., d] → [..]. */
export function logStandardDensity(x: tf.Tensor): tf.Tensor {
  return tf.sum(tf.sub(tf.mul(tf.square(x), -0.5), 0.5 * LOG_2PI), -1);
}

/** mean + std · noise: a sample that is differentiable in the parameters. */
export function reparameterise({ mean, logStd }: DiagonalNormal, noise: tf.Tensor): tf.Tensor {
  return tf.add(mean, tf.mul(tf.exp(logStd), noise));
}

/** (11) E log q = −Σ [ ½ log 2πe + log std ], the negative entropy: [.., d] → [..]. */
export function negativeEntropy({ logStd }: DiagonalNormal): tf.Tensor {
  return tf.neg(tf.sum(tf.add(logStd, 0.5 * (LOG_2PI + 1)), -1));
}

/** (17) KL( N(mean, diag std²) ‖ N(0, I) ) = ½ Σ [ mean² + std² − 1 − 2 log std ]: [.., d] → [..]. */
export function klToStandard({ mean, logStd }: DiagonalNormal): tf.Tensor {
  const perElement = tf.sub(tf.add(tf.square(mean), tf.exp(tf.mul(logStd, 2))), tf.add(tf.mul(logStd, 2), 1));
  return tf.mul(tf.sum(perElement, -1), 0.5);
}

/** (123) KL( N(mean, diag std²) ‖ N(other) ) of two diagonal normals: [.., d] → [..]. */
export function klBetween({ mean, logStd }: DiagonalNormal, other: DiagonalNormal): tf.Tensor {
  const precision = tf.exp(tf.mul(other.logStd, -2));
  const squares = tf.add(tf.exp(tf.mul(logStd, 2)), tf.square(tf.sub(mean, other.mean)));
  const perElement = tf.add(tf.mul(tf.sub(tf.mul(squares, precision), 1), 0.5), tf.sub(other.logStd, logStd));
  return tf.sum(perElement, -1);
}
