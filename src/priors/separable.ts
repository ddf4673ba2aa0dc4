// Normals N(0, A ⊗ C) of filters: channels have a covariance A, and their pixels share a correlation C that a few numbers
// tell. The likeliest A has a closed form (100); the few numbers are searched.
import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import { f32 } from '../engine/index.js';
import { inputError } from '../errors.js';
import { logDeterminant, lowerInverse, secondMoment } from './mixture/linear-algebra.js';
import { type Arrays, type KernelSize, kernelLength, type TrainingKernels } from './prior.js';

/** Share of its variance that a channel must have for itself. */
const DEPENDENT = 1e-10;

/**
 * The likeliest A given C, as its Cholesky factor, and the log-likelihood per kernel up to a constant.
 * @returns undefined where C is not positive definite
 * @throws DwpError INPUT where A is singular
 */
function judge(second: Matrix, { channels = 1 }: KernelSize, correlation: Matrix) {
  const decomposed = new CholeskyDecomposition(correlation);
  if (!decomposed.isPositiveDefinite()) return undefined;
  const lower = decomposed.lowerTriangularMatrix;
  const inverse = lowerInverse(lower);
  const precision = inverse.transpose().mmul(inverse); // C⁻¹
  const d = lower.rows; // of one channel
  const covariance = Matrix.zeros(channels, channels);
  for (let a = 0; a < channels; a++)
    for (let b = 0; b <= a; b++) {
      const block = second.subMatrix(a * d, a * d + d - 1, b * d, b * d + d - 1); // S_ab
      const value = Matrix.mul(precision, block).sum() / d; // tr(C⁻¹ S_ab) / d
      covariance.set(a, b, value);
      covariance.set(b, a, value);
    }
  const between = new CholeskyDecomposition(covariance).lowerTriangularMatrix;
  // what is left of a channel's variance given those before it, beside rounding
  if (between.diagonal().some((x, a) => !(x * x > DEPENDENT * covariance.get(a, a))))
    throw inputError(
      channels > 1
        ? `the ${channels} channels of the kernels are linearly dependent: no density of them is bounded`
        : 'all kernels are 0: no density of them is bounded',
      'fit slices instead, or give other kernels',
    );
  return { lower, inverse, between, value: -channels * logDeterminant(lower) - d * logDeterminant(between) };
}

/** A family of correlations C of pixels. */
export interface Correlations<S> {
  /** Where the search starts. */
  start: S;
  matrix(size: KernelSize, shape: S): Matrix;
  /** Shapes that are `step` away. */
  around(shape: S, step: number): S[];
}

/** Maximum likelihood by a search on a grid that narrows around the best shape: arrays of a normal, and the shape. */
export function fitSeparable<S>(
  kernels: TrainingKernels,
  { start, matrix, around }: Correlations<S>,
): { arrays: Arrays; shape: S } {
  const d = kernelLength(kernels);
  const second = secondMoment(kernels, d);
  const of = (shape: S) => judge(second, kernels, matrix(kernels, shape));
  let best = { shape: start, fit: of(start)! };
  for (let step = 1; step > 0.02; step /= 2)
    for (let improved = true; improved; ) {
      improved = false;
      for (const shape of around(best.shape, step)) {
        const fit = of(shape);
        if (fit && fit.value > best.fit.value + 1e-6) [best, improved] = [{ shape, fit }, true];
      }
    }
  const { lower, inverse, between } = best.fit;
  const product = (a: Matrix, b: Matrix) => f32([d, d], Float32Array.from(a.kroneckerProduct(b).to1DArray()));
  const arrays = {
    mean: f32([d]),
    cholesky: product(between, lower),
    inverseCholesky: product(lowerInverse(between), inverse),
  };
  return { arrays, shape: best.shape };
}
