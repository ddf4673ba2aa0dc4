// Kernels of one size as kernels of another: a linear map that acts on rows and columns alike, w' = c·A u (+ noise).
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { type Key, RandomStream } from '../engine/index.js';
import { inputError } from '../errors.js';
import { type KernelSize, kernelLength, type TrainingKernels } from './prior.js';

/**
 * Of k points on a line m others, [m, k]; each row sums to 1. Fewer points are averages over the cells that they cover;
 * more lie between their neighbours, linearly, the outermost ones at the edge.
 */
export function resamplingMatrix(k: number, m: number): Matrix {
  const matrix = Matrix.zeros(m, k);
  const cell = k / m;
  for (let i = 0; i < m; i++) {
    if (m <= k) {
      for (let j = 0; j < k; j++)
        matrix.set(i, j, Math.max(0, Math.min((i + 1) * cell, j + 1) - Math.max(i * cell, j)) / cell);
    } else {
      const at = Math.min(k - 1, Math.max(0, (i + 0.5) * cell - 0.5));
      const left = Math.floor(at);
      const part = at - left;
      matrix.set(i, left, 1 - part);
      if (part > 0) matrix.set(i, left + 1, part);
    }
  }
  return matrix;
}

/**
 * A on whole kernels in row-major order: the Kronecker product of what it does to rows and columns, [d', d]; of filters
 * every channel by itself.
 * @throws DwpError INPUT where the numbers of channels differ
 */
export function kernelMap(from: KernelSize, to: KernelSize): Matrix {
  const [channels, others] = [from.channels ?? 1, to.channels ?? 1];
  if (channels !== others)
    throw inputError(
      `kernels of ${channels} channels do not become kernels of ${others}`,
      'only height and width can be resampled',
    );
  const slice = resamplingMatrix(from.h, to.h).kroneckerProduct(resamplingMatrix(from.w, to.w));
  return channels === 1 ? slice : Matrix.eye(channels).kroneckerProduct(slice);
}

/**
 * (83) w' = c·A u + ε. c keeps the mean of ‖w‖², before ε is added (A alone shrinks it), so that a layer's activations keep their variance, as
 * initialisations do. Where A reaches only a subspace (a larger size), ε is normal in the directions that it does not
 * reach, with the variance of the least variable one that it does; without it the density would be infinite there.
 * @throws DwpError INPUT where the numbers of channels differ
 */
export function resampleKernels(kernels: TrainingKernels, to: KernelSize, key: Key): TrainingKernels {
  const map = kernelMap(kernels, to);
  const [d, m] = [kernelLength(kernels), kernelLength(to)];
  const { count } = kernels;
  const image = new Matrix(
    Array.from({ length: count }, (_, i) => kernels.data.subarray(i * d, (i + 1) * d)),
  ).mmul(map.transpose()); // [n, d']
  const energy = kernels.data.reduce((sum, x) => sum + x * x, 0);
  const left = image.to1DArray().reduce((sum, x) => sum + x * x, 0);
  image.mul(left > 0 ? Math.sqrt(energy / left) : 1);

  const span = new EigenvalueDecomposition(map.mmul(map.transpose()), { assumeSymmetric: true });
  const largest = Math.max(...span.realEigenvalues);
  const missed = span.realEigenvalues.flatMap((value, i) => (value < 1e-9 * largest ? [i] : []));
  if (missed.length > 0) {
    const second = image.transpose().mmul(image).div(count); // E w'w'ᵀ, [d', d']
    const reached = new EigenvalueDecomposition(second, { assumeSymmetric: true }).realEigenvalues
      .sort((a, b) => b - a)
      .slice(0, m - missed.length);
    const noise = new RandomStream(key).fillNormal(new Float32Array(count * missed.length));
    const std = Math.sqrt(Math.max(0, reached.at(-1) ?? 0));
    const directions = span.eigenvectorMatrix.subMatrixColumn(missed); // [d', missed], orthonormal
    const rows = Array.from({ length: count }, (_, i) =>
      noise.subarray(i * missed.length, (i + 1) * missed.length),
    );
    image.add(new Matrix(rows).mmul(directions.transpose()).mul(std));
  }
  return { ...to, count, data: Float32Array.from(image.to1DArray()) };
}
