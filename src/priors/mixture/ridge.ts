// Covariances of few points (126). Those of fewer than 20 per dimension are drawn towards the isotropic one,
// (1 − λ) S + λ (tr S / d) I, with the λ under which points left out are likeliest (Warton 2008).
import { EigenvalueDecomposition } from 'ml-matrix';
import type { RandomStream } from '../../engine/index.js';
import type { Points } from './em.js';
import { secondMoment } from './linear-algebra.js';
import { take } from './take.js';

const ENOUGH = 20;
const FOLDS = 5;
const CANDIDATES = [0, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1];
/** The least variance, relative to the mean: what is constant has no likelihood. */
const LEAST = 1e-6;

/** Mean of points, [d]. */
export function meanOf({ data, count, size: d }: Points): Float64Array {
  const mean = new Float64Array(d);
  for (let i = 0; i < count; i++) for (let j = 0; j < d; j++) mean[j] += data[i * d + j] / count;
  return mean;
}

/** Points left out, [folds] of pairs. */
export function foldsOf(points: Points, stream: RandomStream): { train: Points; test: Points }[] {
  const order = Array.from(stream.permutation(points.count));
  const folds = Math.min(FOLDS, points.count);
  return Array.from({ length: folds }, (_, fold) => ({
    train: take(
      points,
      order.filter((_, i) => i % folds !== fold),
    ),
    test: take(
      points,
      order.filter((_, i) => i % folds === fold),
    ),
  }));
}

/** λ; 0 where there are points enough, 1 where there are too few to leave some out. */
export function chooseRidge(points: Points, stream: RandomStream): number {
  const { count, size: d } = points;
  if (count >= ENOUGH * d) return 0;
  if (count < 3) return 1;
  const least = (LEAST * secondMoment(points, d, meanOf(points)).trace()) / d;
  const fit = new Float64Array(CANDIDATES.length); // −2 log-likelihood, up to a constant
  for (const { train, test } of foldsOf(points, stream)) {
    const mean = meanOf(train);
    const covariance = secondMoment(train, d, mean);
    const isotropic = covariance.trace() / d;
    const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(covariance, {
      assumeSymmetric: true,
    });
    const squares = new Float64Array(d); // along eigenvectors, summed over the points left out
    for (let i = 0; i < test.count; i++)
      for (let k = 0; k < d; k++) {
        let y = 0;
        for (let j = 0; j < d; j++) y += (test.data[i * d + j] - mean[j]) * eigenvectorMatrix.get(j, k);
        squares[k] += y * y;
      }
    CANDIDATES.forEach((ridge, c) => {
      for (let k = 0; k < d; k++) {
        const variance = (1 - ridge) * Math.max(0, realEigenvalues[k]) + ridge * isotropic + least;
        fit[c] += squares[k] / variance + test.count * Math.log(variance);
      }
    });
  }
  return CANDIDATES[fit.indexOf(Math.min(...fit))];
}
