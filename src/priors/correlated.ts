// A stationary Gaussian: neighbouring pixels are alike, the more so the nearer. N(0, σ² C), where C is
// (1 − ν) exp(−(|Δ|/ℓ)^p) for pixels Δ apart plus ν on the diagonal: four numbers, whatever the size. Of a filter of
// several channels N(0, A ⊗ C): the channels have a covariance A in the place of σ², and share C.
import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import { z } from 'zod';
import { f32 } from '../engine/index.js';
import { inputError } from '../errors.js';
import { gaussianPrior } from './gaussian.js';
import { logDeterminant, lowerInverse, secondMoment } from './mixture/linear-algebra.js';
import {
  type Arrays,
  type KernelSize,
  kernelLength,
  type PriorFamily,
  type TrainingKernels,
  triangle,
} from './prior.js';

const config = z.object({});
type Config = z.infer<typeof config>;

interface Shape {
  length: number;
  nugget: number;
  power: number;
}

/** Share of its variance that a channel must have for itself. */
const DEPENDENT = 1e-10;

/** C of pixels h × w. */
export function correlationMatrix({ h, w }: KernelSize, { length, nugget, power }: Shape): Matrix {
  const d = h * w;
  const c = Matrix.zeros(d, d);
  for (let a = 0; a < d; a++)
    for (let b = 0; b < d; b++) {
      const distance = Math.hypot(Math.floor(a / w) - Math.floor(b / w), (a % w) - (b % w));
      c.set(a, b, (1 - nugget) * Math.exp(-((distance / length) ** power)) + (a === b ? nugget : 0));
    }
  return c;
}

/**
 * The likeliest A given the shape (100), as its Cholesky factor, and the log-likelihood per kernel up to a constant.
 * @throws DwpError INPUT where A is singular
 */
function judge(second: Matrix, size: KernelSize, shape: Shape) {
  const { channels = 1 } = size;
  const lower = new CholeskyDecomposition(correlationMatrix(size, shape)).lowerTriangularMatrix;
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

/** Maximum likelihood by a search on a grid that narrows around the best shape. */
function fit(kernels: TrainingKernels): Arrays {
  const d = kernelLength(kernels);
  const second = secondMoment(kernels, d);
  let best: Shape = { length: 1, nugget: 0.1, power: 1 };
  let bestValue = judge(second, kernels, best).value;
  for (let step = 1; step > 0.02; step /= 2)
    for (let improved = true; improved; ) {
      improved = false;
      const around = [-step, step].flatMap((s): Shape[] => [
        { ...best, length: Math.min(50, Math.max(0.05, best.length * Math.exp(s))) },
        { ...best, nugget: Math.min(1, Math.max(1e-4, best.nugget * Math.exp(s))) },
        { ...best, power: Math.min(2, Math.max(0.2, best.power + 0.5 * s)) },
      ]);
      for (const shape of around) {
        const { value } = judge(second, kernels, shape);
        if (value > bestValue + 1e-6) [best, bestValue, improved] = [shape, value, true];
      }
    }
  const { lower, inverse, between } = judge(second, kernels, best);
  const product = (a: Matrix, b: Matrix) => f32([d, d], Float32Array.from(a.kroneckerProduct(b).to1DArray()));
  return {
    mean: f32([d]),
    cholesky: product(between, lower),
    inverseCholesky: product(lowerInverse(between), inverse),
  };
}

export const correlated: PriorFamily<Config> = {
  name: 'correlated',
  summary: 'stationary normal with four parameters: variance, correlation length, roughness and white noise',
  automatic: () => true,
  config,
  compared: [{ name: 'correlated', label: 'stationary normal', config: {} }],
  fit: { kind: 'closed-form', parameters: fit },
  prior: (size, config, given) => gaussianPrior('correlated', size, config, given),
  freeNumbers: ({ channels = 1 }) => triangle(channels) + 3,
};
