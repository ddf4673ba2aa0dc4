// Bounds of log p(w) for a latent-variable density p(w) = ∫ p(w|z) p(z) dz: from below for a prior, from above for
// the semi-implicit posterior that drew w. One family (importance-weighted hierarchical variational inference,
// Sobolev & Vetrov 2019): what proposes z, and how many samples. Equation numbers are those of docs/math.md.
import { type LatentDensity, logImportanceWeight } from '../distributions/latent.js';
import { type DiagonalNormal, reparameterise } from '../distributions/normal.js';
import { scaleGradient, tf } from '../engine/index.js';

/** What draws z given w: the auxiliary network (r for a prior, s for a posterior), or N(0, I), which is mostly p(z). */
export const PROPOSALS = ['auxiliary', 'prior'] as const;
export type Proposal = (typeof PROPOSALS)[number];

/**
 * How the gradient of a K-sample bound is estimated; the bound's value and the expected gradient are the same.
 * `plain` is backpropagation through every sample. `doubly-reparameterised` (Tucker et al. 2018, DReG) has less
 * variance, the more so the larger K, where `plain` loses the proposal's gradient in noise.
 */
export const GRADIENTS = ['plain', 'doubly-reparameterised'] as const;
export type Gradients = (typeof GRADIENTS)[number];

export const proposalOf = (density: LatentDensity, w: tf.Tensor, proposal: Proposal): DiagonalNormal => {
  if (proposal === 'auxiliary') return density.encode(w);
  const zeros = tf.zeros([...w.shape.slice(0, -1), density.latentSize]);
  return { mean: zeros, logStd: zeros };
};

/**
 * (1), (4) Lower bound of log p(w): log (1/K) Σ_k p(w|z_k) p(z_k) / r(z_k|w), z_k ~ r. It does not fall with K and
 * tends to log p(w). With r = p(z) it is that of Molchanov et al. 2018.
 *
 * @param w [n, d]
 * @param noise standard normals [K, n, l]
 * @param r [n, l]; the density's own encoder unless given
 * @returns [n], nats per kernel
 */
export function lowerBound(
  density: LatentDensity,
  w: tf.Tensor,
  noise: tf.Tensor,
  { r = density.encode(w), gradients }: { r?: DiagonalNormal; gradients?: Gradients } = {},
): tf.Tensor {
  const weights = proposedLogWeights(density, w, noise, { r, gradients }); // [K, n]
  return tf.sub(tf.logSumExp(weights, 0), Math.log(noise.shape[0]));
}

/**
 * (2), (5) Upper bound of log p(w) on average over w that the density itself drew with z_0:
 * log (1/(K+1)) Σ_{k=0..K} p(w|z_k) p(z_k) / s(z_k|w), z_1..z_K ~ s. It does not rise with K and tends to log p(w).
 * Without z_0 in the sum it would be a lower bound. K = 0 is (2); s = p(z) gives Yin & Zhou 2018.
 *
 * @param w [n, d]
 * @param z0 the latent that w was drawn with, [n, l]
 * @param noise standard normals [K, n, l]; undefined for K = 0
 * @param s [n, l]; the density's own encoder unless given
 * @returns [n], nats per kernel
 */
export function upperBound(
  density: LatentDensity,
  w: tf.Tensor,
  z0: tf.Tensor,
  noise: tf.Tensor | undefined,
  { s = density.encode(w), gradients }: { s?: DiagonalNormal; gradients?: Gradients } = {},
): tf.Tensor {
  const own = logImportanceWeight(density, w, z0, s); // [n]
  if (!noise) return own;
  const first = tf.expandDims(own, 0);
  const weights = proposedLogWeights(density, w, noise, { r: s, gradients }, first);
  return tf.sub(tf.logSumExp(tf.concat([first, weights], 0), 0), Math.log(noise.shape[0] + 1));
}

/**
 * Log weights of K draws of r, [K, n].
 *
 * Doubly reparameterised, (26): with shares v_k = weight_k / Σ weights, the gradient through z_k is multiplied by v_k, and
 * that through the density of r is left out. Since Σ_k v_k ∂ log weight_k is what the logarithm of the sum has, the
 * proposal receives Σ_k v_k² ∂ log weight_k/∂z_k ∂z_k/∂r, and p(w|z) p(z) the gradient that it has anyhow.
 *
 * @param first log weights in the same sum that r has not drawn, [1, n]
 */
function proposedLogWeights(
  density: LatentDensity,
  w: tf.Tensor,
  noise: tf.Tensor,
  { r, gradients = 'plain' }: { r: DiagonalNormal; gradients?: Gradients },
  first?: tf.Tensor,
): tf.Tensor {
  const z = reparameterise(r, noise);
  const weights = logImportanceWeight(density, w, z, r);
  if (gradients === 'plain' || density.logWeight) return weights; // (26) is of weights of one term
  const all = first ? tf.concat([first, weights], 0) : weights;
  const shares = tf.exp(tf.sub(weights, tf.expandDims(tf.logSumExp(all, 0), 0))); // [K, n]
  const fixed = { mean: scaleGradient(r.mean, 0), logStd: scaleGradient(r.logStd, 0) };
  return logImportanceWeight(density, w, scaleGradient(z, tf.expandDims(shares, -1)), fixed);
}
