// How far apart two sets of draws are: maximum mean discrepancy, Kolmogorov–Smirnov distances, moments; and the
// divergence of draws from a density, by distances to neighbours. Draws are rows [n, d], row-major.

import { mean, standardError } from './summary.js';

export interface Draws {
  data: ArrayLike<number>;
  n: number;
  d: number;
}

export interface Estimate {
  value: number;
  standardError: number;
}

/** Median distance of up to 500 draws: the unit of the kernel's widths below. */
export function medianDistance({ data, n, d }: Draws): number {
  const few = Math.min(n, 500);
  const at = (i: number) => Math.floor((i * n) / few);
  const distances: number[] = [];
  for (let i = 1; i < few; i++)
    for (let j = 0; j < i; j++) distances.push(Math.sqrt(squaredDistance(data, at(i), data, at(j), d)));
  return distances.sort((a, b) => a - b)[distances.length >> 1] || 1;
}

/** Of the kernel, in units of h: the smallest sees modes that the median distance is too coarse for. */
const WIDTHS = [0.25, 0.5, 1];

/**
 * (45) Squared maximum mean discrepancy (Gretton et al. 2012) with the kernel exp(−‖x − y‖²/2σ²), the mean over σ = h/4,
 * h/2 and h; without bias, so that it may be negative: the mean over blocks of 250 draws of each, whose spread gives
 * the standard error (Zaremba et al. 2013). Draws must be independent.
 */
export function squaredMmd(a: Draws, b: Draws, h: number, block = 250): Estimate {
  const blocks = Math.floor(Math.min(a.n, b.n) / block);
  if (blocks < 2) throw new RangeError(`${Math.min(a.n, b.n)} draws are no two blocks of ${block}`);
  const rates = WIDTHS.map((width) => 1 / (2 * (width * h) ** 2));
  const kernel = (x: Draws, i: number, y: Draws, j: number) => {
    const squared = squaredDistance(x.data, i, y.data, j, x.d);
    let sum = 0;
    for (const rate of rates) sum += Math.exp(-squared * rate);
    return sum / rates.length;
  };
  const values = Array.from({ length: blocks }, (_, k) => {
    const start = k * block;
    let [within, across] = [0, 0];
    for (let i = start; i < start + block; i++) {
      for (let j = start; j < i; j++) within += kernel(a, i, a, j) + kernel(b, i, b, j);
      for (let j = start; j < start + block; j++) across += kernel(a, i, b, j);
    }
    return (2 * within) / (block * (block - 1)) - (2 * across) / (block * block);
  });
  return meanOf(values);
}

/** Largest difference of two distribution functions, for each of the d marginals. */
export function kolmogorovSmirnov(a: Draws, b: Draws): number[] {
  return Array.from({ length: a.d }, (_, j) => {
    const [x, y] = [column(a, j), column(b, j)];
    let [i, k, largest] = [0, 0, 0];
    while (i < x.length && k < y.length) {
      const value = Math.min(x[i], y[k]);
      while (i < x.length && x[i] === value) i++;
      while (k < y.length && y[k] === value) k++;
      largest = Math.max(largest, Math.abs(i / x.length - k / y.length));
    }
    return largest;
  });
}

export interface Moments {
  mean: number[];
  /** [d, d], divided by n − 1. */
  covariance: number[][];
}

export function moments({ data, n, d }: Draws): Moments {
  const centre = new Array<number>(d).fill(0);
  for (let i = 0; i < n; i++) for (let j = 0; j < d; j++) centre[j] += data[i * d + j] / n;
  const covariance = centre.map(() => new Array<number>(d).fill(0));
  for (let i = 0; i < n; i++)
    for (let j = 0; j < d; j++)
      for (let k = 0; k <= j; k++)
        covariance[j][k] += ((data[i * d + j] - centre[j]) * (data[i * d + k] - centre[k])) / (n - 1);
  for (let j = 0; j < d; j++) for (let k = 0; k < j; k++) covariance[k][j] = covariance[j][k];
  return { mean: centre, covariance };
}

/** ‖A − B‖ / ‖B‖, Frobenius. */
export function relativeDistance(a: readonly number[][], b: readonly number[][]): number {
  const norm = (f: (i: number, j: number) => number) =>
    Math.sqrt(b.reduce((sum, row, i) => sum + row.reduce((s, _, j) => s + f(i, j) ** 2, 0), 0));
  return norm((i, j) => a[i][j] - b[i][j]) / norm((i, j) => b[i][j]);
}

/**
 * (46) E_q log q from n draws of q alone, by the distance ε to the k-th neighbour (Kozachenko & Leonenko 1987):
 * log q(x) ≈ ψ(k) − ψ(n) − log V_d − d log ε, V_d the volume of the unit ball. For few dimensions only: the bias
 * falls as n^(−2/d). @returns one value for each draw, nats
 */
export function nearestNeighbourLogDensity({ data, n, d }: Draws, k = 5): Float64Array {
  const constant = digamma(k) - digamma(n) - logBallVolume(d);
  const nearest = new Float64Array(k);
  return Float64Array.from({ length: n }, (_, i) => {
    nearest.fill(Number.POSITIVE_INFINITY);
    for (let j = 0; j < n; j++) {
      if (j === i) continue;
      const distance = squaredDistance(data, i, data, j, d);
      if (distance >= nearest[k - 1]) continue;
      let at = k - 1;
      for (; at > 0 && nearest[at - 1] > distance; at--) nearest[at] = nearest[at - 1];
      nearest[at] = distance;
    }
    return constant - 0.5 * d * Math.log(nearest[k - 1]);
  });
}

/** Of independent values. */
export const meanOf = (values: ArrayLike<number>): Estimate => ({
  value: mean(values),
  standardError: standardError(values),
});

function squaredDistance(
  x: ArrayLike<number>,
  i: number,
  y: ArrayLike<number>,
  j: number,
  d: number,
): number {
  let sum = 0;
  for (let at = 0; at < d; at++) sum += (x[i * d + at] - y[j * d + at]) ** 2;
  return sum;
}

const column = ({ data, n, d }: Draws, j: number): Float64Array =>
  Float64Array.from({ length: n }, (_, i) => data[i * d + j]).sort();

/** ψ(n) of whole n: Σ_{k<n} 1/k − Euler's constant. */
const digamma = (n: number): number => {
  let sum = -0.5772156649015329;
  for (let k = 1; k < n; k++) sum += 1 / k;
  return sum;
};

/** log of π^(d/2) / Γ(d/2 + 1). */
function logBallVolume(d: number): number {
  let volume = d % 2 === 0 ? 0 : Math.log(2); // V_0 = 1, V_1 = 2, V_d = V_{d−2} · 2π/d
  for (let i = d % 2 === 0 ? 2 : 3; i <= d; i += 2) volume += Math.log((2 * Math.PI) / i);
  return volume;
}
