// Whether samples look like held-out kernels: statistics of both, and two-sample tests that need no density.
import { type Key, RandomStream } from '../engine/index.js';

/** Rows of d numbers. */
export interface Sample {
  data: Float32Array;
  count: number;
}

/** Euclidean norms, [n]. */
export function norms({ data, count }: Sample): Float64Array {
  const d = data.length / count;
  return Float64Array.from({ length: count }, (_, i) => {
    let square = 0;
    for (let j = 0; j < d; j++) square += data[i * d + j] ** 2;
    return Math.sqrt(square);
  });
}

export function quantiles(values: Float64Array, levels: readonly number[]): number[] {
  const sorted = values.slice().sort();
  return levels.map((q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]);
}

/** Second moments of pixels, [d, d]. */
export function secondMoments({ data, count }: Sample): Float64Array {
  const d = data.length / count;
  const moments = new Float64Array(d * d);
  for (let i = 0; i < count; i++)
    for (let j = 0; j < d; j++)
      for (let k = 0; k < d; k++) moments[j * d + k] += (data[i * d + j] * data[i * d + k]) / count;
  return moments;
}

/** Squared distances of all pairs of rows: [n, m]. */
export function squaredDistances(a: Sample, b: Sample): Float64Array {
  const d = a.data.length / a.count;
  const out = new Float64Array(a.count * b.count);
  for (let i = 0; i < a.count; i++)
    for (let j = 0; j < b.count; j++) {
      let sum = 0;
      for (let k = 0; k < d; k++) sum += (a.data[i * d + k] - b.data[j * d + k]) ** 2;
      out[i * b.count + j] = sum;
    }
  return out;
}

const joined = (a: Sample, b: Sample): Sample => {
  const data = new Float32Array(a.data.length + b.data.length);
  data.set(a.data);
  data.set(b.data, a.data.length);
  return { data, count: a.count + b.count };
};

export interface TwoSampleReport {
  /** Squared maximum mean discrepancy, kernel exp(−distance²/2 median²), pairs of a row with itself left out. */
  mmd2: number;
  /** Share of random relabellings with a discrepancy as large. */
  pValue: number;
  /** Of telling the two apart by the five nearest others; 0.5 if they are the same. */
  accuracy: number;
  /** Of the accuracy, were the two the same. */
  accuracyStandardError: number;
}

const NEIGHBOURS = 5;

/** Both tests on all pairs of rows of a and b, which must be equally many: memory (2n)². */
export function twoSampleTests(a: Sample, b: Sample, permutations: number, key: Key): TwoSampleReport {
  const all = joined(a, b);
  const n = all.count;
  const distances = squaredDistances(all, all);
  const stream = new RandomStream(key);
  const median = quantiles(
    Float64Array.from({ length: 2000 }, () => {
      const i = stream.integer(n);
      const j = (i + 1 + stream.integer(n - 1)) % n;
      return distances[i * n + j];
    }),
    [0.5],
  )[0];
  const similarity = Float64Array.from(distances, (square) => Math.exp((-0.5 * square) / (median || 1)));
  const half = a.count;
  const discrepancy = (order: Int32Array): number => {
    const sign = new Float64Array(n);
    order.forEach((row, i) => {
      sign[row] = i < half ? 1 : -1;
    });
    let within = 0;
    let across = 0;
    for (let i = 0; i < n; i++)
      for (let j = 0; j < i; j++)
        if (sign[i] === sign[j]) within += similarity[i * n + j];
        else across += similarity[i * n + j];
    return (2 * within) / (half * (half - 1)) - (2 * across) / (half * half);
  };
  const mmd2 = discrepancy(Int32Array.from({ length: n }, (_, i) => i));
  let asLarge = 0;
  for (let p = 0; p < permutations; p++) if (discrepancy(stream.permutation(n)) >= mmd2) asLarge++;
  let right = 0;
  for (let i = 0; i < n; i++) {
    const near = Array.from({ length: n }, (_, j) => j).filter((j) => j !== i);
    near.sort((x, y) => distances[i * n + x] - distances[i * n + y]);
    const votes = near.slice(0, NEIGHBOURS).filter((j) => j < half).length;
    if (votes > NEIGHBOURS / 2 === i < half) right++;
  }
  return {
    mmd2,
    pValue: (asLarge + 1) / (permutations + 1),
    accuracy: right / n,
    accuracyStandardError: 0.5 / Math.sqrt(n),
  };
}

/** Median distance of rows of `from` to the nearest row of `to`. */
export function nearestDistance(from: Sample, to: Sample): number {
  const distances = squaredDistances(from, to);
  const nearest = Float64Array.from({ length: from.count }, (_, i) =>
    Math.sqrt(distances.subarray(i * to.count, (i + 1) * to.count).reduce((a, b) => Math.min(a, b))),
  );
  return quantiles(nearest, [0.5])[0];
}
