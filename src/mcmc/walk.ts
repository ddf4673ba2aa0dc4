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
 * @returns where the chain is now, and the probability with which it was to move
 */
export async function hamiltonianMove(
  evaluate: Evaluate,
  start: Point,
  stepSize: number,
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
  add(momentum, point.gradient, 0.5 * stepSize);
  for (let i = 1; i <= steps; i++) {
    add(point.position, momentum, stepSize);
    point.logDensity = await evaluate(point.position, point.gradient);
    if (!Number.isFinite(point.logDensity)) return { point: start, acceptance: 0 };
    add(momentum, point.gradient, i < steps ? stepSize : 0.5 * stepSize);
  }
  const logRatio = point.logDensity - kinetic() - energy;
  const acceptance = Number.isFinite(logRatio) ? Math.min(1, Math.exp(logRatio)) : 0;
  return { point: Math.log(stream.uniform()) < Math.log(acceptance) ? point : start, acceptance };
}

/** x ← x + ½ε ∇log π(x) + √ε η, in place; without noise it is gradient ascent. */
export function langevinMove(
  position: Float32Array,
  gradient: Float32Array,
  stepSize: number,
  stream?: RandomStream,
): void {
  add(position, gradient, 0.5 * stepSize);
  if (stream) add(position, stream.fillNormal(new Float32Array(position.length)), Math.sqrt(stepSize));
}

/** Of SGHMC: what a step loses of its velocity. */
export const FRICTION = 0.1;

/** v ← (1 − α) v + ε ∇log π(x) + √(2αε) η,  x ← x + v, in place. */
export function frictionMove(
  position: Float32Array,
  velocity: Float32Array,
  gradient: Float32Array,
  stepSize: number,
  stream?: RandomStream,
): void {
  for (let i = 0; i < velocity.length; i++) velocity[i] *= 1 - FRICTION;
  add(velocity, gradient, stepSize);
  const noise = stream?.fillNormal(new Float32Array(position.length));
  if (noise) add(velocity, noise, Math.sqrt(2 * FRICTION * stepSize));
  add(position, velocity, 1);
}

/** Part of a cycle in which noise is added and draws are kept (Zhang et al. 2020, section 3). */
const SAMPLED = 0.2;

/**
 * Step size of step t = 1..steps by a cyclical schedule, ε₀/2 (1 + cos πx) with x in [0, 1) through each cycle: long
 * steps that find another mode, then short ones that draw from it.
 */
export function cyclicalStep(
  t: number,
  steps: number,
  cycles: number,
  largest: number,
): { stepSize: number; sampled: boolean } {
  const length = Math.ceil(steps / cycles);
  const x = ((t - 1) % length) / length;
  return { stepSize: (largest / 2) * (1 + Math.cos(Math.PI * x)), sampled: x >= 1 - SAMPLED };
}

/** x ← x + factor · y */
function add(x: Float32Array, y: Float32Array, factor: number): void {
  for (let i = 0; i < x.length; i++) x[i] += factor * y[i];
}
