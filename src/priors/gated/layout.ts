// Where components lie in the space of z before a fit: near each other where they overlap, each in a region of p(z) that
// is as probable as its weight. Plain numbers in double precision.
import { CholeskyDecomposition, EigenvalueDecomposition, Matrix } from 'ml-matrix';
import type { RandomStream } from '../../engine/index.js';
import type { Component } from '../mixture/em.js';
import { logDeterminant } from '../mixture/linear-algebra.js';

export interface Layout {
  /** (130) Logits of the gate, a_c · z + b_c: slopes [m][C], biases [C]. */
  slopes: Float64Array[];
  biases: Float64Array;
  /** Mean and log standard deviation of z in the region of each component: [C][m]. */
  means: Float64Array[];
  logStds: Float64Array[];
}

/** How sharp regions are: logits are this many times those of normals of variance 1 around the centres. */
const SHARPNESS = 6;
/** No centre is farther out than this in any direction, in standard deviations of p(z). */
const FARTHEST = 3;
/** Draws of z that find how probable regions are, and rounds of that. */
const DRAWS = 2000;
const ROUNDS = 100;
/** Regions are taken for this much narrower, in log std, than they are: their corners are shared with others. */
const NARROWER = 0.3;
const LEAST_VARIANCE = 0.01;

/** @param m dimensions of z in which components lie */
export function layOut(components: readonly Component[], m: number, stream: RandomStream): Layout {
  const weights = normalised(components.map(({ logWeight }) => Math.exp(logWeight)));
  const centres = scaledCoordinates(overlapDistances(components), weights, m);
  const slopes = Array.from({ length: m }, (_, j) =>
    Float64Array.from(centres, (centre) => SHARPNESS * centre[j]),
  );
  const biases = Float64Array.from(centres, (centre) => -0.5 * SHARPNESS * squareOf(centre));
  const draws = Array.from({ length: DRAWS }, () => Float64Array.from({ length: m }, () => stream.normal()));
  const products = draws.map((z) => centres.map((centre) => SHARPNESS * dot(z, centre)));
  const shares = () => products.map((row) => softmax(row.map((x, c) => x + biases[c])));
  for (let round = 0; round < ROUNDS; round++) {
    const mass = columnMeans(shares());
    for (let c = 0; c < biases.length; c++) biases[c] += 0.5 * Math.log(weights[c] / (mass[c] + 1e-4) + 1e-9);
  }
  return { slopes, biases, ...regions(draws, shares()) };
}

/** π(z) of (128) before a fit: z [m] → [C]. */
export const sharesAt = ({ slopes, biases }: Layout, z: ArrayLike<number>): Float64Array =>
  softmax(Array.from(biases, (bias, c) => slopes.reduce((sum, slope, j) => sum + slope[c] * z[j], bias)));

/** Mean and log standard deviation of draws [n][m] weighted by their shares [n][C]. */
function regions(draws: readonly Float64Array[], shares: readonly Float64Array[]) {
  const m = draws[0].length;
  const means = Array.from(shares[0], () => new Float64Array(m));
  const squares = Array.from(shares[0], () => new Float64Array(m));
  const mass = new Float64Array(shares[0].length).fill(1e-9);
  draws.forEach((z, i) => {
    shares[i].forEach((share, c) => {
      mass[c] += share;
      for (let j = 0; j < m; j++) {
        means[c][j] += share * z[j];
        squares[c][j] += share * z[j] ** 2;
      }
    });
  });
  for (const [c, total] of mass.entries()) means[c] = means[c].map((x) => x / total);
  const logStds = means.map((mean, c) =>
    mean.map((x, j) => 0.5 * Math.log(Math.max(LEAST_VARIANCE, squares[c][j] / mass[c] - x * x)) - NARROWER),
  );
  return { means, logStds };
}

/** (129) Bhattacharyya distances of the normals with the components' means and covariances, [C, C]. */
function overlapDistances(components: readonly Component[]): Matrix {
  const distances = Matrix.zeros(components.length, components.length);
  components.forEach((a, i) => {
    components.slice(0, i).forEach((b, j) => {
      const between = Matrix.add(a.covariance, b.covariance).mul(0.5);
      const cholesky = new CholeskyDecomposition(between);
      const difference = Matrix.columnVector(Array.from(a.mean, (x, k) => x - b.mean[k]));
      const square = difference.dot(cholesky.solve(difference));
      const volume = logDeterminant(cholesky.lowerTriangularMatrix);
      const distance = 0.125 * square + volume - 0.5 * (a.logDeterminant + b.logDeterminant);
      distances.set(i, j, distance);
      distances.set(j, i, distance);
    });
  });
  return distances;
}

/** Coordinates whose squared distances are near the given ones, [C][m], with mean 0 and variance 1 by the weights (Torgerson 1952). */
function scaledCoordinates(squaredDistances: Matrix, weights: Float64Array, m: number): Float64Array[] {
  const c = weights.length;
  const rowMeans = Float64Array.from({ length: c }, (_, i) => dot(squaredDistances.getRow(i), weights));
  const mean = dot(rowMeans, weights);
  const products = Matrix.zeros(c, c);
  for (let i = 0; i < c; i++)
    for (let j = 0; j < c; j++) {
      const product = -0.5 * (squaredDistances.get(i, j) - rowMeans[i] - rowMeans[j] + mean);
      products.set(i, j, product * Math.sqrt(weights[i] * weights[j]));
    }
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(products, {
    assumeSymmetric: true,
  });
  const largest = Array.from(realEigenvalues.keys()).sort((a, b) => realEigenvalues[b] - realEigenvalues[a]);
  const negligible = 1e-9 * Math.max(0, realEigenvalues[largest[0]]);
  return Array.from({ length: c }, (_, i) =>
    Float64Array.from({ length: m }, (_, j) => {
      if (j >= c || !(realEigenvalues[largest[j]] > negligible)) return 0;
      const coordinate = eigenvectorMatrix.get(i, largest[j]) / Math.sqrt(weights[i]);
      return Math.min(FARTHEST, Math.max(-FARTHEST, coordinate));
    }),
  );
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
};
const squareOf = (a: ArrayLike<number>): number => dot(a, a);

function normalised(x: readonly number[]): Float64Array {
  const total = x.reduce((sum, value) => sum + value, 0);
  return Float64Array.from(x, (value) => value / total);
}

function softmax(logits: readonly number[]): Float64Array {
  const largest = Math.max(...logits);
  return normalised(logits.map((x) => Math.exp(x - largest)));
}

function columnMeans(rows: readonly Float64Array[]): Float64Array {
  const means = new Float64Array(rows[0].length);
  for (const row of rows)
    row.forEach((x, c) => {
      means[c] += x / rows.length;
    });
  return means;
}
