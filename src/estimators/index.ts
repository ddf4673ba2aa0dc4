// Estimators of KL(q ‖ p) for a q that is known by draws: one file each.
import { bound } from './bound.js';
import { densityRatio } from './density-ratio.js';
import type { Estimator } from './estimator.js';
import { exact } from './exact.js';
import { operator } from './operator.js';
import { spectralStein } from './spectral-stein.js';
import { uivi } from './uivi.js';

export type { Estimator, LogDensity, Objective, Problem } from './estimator.js';
export { type Draws, type Sampler, type SamplerFamily, samplerOf } from './sampler.js';

const K = [1, 10, 100];

export const estimators: readonly Estimator[] = [
  exact,
  bound('hvi', 0, 'way 1: bound (2) of the entropy with an auxiliary network'),
  ...K.map((k) => bound('sivi', k, `way 2: bound (5), ${k} draws of q(ζ) beside the true one`)),
  ...K.map((k) => bound('multisample', k, `ways 1 and 2: bound (5), ${k} draws of an auxiliary network`)),
  uivi,
  densityRatio,
  spectralStein,
  operator,
];
