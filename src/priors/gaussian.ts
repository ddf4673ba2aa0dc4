// N(μ, Σ) with a full covariance, by maximum likelihood: the density that a better prior must beat.
import { CholeskyDecomposition, type Matrix } from 'ml-matrix';
import { z } from 'zod';
import { LOG_2PI } from '../distributions/normal.js';
import { f32, RandomStream, seedKey, spec, tf } from '../engine/index.js';
import { positiveNumber } from './fields.js';
import { lowerInverse, secondMoment } from './mixture/linear-algebra.js';
import { chooseRidge, meanOf } from './mixture/ridge.js';
import { requirePositive, requireShapes, requireSpread } from './parameters.js';
import {
  type Arrays,
  type KernelPrior,
  type KernelSize,
  kernelLength,
  type PriorFamily,
  type TrainingKernels,
  triangle,
} from './prior.js';

const config = z.object({
  jitter: positiveNumber()
    .default(1e-6)
    .describe('number added to the diagonal of Σ, relative to the mean of the diagonal'),
});
type Config = z.infer<typeof config>;

/** Mean, lower Cholesky factor L of Σ, and its inverse: [d], [d, d], [d, d]. */
function fit(kernels: TrainingKernels, { jitter }: Config): Arrays {
  requireSpread(kernels);
  const d = kernelLength(kernels);
  const points = { ...kernels, size: d };
  const mean = meanOf(points);
  const covariance = secondMoment(points, d, mean);
  const isotropic = covariance.trace() / d;
  const lambda = chooseRidge(points, new RandomStream(seedKey(0)));
  if (lambda > 0) covariance.mul(1 - lambda);
  for (let j = 0; j < d; j++) covariance.set(j, j, covariance.get(j, j) + (lambda + jitter) * isotropic);
  const lower = new CholeskyDecomposition(covariance).lowerTriangularMatrix;
  const inverse = lowerInverse(lower);
  const array = (m: Matrix) => f32([d, d], Float32Array.from(m.to1DArray()));
  return { mean: f32([d], Float32Array.from(mean)), cholesky: array(lower), inverseCholesky: array(inverse) };
}

/** Numbers of a mean and a covariance. */
export const gaussianNumbers = (d: number): number => d + triangle(d);

/** N(μ, Σ) of stored arrays, for every family that is one. */
export function gaussianPrior(
  family: string,
  size: KernelSize,
  config: Record<string, unknown>,
  given: Arrays,
): KernelPrior {
  const d = kernelLength(size);
  const parameters = requireShapes(given, { mean: [d], cholesky: [d, d], inverseCholesky: [d, d] });
  const diagonal = Array.from({ length: d }, (_, j) => parameters.cholesky.data[j * d + j]);
  requirePositive("cholesky's diagonal", diagonal);
  const logDeterminant = diagonal.reduce((sum, x) => sum + Math.log(x), 0); // log det L = ½ log det Σ
  const constant = -logDeterminant - 0.5 * d * LOG_2PI;
  // ‖L⁻¹(w − μ)‖², row by row
  const whiten = (parameters: Record<string, tf.Tensor>, w: tf.Tensor) =>
    tf.matMul(tf.sub(w, parameters.mean), parameters.inverseCholesky, false, true);
  return {
    family,
    size,
    config,
    parameters,
    generateNoise: (n) => ({ kernels: spec([n, d]) }),
    generate: (parameters, { kernels }) =>
      tf.add(tf.matMul(kernels, parameters.cholesky, false, true), parameters.mean),
    density: {
      kind: 'exact',
      logDensity: (parameters, w) =>
        tf.add(tf.mul(tf.sum(tf.square(whiten(parameters, w)), -1), -0.5), constant),
      // (14) E_q log N(w | μ, Σ) = −½ [ ‖L⁻¹(mean − μ)‖² + Σ_j (Σ⁻¹)_jj std_j² ] − log det L − ½ d log 2π
      expectedLogDensity: (parameters, { mean, logStd }) => {
        const precision = tf.sum(tf.square(parameters.inverseCholesky), 0); // diagonal of Σ⁻¹ = L⁻ᵀL⁻¹, [d]
        const distance = tf.sum(tf.square(whiten(parameters, mean)), 1);
        const spread = tf.sum(tf.mul(tf.exp(tf.mul(logStd, 2)), precision), 1);
        return tf.add(tf.mul(tf.add(distance, spread), -0.5), constant);
      },
    },
  };
}

export const gaussian: PriorFamily<Config> = {
  name: 'gaussian',
  summary: 'normal with a full covariance, fitted by maximum likelihood',
  automatic: () => ({}),
  config,
  compared: [{ name: 'gaussian', label: 'N(μ, Σ)', config: {} }],
  fit: { kind: 'closed-form', parameters: fit },
  prior: (size, config, given) => gaussianPrior('gaussian', size, config, given),
  freeNumbers: (size) => gaussianNumbers(kernelLength(size)),
};
