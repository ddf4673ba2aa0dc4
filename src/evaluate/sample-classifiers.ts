// Classifiers that try to tell samples from kernels (Lopez-Paz & Oquab 2017): trained on one half of both, judged on the
// other, and the other way round. Where the two are alike, half of the guesses are right.
import { Matrix, solve } from 'ml-matrix';
import { type Key, RandomStream } from '../engine/index.js';
import { norms, type Sample } from './sample-statistics.js';

export interface Guesses {
  /** Share of right guesses on rows that were not trained on. */
  accuracy: number;
  /** Of the accuracy, were the two alike. */
  standardError: number;
}

const RIDGE = 1;
const NEWTON_STEPS = 12;

/** Rows of each side in two folds at random. */
function folds(count: number, key: Key): [Int32Array, Int32Array] {
  const order = new RandomStream(key).permutation(count);
  return [order.subarray(0, count >> 1), order.subarray(count >> 1)];
}

const guesses = (right: number, n: number): Guesses => ({
  accuracy: right / n,
  standardError: 0.5 / Math.sqrt(n),
});

/** By the majority of five nearest rows among those of the other fold. */
export function nearestNeighbours(a: Sample, b: Sample, key: Key): Guesses {
  const d = a.data.length / a.count;
  const parts = folds(a.count, key);
  let right = 0;
  const nearest = new Float64Array(5);
  const ofA = new Uint8Array(5);
  for (const fold of [0, 1])
    for (const own of [a, b])
      for (const row of parts[fold]) {
        nearest.fill(Number.POSITIVE_INFINITY);
        for (const other of [a, b])
          for (const j of parts[1 - fold]) {
            let sum = 0;
            for (let k = 0; k < d && sum < nearest[4]; k++)
              sum += (own.data[row * d + k] - other.data[j * d + k]) ** 2;
            if (sum >= nearest[4]) continue;
            let at = 4;
            for (; at > 0 && nearest[at - 1] > sum; at--) {
              nearest[at] = nearest[at - 1];
              ofA[at] = ofA[at - 1];
            }
            nearest[at] = sum;
            ofA[at] = other === a ? 1 : 0;
          }
        const votes = ofA.reduce((sum, x) => sum + x, 0);
        if (votes > 2 === (own === a)) right++;
      }
  return guesses(right, 2 * a.count);
}

/** What the regression sees of a kernel: pixels, their squares, products of neighbours, log norm and its square. */
function features(sample: Sample, w: number): Float64Array[] {
  const d = sample.data.length / sample.count;
  const lengths = norms(sample);
  return Array.from({ length: sample.count }, (_, i) => {
    const x = sample.data.subarray(i * d, (i + 1) * d);
    const unit = Float64Array.from(x, (v) => v / (lengths[i] || 1));
    const logNorm = Math.log(lengths[i] + Number.MIN_VALUE);
    const beside = Array.from({ length: d }, (_, j) => (j % w < w - 1 ? unit[j] * unit[j + 1] : 0));
    const below = Array.from({ length: Math.max(0, d - w) }, (_, j) => unit[j] * unit[j + w]);
    return Float64Array.of(1, logNorm, logNorm ** 2, ...unit, ...unit.map((v) => v * v), ...beside, ...below);
  });
}

/** By a logistic regression with a ridge, on standardised features; Newton's method. */
export function logisticRegression(a: Sample, b: Sample, w: number, key: Key): Guesses {
  const parts = folds(a.count, key);
  const [ofA, ofB] = [features(a, w), features(b, w)];
  let right = 0;
  for (const fold of [0, 1]) {
    const rowsOf = (part: Int32Array) => [
      ...Array.from(part, (i) => ofA[i].slice()),
      ...Array.from(part, (i) => ofB[i].slice()),
    ];
    const [train, test] = [rowsOf(parts[1 - fold]), rowsOf(parts[fold])];
    standardise(train, test);
    const beta = fitLogistic(train, parts[1 - fold].length);
    test.forEach((x, i) => {
      if (dot(x, beta) > 0 === i < parts[fold].length) right++;
    });
  }
  return guesses(right, 2 * a.count);
}

/** Every feature but the first, the constant, to mean 0 and deviation 1 on `train`. */
function standardise(train: Float64Array[], test: Float64Array[]): void {
  for (let j = 1; j < train[0].length; j++) {
    const mean = train.reduce((sum, x) => sum + x[j], 0) / train.length;
    const deviation = Math.sqrt(train.reduce((sum, x) => sum + (x[j] - mean) ** 2, 0) / train.length);
    for (const x of [...train, ...test]) x[j] = deviation > 1e-12 ? (x[j] - mean) / deviation : 0;
  }
}

const dot = (x: Float64Array, y: ArrayLike<number>): number => {
  let sum = 0;
  for (let j = 0; j < x.length; j++) sum += x[j] * y[j];
  return sum;
};

/** The likeliest coefficients under N(0, 1/RIDGE), of rows whose first `positive` are of one class. */
function fitLogistic(rows: readonly Float64Array[], positive: number): number[] {
  const m = rows[0].length;
  let beta = new Array<number>(m).fill(0);
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const hessian = Matrix.eye(m, m).mul(RIDGE);
    const gradient = beta.map((x) => -RIDGE * x);
    const lines = hessian.to2DArray();
    rows.forEach((x, i) => {
      const p = 1 / (1 + Math.exp(-dot(x, beta)));
      const residual = (i < positive ? 1 : 0) - p;
      const weight = p * (1 - p);
      for (let j = 0; j < m; j++) {
        gradient[j] += residual * x[j];
        const scaled = weight * x[j];
        const line = lines[j];
        for (let k = 0; k <= j; k++) line[k] += scaled * x[k];
      }
    });
    for (let j = 0; j < m; j++) for (let k = 0; k < j; k++) lines[k][j] = lines[j][k];
    const change = solve(new Matrix(lines), Matrix.columnVector(gradient)).to1DArray();
    beta = beta.map((x, j) => x + change[j]);
    if (change.every((x) => Math.abs(x) < 1e-4)) break;
  }
  return beta;
}
