// A posterior to be approximated: a density on ℝᵈ, known up to a constant.
import type { RandomStream, tf } from '../engine/index.js';
import type { Arrays, Tensors } from '../priors/index.js';

export interface Target {
  name: string;
  summary: string;
  dimensions: number;
  /** Typical size of a coordinate: how wide approximations and chains start. */
  scale: number;
  /** What the density is conditioned on. */
  data: Arrays;
  /** log p̃(w): [.., d] → [..], nats. */
  logDensity(data: Tensors, w: tf.Tensor): tf.Tensor;
  /** ∇ log p̃(w) as a formula, which can be differentiated: [n, d] → [n, d]. */
  score(data: Tensors, w: tf.Tensor): tf.Tensor;
  /** log ∫ p̃(w) dw, where it has a formula; else it is estimated by importance sampling. */
  logNormaliser?: number;
  /** A draw of p, where there is a formula for it: what long chains are checked against. */
  draw?(stream: RandomStream): number[];
  /** What pictures show: [−extent, extent]² around `centre`. */
  picture?: { centre: readonly [number, number]; extent: number };
  /** −log p(y|x, 𝒟) of held-out data by averaging over the rows of w [m, d]: nats per example. */
  heldOutNll?(w: Float32Array): number;
}
