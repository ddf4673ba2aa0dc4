// A density with a latent variable, p(w) = ∫ p(w|z) p(z) dz, and an auxiliary network r(z|w) for bounding it.
import { tf } from '../engine/index.js';
import { type DiagonalNormal, logDensity } from './normal.js';

/** What a bound needs of a semi-implicit density of kernels. */
export interface LatentDensity {
  latentSize: number;
  /** r(z|w): [.., d] → diagonal normal over z. */
  encode(w: tf.Tensor): DiagonalNormal;
  /** log p(w|z): w [.., d], z [.., l] → [..]. */
  logLikelihood(w: tf.Tensor, z: tf.Tensor): tf.Tensor;
  /** log p(z): [.., l] → [..]. */
  logLatent(z: tf.Tensor): tf.Tensor;
  /**
   * The log importance weight of a z that r has drawn, where it is none of the three above: w [n, d], z [.., n, l], r [n, l]
   * → [.., n]. Its exponential has the expectation p(w) under r, whatever r is.
   */
  logWeight?(w: tf.Tensor, z: tf.Tensor, r: DiagonalNormal): tf.Tensor;
}

/** log p(w|z) + log p(z) − log r(z): the log importance weight of a z that r has drawn: [..], nats. */
export const logImportanceWeight = (
  density: LatentDensity,
  w: tf.Tensor, // [.., d]
  z: tf.Tensor, // [.., l]
  r: DiagonalNormal, // [.., l]
): tf.Tensor =>
  density.logWeight?.(w, z, r) ??
  tf.sub(tf.add(density.logLikelihood(w, z), density.logLatent(z)), logDensity(z, r));
