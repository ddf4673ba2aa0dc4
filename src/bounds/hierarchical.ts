// Bounds of log p(w) for a latent-variable density p(w) = ∫ p(w|z) p(z) dz with an auxiliary network r(z|w).
// Equation numbers are those of docs/math.md.

import type { LatentDensity } from '../distributions/latent.js';
import { type DiagonalNormal, logDensity, reparameterise } from '../distributions/normal.js';
import { tf } from '../engine/index.js';

/** log p(w|z) + log p(z) − log r(z|w) at z = mean_r + std_r · noise: one log importance weight per kernel, nats. */
export function logImportanceWeight(
  density: LatentDensity,
  w: tf.Tensor, // [.., d]
  noise: tf.Tensor, // [.., l]
  r: DiagonalNormal = density.encode(w),
): tf.Tensor {
  const z = reparameterise(r, noise);
  return tf.sub(tf.add(density.logLikelihood(w, z), density.logLatent(z)), logDensity(z, r));
}

/**
 * (1) One-sample lower bound of log p(w), unbiased for E_r log [ p(w|z) p(z) / r(z|w) ].
 * @returns [n], nats per kernel
 */
export const hierarchicalLowerBound = logImportanceWeight;

/**
 * (4) K-sample lower bound log (1/K) Σ_k p(w|z_k) p(z_k) / r(z_k|w), which tends to log p(w) as K grows.
 * @param w [n, d]
 * @param noise [K, n, l]
 * @returns [n], nats per kernel
 */
export function importanceWeightedBound(
  density: LatentDensity,
  w: tf.Tensor,
  noise: tf.Tensor,
  r: DiagonalNormal = density.encode(w),
): tf.Tensor {
  const k = noise.shape[0];
  const spread = (x: tf.Tensor) => tf.tile(tf.expandDims(x, 0), [k, 1, 1]); // [n, d] → [K, n, d]
  const weights = logImportanceWeight(density, spread(w), noise, {
    mean: spread(r.mean),
    logStd: spread(r.logStd),
  });
  return tf.sub(tf.logSumExp(weights, 0), Math.log(k));
}
