// Independent binary pixels: log-probability by logits, and values drawn with standard normals.
import { tf } from '../engine/index.js';

/** log p(x) = Σ [ x·a − log(1 + eᵃ) ] of x in {0, 1} with logits a: [.., d] → [..], nats. */
export const logBernoulli = (x: tf.Tensor, logits: tf.Tensor): tf.Tensor =>
  tf.sum(tf.sub(tf.mul(x, logits), tf.softplus(logits)), -1);

/**
 * 1 with the given probability, else 0: Φ(noise) is uniform on (0, 1). Probabilities 0 and 1 are kept whatever the noise.
 * No gradient passes.
 * @param noise standard normals
 */
export function binarise(probability: tf.Tensor, noise: tf.Tensor): tf.Tensor {
  const uniform = tf.mul(tf.add(tf.erf(tf.mul(noise, Math.SQRT1_2)), 1), 0.5);
  return tf.cast(tf.less(uniform, probability), 'float32');
}
