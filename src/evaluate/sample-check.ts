// Whether samples look like held-out kernels: differences of statistics beside those of two halves of the kernels, and
// two-sample tests that need no density.
import { foldIn, type Key, RandomStream } from '../engine/index.js';
import type { KernelSize } from '../priors/index.js';
import { type Guesses, logisticRegression, nearestNeighbours } from './sample-classifiers.js';
import {
  covariance,
  covarianceError,
  lagOnes,
  meanRow,
  nearestDistances,
  norms,
  quantiles,
  RINGS,
  radialSpectra,
  type Sample,
  spectrumDistance,
} from './sample-statistics.js';
import { standardDeviation } from './summary.js';
import { kolmogorovSmirnov } from './two-sample.js';

/** A difference with its p-value: the share of random relabellings (or of splits of the kernels) that differ as much. */
export interface Difference {
  value: number;
  pValue: number;
}

export interface Halves {
  /** Mean over random halves of samples and kernels. */
  value: number;
  /** The same between two random halves of the kernels: mean, and standard deviation over splits. */
  halves: { mean: number; std: number };
  /** Share of those splits that differ at least as much. */
  pValue: number;
}

export interface SampleCheck {
  /** Rows on either side. */
  n: number;
  norm: { samples: number[]; kernels: number[] } & Difference;
  /** Correlation of neighbours; absent where fewer than half of the kernels of a side have one. */
  lagOne?: { samples: number[]; kernels: number[] } & Difference;
  /** Mean radial power (90) at RINGS, relative to white noise; range over halves of the kernels. */
  spectrum: Halves & { samples: number[]; kernels: number[]; low: number[]; high: number[] };
  covariance: Halves & { samples: number[]; kernels: number[] };
  mmd: Difference & { null: number[] };
  classifiers: { logistic: Guesses; neighbours: Guesses };
  /** Distances to the nearest train kernel; where there are train kernels. */
  nearest?: {
    samples: number[];
    kernels: number[];
    /** (93) Share of samples that are nearer than the nearest twentieth of held-out kernels, and its standard error. */
    nearer: number;
    standardError: number;
  };
}

const SPLITS = 99;
const DRAWS = 20;
/** Of nearest distances: what counts as near. */
const NEAR = 0.05;

/** (92) With the observed one among them. */
const pValueOf = (value: number, nulls: readonly number[]): number =>
  (1 + nulls.filter((x) => x >= value).length) / (1 + nulls.length);

/** What is compared with what. */
export interface CheckedSamples {
  /** As many rows as `kernels`, [n, channels·h·w]. */
  samples: Sample;
  kernels: Sample;
  /** What the samples' distances are measured to. */
  train?: Sample;
  size: KernelSize;
  /** Of the p-values. */
  permutations: number;
  key: Key;
}

/** Of filters, neighbours are those of one channel, the middle one, and spectra means over channels. */
export function checkSamples({
  samples,
  kernels,
  train,
  size: { h, w, channels = 1 },
  permutations,
  key,
}: CheckedSamples): SampleCheck {
  const keyOf = (name: string) => foldIn(key, name);
  const scalar = (of: (sample: Sample) => Float64Array, name: string) => {
    const [a, b] = [of(samples).sort(), of(kernels).sort()];
    return { samples: [...a], kernels: [...b], ...distributionTest(a, b, permutations, keyOf(name)) };
  };
  const lag =
    h * w > 1 ? scalar((sample) => lagOnes(middleChannel(sample, channels), h, w), 'lag') : undefined;
  const enough = lag && 2 * Math.min(lag.samples.length, lag.kernels.length) >= kernels.count;
  const spectra = [samples, kernels].map((sample) => meanSpectra(sample, h, w, channels));
  const band: Float64Array[] = [];
  const spectrum = halves(
    (side, rows) => meanRow(spectra[side], RINGS.length, rows),
    spectrumDistance,
    kernels.count,
    keyOf('spectrum'),
    band,
  );
  return {
    n: kernels.count,
    norm: scalar(norms, 'norm'),
    ...(enough && { lagOne: lag }),
    spectrum: {
      ...spectrum,
      samples: [...meanRow(spectra[0], RINGS.length)],
      kernels: [...meanRow(spectra[1], RINGS.length)],
      low: RINGS.map((_, b) => Math.min(...band.map((row) => row[b]))),
      high: RINGS.map((_, b) => Math.max(...band.map((row) => row[b]))),
    },
    covariance: {
      ...halves(
        (side, rows) => covariance(side === 0 ? samples : kernels, rows),
        covarianceError,
        kernels.count,
        keyOf('covariance'),
      ),
      samples: [...covariance(samples)],
      kernels: [...covariance(kernels)],
    },
    mmd: discrepancy(samples, kernels, permutations, keyOf('mmd')),
    classifiers: {
      logistic: logisticRegression(samples, kernels, w, keyOf('logistic')),
      neighbours: nearestNeighbours(samples, kernels, keyOf('neighbours')),
    },
    ...(train && { nearest: nearestTrain(samples, kernels, train) }),
  };
}

/** Of each filter its middle channel: slices of one filter are no independent draws. */
function middleChannel({ data, count }: Sample, channels: number): Sample {
  if (channels === 1) return { data, count };
  const d = data.length / count / channels;
  const out = new Float32Array(count * d);
  for (let row = 0; row < count; row++) {
    const from = (row * channels + (channels >> 1)) * d;
    out.set(data.subarray(from, from + d), row * d);
  }
  return { data: out, count };
}

/** Radial spectra of filters: means over their channels, [n, rings]. */
function meanSpectra({ data, count }: Sample, h: number, w: number, channels: number): Float64Array {
  const all = radialSpectra({ data, count: count * channels }, h, w);
  if (channels === 1) return all;
  const rings = all.length / count / channels;
  return Float64Array.from({ length: count * rings }, (_, i) => {
    const [row, ring] = [Math.floor(i / rings), i % rings];
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += all[(row * channels + c) * rings + ring];
    return sum / channels;
  });
}

/** Kolmogorov–Smirnov distance of two sets of numbers. */
function distributionTest(a: Float64Array, b: Float64Array, permutations: number, key: Key): Difference {
  if (a.length === 0 || b.length === 0) return { value: Number.NaN, pValue: Number.NaN };
  const all = Float64Array.of(...a, ...b);
  const distance = (x: Float64Array, y: Float64Array) =>
    kolmogorovSmirnov({ data: x, n: x.length, d: 1 }, { data: y, n: y.length, d: 1 })[0];
  const stream = new RandomStream(key);
  const nulls = Array.from({ length: permutations }, () => {
    const mixed = Float64Array.from(stream.permutation(all.length), (i) => all[i]);
    return distance(mixed.subarray(0, a.length), mixed.subarray(a.length));
  });
  const value = distance(a, b);
  return { value, pValue: pValueOf(value, nulls) };
}

/** A distance of statistics of halves: side 0, samples, against side 1, kernels; and kernels against kernels. */
function halves(
  statistic: (side: 0 | 1, rows: Int32Array) => Float64Array,
  distance: (a: Float64Array, b: Float64Array) => number,
  count: number,
  key: Key,
  seen: Float64Array[] = [],
): Halves {
  const stream = new RandomStream(key);
  const half = count >> 1;
  const nulls: number[] = [];
  for (let split = 0; split < SPLITS; split++) {
    const order = stream.permutation(count);
    const [a, b] = [statistic(1, order.subarray(0, half)), statistic(1, order.subarray(half, 2 * half))];
    nulls.push(distance(a, b));
    seen.push(a, b);
  }
  let value = 0;
  for (let draw = 0; draw < DRAWS; draw++) {
    const [a, b] = [stream.permutation(count), stream.permutation(count)];
    value += distance(statistic(0, a.subarray(0, half)), statistic(1, b.subarray(0, half))) / DRAWS;
  }
  const mean = nulls.reduce((sum, x) => sum + x, 0) / SPLITS;
  return { value, halves: { mean, std: standardDeviation(nulls) }, pValue: pValueOf(value, nulls) };
}

/**
 * Squared maximum mean discrepancy (Gretton et al. 2012), kernel exp(−distance²/2 median²), pairs of a row with itself
 * left out. a and b must be equally many: memory 4 (2n)² bytes.
 */
export function discrepancy(
  a: Sample,
  b: Sample,
  permutations: number,
  key: Key,
): Difference & { null: number[] } {
  const half = a.count;
  const n = 2 * half;
  const d = a.data.length / half;
  const row = (i: number) =>
    i < half ? a.data.subarray(i * d, (i + 1) * d) : b.data.subarray((i - half) * d, (i - half + 1) * d);
  const rows = Array.from({ length: n }, (_, i) => row(i));
  const similarity = new Float32Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      let sum = 0;
      for (let k = 0; k < d; k++) sum += (rows[i][k] - rows[j][k]) ** 2;
      similarity[i * n + j] = sum;
    }
  const stream = new RandomStream(key);
  const [median] = quantiles(
    Float64Array.from({ length: 4000 }, () => {
      const i = 1 + stream.integer(n - 1);
      return similarity[i * n + stream.integer(i)];
    }),
    [0.5],
  );
  for (let at = 0; at < similarity.length; at++)
    similarity[at] = Math.exp((-0.5 * similarity[at]) / (median || 1));
  const of = (order: Int32Array): number => {
    const sign = new Uint8Array(n);
    for (let i = 0; i < half; i++) sign[order[i]] = 1;
    let within = 0;
    let across = 0;
    for (let i = 0; i < n; i++)
      for (let j = 0; j < i; j++)
        if (sign[i] === sign[j]) within += similarity[i * n + j];
        else across += similarity[i * n + j];
    return (2 * within) / (half * (half - 1)) - (2 * across) / (half * half);
  };
  const value = of(Int32Array.from({ length: n }, (_, i) => i));
  const nulls = Array.from({ length: permutations }, () => of(stream.permutation(n)));
  return { value, pValue: pValueOf(value, nulls), null: nulls };
}

function nearestTrain(samples: Sample, kernels: Sample, train: Sample): SampleCheck['nearest'] {
  const [a, b] = [samples, kernels].map((rows) => nearestDistances(rows, train).sort());
  const [near] = quantiles(b, [NEAR]);
  const nearer = a.filter((x) => x < near).length / a.length;
  // of both counts, the samples' and the one that sets the threshold
  const standardError = Math.sqrt((2 * NEAR * (1 - NEAR)) / a.length);
  return { samples: [...a], kernels: [...b], nearer, standardError };
}
