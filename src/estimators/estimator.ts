// What an estimator of KL(q ‖ p) and of its gradient is, when q(w) is known by draws, or by draws and ζ, and p(w) up
// to a constant: p(w) = p̃(w) / Z. All that differs between them is what stands in for log q(w).
import { type Key, tf } from '../engine/index.js';
import type { Arrays, Specs, Tensors } from '../priors/index.js';
import type { Draws, Sampler, SamplerFamily } from './sampler.js';

/** log p̃(w): [.., d] → [..], nats. */
export type LogDensity = (w: tf.Tensor) => tf.Tensor;

export interface Problem {
  q: Sampler;
  logTarget: LogDensity;
  /** ∇ log p̃: [n, d] → [n, d], differentiable. */
  score(w: tf.Tensor): tf.Tensor;
}

export interface Objective {
  /** What gradient descent goes down on, for q's parameters and the estimator's own at once: a scalar. */
  descend: tf.Scalar;
  /** What the estimator takes E_q log q − E_q log p̃ = KL(q ‖ p) − log Z for, nats; those of gradients have none. */
  value?: tf.Scalar;
}

/** One file each, one line in index.ts. */
export interface Estimator {
  name: string;
  summary: string;
  /** The family with the least known density that it can fit. */
  family: SamplerFamily;
  /** Whether the objective has a value, E_q log q − E_q log p̃ as it sees it, and not a gradient only. */
  valued: boolean;
  /** Parameters of its own that are trained along: a classifier, a test function. */
  auxiliary?(d: number, key: Key): Arrays;
  /** Standard normals beside those of q's n draws. */
  noise?(q: Sampler, n: number): Specs;
  /** ∇ log q at draws w [n, d] (row-major), computed outside of the step: [n, d]. */
  scores?(w: Float32Array, n: number, d: number): Float32Array;
  /** @param parameters q's, and the estimator's own under `auxiliary` names */
  objective(
    problem: Problem,
    parameters: { q: Tensors; auxiliary: Tensors },
    draws: Draws,
    given: { noise: Tensors; scores?: tf.Tensor },
  ): Objective;
}

/** E_q log q − E_q log p̃ with log q(w), or what stands in for it, at the draws: [n], [n, d] → scalar. */
export const divergence = (logQ: tf.Tensor, w: tf.Tensor, logTarget: LogDensity): tf.Scalar =>
  tf.mean(tf.sub(logQ, logTarget(w))) as tf.Scalar;
