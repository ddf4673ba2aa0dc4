// Hamiltonian Monte Carlo (Duane et al. 1987; Neal 2011, section 5.3) of many chains at once, as functions of tensors
// that an engine compiles. Every row of a position is a chain of its own. Equation numbers are those of docs/math.md.
import { spec, stopGradient, tf, valueAndGradients } from '../engine/index.js';

/** log π(x) up to a constant, chain by chain: [c, d] → [c], nats. */
export type LogDensity = (position: tf.Tensor) => tf.Tensor;

/** Where chains are, with what the next transition needs to know of the target there. */
export interface ChainState {
  position: tf.Tensor; // [c, d]
  logDensity: tf.Tensor; // [c]
  gradient: tf.Tensor; // ∇ log π, [c, d]
}

/**
 * Chains at a position: one evaluation of the target and of its gradient. Within a function that is differentiated,
 * chains are constants: no gradient goes back through them, not even to what the target depends on besides.
 */
export function chainsAt(target: LogDensity, from: tf.Tensor): ChainState {
  const position = stopGradient(from);
  const { aux, gradients } = valueAndGradients(
    ({ position }) => {
      const logDensity = target(position);
      return { objective: tf.sum(logDensity) as tf.Scalar, aux: { logDensity } }; // chains do not know each other
    },
    { position },
  );
  return { position, logDensity: aux.logDensity, gradient: gradients.position };
}

/**
 * (36) `steps` leapfrog steps of x' = p, p' = ∇ log π(x): reversible, and of unit Jacobian.
 * @param stepSize broadcasts to [c, d]; a different one for each dimension acts as a diagonal mass matrix
 */
export function leapfrog(
  target: LogDensity,
  start: ChainState,
  momentum: tf.Tensor, // [c, d]
  stepSize: tf.Tensor,
  steps: number,
): { state: ChainState; momentum: tf.Tensor } {
  const kick = ({ gradient }: ChainState, part: number) => tf.mul(tf.mul(gradient, stepSize), part);
  let state = start;
  let p = tf.add(momentum, kick(state, 0.5));
  for (let i = 1; i <= steps; i++) {
    state = chainsAt(target, tf.add(state.position, tf.mul(p, stepSize)));
    p = tf.add(p, kick(state, i < steps ? 1 : 0.5));
  }
  return { state, momentum: p };
}

/** Standard normals for one transition of c chains in d dimensions. */
export const transitionNoise = (c: number, d: number) => ({
  momentum: spec([c, d]),
  acceptance: spec([2, c]),
});

export interface TransitionNoise {
  momentum: tf.Tensor; // [c, d]
  acceptance: tf.Tensor; // [2, c]
}

/**
 * (37) Metropolis' rule: whether log u < logRatio with u uniform. −log u is exponential, as half the sum of two squared
 * standard normals is. A ratio that is not a number is refused.
 * @param logRatio log π(new) − log π(old), momenta included, [c]
 * @returns `accepted` booleans [c]; `probability` min(1, ratio), [c]
 */
export function metropolis(
  logRatio: tf.Tensor,
  noise: tf.Tensor,
): { accepted: tf.Tensor; probability: tf.Tensor } {
  const logUniform = tf.mul(tf.sum(tf.square(noise), 0), -0.5);
  const possible = tf.greater(logRatio, -80); // false for NaN
  return {
    accepted: tf.logicalAnd(possible, tf.less(logUniform, logRatio)),
    probability: tf.where(possible, tf.exp(tf.minimum(logRatio, 0)), tf.zerosLike(logRatio)),
  };
}

/** One transition that leaves π invariant, and the probability with which each chain was to accept it, [c]. */
export function hmc(
  target: LogDensity,
  start: ChainState,
  noise: TransitionNoise,
  stepSize: tf.Tensor,
  steps: number,
): { state: ChainState; acceptance: tf.Tensor } {
  const end = leapfrog(target, start, noise.momentum, stepSize, steps);
  const kinetic = (p: tf.Tensor) => tf.mul(tf.sum(tf.square(p), -1), 0.5);
  const logRatio = tf.sub(
    tf.sub(end.state.logDensity, kinetic(end.momentum)),
    tf.sub(start.logDensity, kinetic(noise.momentum)),
  );
  const { accepted, probability } = metropolis(logRatio, noise.acceptance);
  return { state: select(accepted, end.state, start), acceptance: probability };
}

/** `yes` for the chains of which `chosen` [c] is true, `no` for the others. */
export function select(chosen: tf.Tensor, yes: ChainState, no: ChainState): ChainState {
  const rows = (x: tf.Tensor) => tf.broadcastTo(tf.expandDims(chosen, -1), x.shape as [number, number]);
  return {
    position: tf.where(rows(yes.position), yes.position, no.position),
    logDensity: tf.where(chosen, yes.logDensity, no.logDensity),
    gradient: tf.where(rows(yes.gradient), yes.gradient, no.gradient),
  };
}

/**
 * (38) Step size by stochastic approximation (Robbins & Monro 1951; for chains, Andrieu & Thoms 2008, section 5.2):
 * log ε ← log ε + gain · (mean acceptance − wanted), where too many acceptances say that steps could be longer.
 */
export const adaptedLogStep = (
  logStep: tf.Tensor,
  acceptance: tf.Tensor,
  gain: tf.Tensor | number,
  wanted: number,
): tf.Tensor => tf.add(logStep, tf.mul(gain, tf.sub(tf.mean(acceptance), wanted)));
