// Chains over one long vector whose log-density is computed elsewhere and may take long: a network's. Hamiltonian Monte
// Carlo, and stochastic gradients with noise: SGLD (Welling & Teh 2011), SGHMC (Chen, Fox & Guestrin 2014).
import type { RandomStream } from '../engine/index.js';

/** log π(x) up to a constant, nats, not finite where x cannot be; its gradient is written into `gradient`, [P]. */
export type Evaluate = (x: Float32Array, gradient: Float32Array) => Promise<number>;

export interface Point {
  position: Float32Array; // [P]
  logDensity: number;
  gradient: Float32Array; // [P]
}

/**
 * One transition (36), (37) that leaves π as it is; one that leads to where nothing is finite is refused.
 * @param scale of each dimension, which steps are in units of, [P]
 * @returns where the chain is now, and the probability with which it was to move
 */
export async function hamiltonianMove(
  evaluate: Evaluate,
  start: Point,
  stepSize: number,
  scale: Float32Array,
  steps: number,
  stream: RandomStream,
): Promise<{ point: Point; acceptance: number }> {
  const size = start.position.length;
  const momentum = stream.fillNormal(new Float32Array(size));
  const kinetic = () => momentum.reduce((sum, p) => sum + 0.5 * p * p, 0);
  const energy = start.logDensity - kinetic();
  const point: Point = {
    position: start.position.slice(),
    logDensity: start.logDensity,
    gradient: start.gradient.slice(),
  };
  addScaled(momentum, point.gradient, 0.5 * stepSize, scale);
  for (let i = 1; i <= steps; i++) {
    addScaled(point.position, momentum, stepSize, scale);
    point.logDensity = await evaluate(point.position, point.gradient);
    if (!Number.isFinite(point.logDensity)) return { point: start, acceptance: 0 };
    addScaled(momentum, point.gradient, i < steps ? stepSize : 0.5 * stepSize, scale);
  }
  const logRatio = point.logDensity - kinetic() - energy;
  const acceptance = Number.isFinite(logRatio) ? Math.min(1, Math.exp(logRatio)) : 0;
  return { point: Math.log(stream.uniform()) < Math.log(acceptance) ? point : start, acceptance };
}

/** x ← x + ½h² ∇log π(x) + h η, in place: Langevin dynamics with ε = h². */
export function langevinMove(
  position: Float32Array,
  gradient: Float32Array,
  stepSize: number,
  stream: RandomStream,
): void {
  add(position, gradient, 0.5 * stepSize * stepSize);
  add(position, stream.fillNormal(new Float32Array(position.length)), stepSize);
}

/** Friction γ per unit of time: critical for what has the prior's scale, 1, the slowest of all. */
export const FRICTION = 2;

/**
 * (65) p ← c p + ½(1+c) h ∇log π(x) + √(1−c²) η with c = exp(−γh),  x ← x + h p, in place: half a kick, friction and noise,
 * half a kick, a drift.
 */
export function frictionMove(
  position: Float32Array,
  momentum: Float32Array,
  gradient: Float32Array,
  stepSize: number,
  stream: RandomStream,
): void {
  const left = Math.exp(-FRICTION * stepSize);
  for (let i = 0; i < momentum.length; i++) momentum[i] *= left;
  add(momentum, gradient, 0.5 * (1 + left) * stepSize);
  add(momentum, stream.fillNormal(new Float32Array(position.length)), Math.sqrt(1 - left * left));
  add(position, momentum, stepSize);
}

/** Part of a cycle, its end, that draws are kept from. */
const SAMPLED = 0.5;

/**
 * (66) Step size of step t = 1..steps by a cyclical schedule (Zhang et al. 2020, section 3): h² = h₀²/2 (1 + cos πx),
 * that is h = h₀ cos(πx/2), with x in [0, 1) through each cycle.
 */
export function cyclicalStep(
  t: number,
  steps: number,
  cycles: number,
  largest: number,
): { stepSize: number; sampled: boolean } {
  const length = Math.ceil(steps / cycles);
  const x = ((t - 1) % length) / length;
  return { stepSize: largest * Math.cos((Math.PI / 2) * x), sampled: x >= 1 - SAMPLED };
}

/** x ← x + factor · y */
function add(x: Float32Array, y: Float32Array, factor: number): void {
  for (let i = 0; i < x.length; i++) x[i] += factor * y[i];
}

/** x ← x + factor · scale ⊙ y */
function addScaled(x: Float32Array, y: Float32Array, factor: number, scale: Float32Array): void {
  for (let i = 0; i < x.length; i++) x[i] += factor * scale[i] * y[i];
}
