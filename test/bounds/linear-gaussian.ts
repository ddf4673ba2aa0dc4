// A latent-variable density of which everything is known: p(w|z) = N(Az + b, σ²I), p(z) = N(0, I). The columns of A
// are orthogonal, so that p(z|w) is a diagonal normal as r(z|w) is. (Any A can be brought to that form: rotating z
// by the right singular vectors of A leaves p(z) and p(w) as they are.)
import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import type { LatentDensity } from '../../src/distributions/latent.js';
import { type DiagonalNormal, logDensity, logStandardDensity } from '../../src/distributions/normal.js';
import { f32, type NdArray, RandomStream, seedKey, tf } from '../../src/engine/index.js';
import type { KernelPrior } from '../../src/priors/index.js';

export const D = 6; // kernels of 2×3
export const LATENT = 3;
const SIGMA = 0.6;
const LENGTHS = [1.5, 0.8, 0.3]; // of A's columns

const stream = new RandomStream(seedKey(20));
/** Mean of p(w). */
export const B = Float64Array.from({ length: D }, () => 0.5 * stream.normal());

/** [d][l], by Gram-Schmidt on random columns. */
const A: number[][] = (() => {
  const columns: number[][] = [];
  for (const length of LENGTHS) {
    let column = Array.from({ length: D }, () => stream.normal());
    for (const done of columns) {
      const norm2 = done.reduce((sum, x) => sum + x * x, 0);
      const along = done.reduce((sum, x, i) => sum + x * column[i], 0) / norm2;
      column = column.map((x, i) => x - along * done[i]);
    }
    const norm = Math.hypot(...column);
    columns.push(column.map((x) => (x * length) / norm));
  }
  return Array.from({ length: D }, (_, i) => columns.map((column) => column[i]));
})();

/** Variance of z_j given any w: 1 / (1 + |a_j|²/σ²). */
export const POSTERIOR_VARIANCE = LENGTHS.map((length) => 1 / (1 + (length / SIGMA) ** 2));

/** How r differs from p(z|w): its mean by so much, its standard deviation by this factor. */
export interface Perturbation {
  shift: number;
  factor: number;
}
export const EXACT: Perturbation = { shift: 0, factor: 1 };

/** (10) KL( r(z|w) ‖ p(z|w) ), nats; it does not depend on w. */
export const klFromPosterior = ({ shift, factor }: Perturbation): number =>
  POSTERIOR_VARIANCE.reduce(
    (sum, variance) => sum + 0.5 * (factor ** 2 + shift ** 2 / variance - 1 - 2 * Math.log(factor)),
    0,
  );

/** KL( p(z|w) ‖ r(z|w) ), nats; it does not depend on w. */
export const klToPosterior = ({ shift, factor }: Perturbation): number =>
  POSTERIOR_VARIANCE.reduce(
    (sum, variance) => sum + 0.5 * ((1 + shift ** 2 / variance) / factor ** 2 - 1 + 2 * Math.log(factor)),
    0,
  );

export function linearGaussian({ shift, factor }: Perturbation): LatentDensity {
  const rows = (x: tf.Tensor, f: (x: tf.Tensor2D) => tf.Tensor) => {
    const out = f(tf.reshape(x, [-1, x.shape.at(-1)!]) as tf.Tensor2D);
    return tf.reshape(out, [...x.shape.slice(0, -1), out.shape[1]!]);
  };
  const a = () => tf.tensor2d(A);
  const b = () => tf.tensor1d([...B]);
  // p(z|w) = N( variance_j · a_jᵀ(w − b)/σ², variance_j )
  const gain = () => tf.tensor2d(A.map((row) => row.map((x, j) => (x * POSTERIOR_VARIANCE[j]) / SIGMA ** 2)));
  const logStd = () => tf.tensor1d(POSTERIOR_VARIANCE.map((v) => 0.5 * Math.log(v) + Math.log(factor)));
  return {
    latentSize: LATENT,
    encode: (w): DiagonalNormal => {
      const mean = rows(w, (x) => tf.add(tf.matMul(tf.sub(x, b()) as tf.Tensor2D, gain()), shift));
      return { mean, logStd: tf.add(tf.zerosLike(mean), logStd()) };
    },
    logLikelihood: (w, z) =>
      logDensity(w, {
        mean: rows(z, (x) => tf.add(tf.matMul(x, a(), false, true), b())),
        logStd: tf.scalar(Math.log(SIGMA)),
      }),
    logLatent: logStandardDensity,
  };
}

/** The same as a prior of 2×3 kernels. */
export const linearGaussianPrior = (perturbation: Perturbation): KernelPrior => ({
  family: 'linear-gaussian',
  size: { h: 2, w: 3 },
  config: {},
  parameters: {},
  generateNoise: () => ({}),
  generate: () => {
    throw new Error('not needed');
  },
  density: { kind: 'latent', latentSize: LATENT, encoder: [], of: () => linearGaussian(perturbation) },
});

// In double precision, by a Cholesky decomposition of p(w)'s covariance C = AAᵀ + σ²I = LLᵀ.
export const COVARIANCE = new Matrix(A).mmul(new Matrix(A).transpose()).add(Matrix.eye(D).mul(SIGMA ** 2));
const LOWER = new CholeskyDecomposition(COVARIANCE).lowerTriangularMatrix;

/** L⁻¹x */
function whiten(x: ArrayLike<number>): number[] {
  const out: number[] = [];
  for (let i = 0; i < D; i++) {
    let sum = x[i];
    for (let k = 0; k < i; k++) sum -= LOWER.get(i, k) * out[k];
    out.push(sum / LOWER.get(i, i));
  }
  return out;
}
const squaredNorm = (x: readonly number[]) => x.reduce((sum, v) => sum + v * v, 0);
const LOG_DETERMINANT = LOWER.diagonal().reduce((sum, x) => sum + 2 * Math.log(x), 0);
const CONSTANT = -0.5 * (D * Math.log(2 * Math.PI) + LOG_DETERMINANT);

/** log p(w) = log N(w | b, C) */
export const exactLogDensity = (w: ArrayLike<number>): number =>
  CONSTANT - 0.5 * squaredNorm(whiten(Array.from(w, (x, i) => x - B[i])));

/** The same of rows [n, d]. */
export const exactLogDensities = ({ data, shape: [n] }: NdArray): Float64Array =>
  Float64Array.from({ length: n }, (_, i) => exactLogDensity(data.subarray(i * D, (i + 1) * D)));

/** E_q log p(w) = log N(mean | b, C) − ½ Σ_j (C⁻¹)_jj std_j² for q = N(mean, diag std²). */
export function exactExpectedLogDensity(mean: ArrayLike<number>, std: ArrayLike<number>): number {
  let trace = 0;
  for (let j = 0; j < D; j++)
    trace += squaredNorm(whiten(Array.from({ length: D }, (_, i) => (i === j ? std[j] : 0))));
  return exactLogDensity(mean) - 0.5 * trace;
}

/** n draws of w = Az + b + σε, [n, d]. */
export const draw = (n: number, seed: number) => drawWithLatent(n, seed).w;

/** The same, and the z [n, l] of each. */
export function drawWithLatent(n: number, seed: number) {
  const noise = new RandomStream(seedKey(seed));
  const w = f32([n, D]);
  const latent = f32([n, LATENT]);
  for (let i = 0; i < n; i++) {
    const z = Array.from({ length: LATENT }, () => noise.normal());
    latent.data.set(z, i * LATENT);
    for (let j = 0; j < D; j++)
      w.data[i * D + j] = B[j] + SIGMA * noise.normal() + A[j].reduce((sum, a, l) => sum + a * z[l], 0);
  }
  return { w, latent };
}
