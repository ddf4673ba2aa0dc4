// Noise of a kernel density estimate: its covariance, and how its width differs from kernel to kernel.
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import type { Points } from '../mixture/em.js';
import { secondMoment } from '../mixture/linear-algebra.js';

export const NOISES = ['isotropic', 'correlated'] as const;

export interface Rows extends Points {
  data: Float64Array;
}

export interface Noise {
  /** Kernels in coordinates in which the noise is isotropic. */
  coordinates: Rows;
  /** From coordinates to kernels and back, symmetric; kernels are rows. */
  colouring: Matrix;
  whitening: Matrix;
  /** log |det whitening| */
  logVolume: number;
}

/** Least variance of the noise in a direction, relative to the mean. */
const LEAST = 1e-3;

/** @returns isotropic noise of the size of the kernels, or noise with the covariance that kernels of norm 1 have */
export function noiseOf(name: (typeof NOISES)[number], points: Rows): Noise {
  const { data, count, size: d } = points;
  const rms = Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length) || 1;
  const { realEigenvalues, eigenvectorMatrix: v } = new EigenvalueDecomposition(
    name === 'isotropic' ? Matrix.eye(d) : secondMoment(directions(points), d),
    { assumeSymmetric: true },
  );
  const mean = realEigenvalues.reduce((a, b) => a + b, 0) / d;
  const stds = realEigenvalues.map((x) => rms * Math.sqrt(Math.max(LEAST, x / mean)));
  const turned = (diagonal: number[]) => v.mmul(Matrix.diag(diagonal)).mmul(v.transpose());
  const whitening = turned(stds.map((s) => 1 / s));
  const rows = Matrix.from1DArray(count, d, Array.from(data)).mmul(whitening).to1DArray();
  return {
    coordinates: { data: Float64Array.from(rows), count, size: d },
    colouring: turned(stds),
    whitening,
    logVolume: -stds.reduce((sum, s) => sum + Math.log(s), 0),
  };
}

function directions({ data, count, size: d }: Rows): Rows {
  const units = new Float64Array(count * d);
  for (let i = 0; i < count; i++) {
    const norm = Math.hypot(...data.subarray(i * d, (i + 1) * d)) || 1;
    for (let at = i * d; at < (i + 1) * d; at++) units[at] = data[at] / norm;
  }
  return { data: units, count, size: d };
}

/** The same for all kernels, as large as the kernel, or as far as its neighbours are. */
export const LOCAL = ['same', 'norm', 'neighbour'] as const;

/** The neighbour whose distance counts. */
const NEIGHBOUR = 5;
/** Least width, relative to the mean. */
const NARROWEST = 1e-3;

/** Widths of the noise of each kernel, up to a factor: [n], of mean 1. */
export function widthsOf(points: Points, local: (typeof LOCAL)[number]): Float64Array {
  const { count } = points;
  const raw =
    local === 'same'
      ? new Float64Array(count).fill(1)
      : local === 'norm'
        ? Float64Array.from({ length: count }, (_, i) => Math.sqrt(squaredNorm(points, i)))
        : neighbourDistances(points);
  const mean = raw.reduce((a, b) => a + b, 0) / count || 1;
  return raw.map((x) => Math.max(NARROWEST, x / mean));
}

function squaredNorm({ data, size: d }: Points, row: number): number {
  let sum = 0;
  for (let at = row * d; at < (row + 1) * d; at++) sum += data[at] * data[at];
  return sum;
}

/** ‖a_i − b_j‖² of row i of a and row j of b. */
export function squaredDistance(a: Points, i: number, b: Points, j: number): number {
  let sum = 0;
  for (let k = 0; k < a.size; k++) sum += (a.data[i * a.size + k] - b.data[j * a.size + k]) ** 2;
  return sum;
}

/** Of each point to its {@link NEIGHBOUR}th nearest other one, or to the farthest where there are fewer. */
function neighbourDistances(points: Points): Float64Array {
  const { count } = points;
  const distances = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const nearest = new Float64Array(Math.min(NEIGHBOUR, count - 1)).fill(Number.POSITIVE_INFINITY);
    for (let j = 0; j < count; j++) {
      const square = i === j ? Number.POSITIVE_INFINITY : squaredDistance(points, i, points, j);
      if (!(square < nearest[nearest.length - 1])) continue;
      let at = nearest.length - 1;
      for (; at > 0 && nearest[at - 1] > square; at--) nearest[at] = nearest[at - 1];
      nearest[at] = square;
    }
    distances[i] = Math.sqrt(nearest[nearest.length - 1]);
  }
  return distances;
}
