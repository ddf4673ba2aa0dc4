// The measure of all approximations: long chains of Hamiltonian Monte Carlo, and the constant of the density.
import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import { LOG_2PI } from '../distributions/normal.js';
import { type Engine, f32, foldIn, type Key, RandomStream } from '../engine/index.js';
import { type Estimate, moments } from '../evaluate/two-sample.js';
import { chainsOf, effectiveSampleSize, rHat, sampleHmc } from '../mcmc/index.js';
import { logDensities, type Rows } from './draw.js';
import type { Target } from './target.js';

export interface Reference {
  /** In random order. */
  rows: Rows;
  chains: number;
  acceptance: number;
  /** The largest of the d coordinates. */
  rHat: number;
  /** The smallest of the d coordinates. */
  effectiveSampleSize: number;
  seconds: number;
}

const CHAINS = 50;
const THIN = 10;
const WARM_UP = 400;
/** High, for the tails of a banana are narrower than its middle. */
const ACCEPTANCE = 0.9;

/** @param n draws of all chains together */
export async function referenceOf(target: Target, n: number, engine: Engine, key: Key): Promise<Reference> {
  const began = performance.now();
  const d = target.dimensions;
  // over-dispersed starts: twice as wide as the density
  const start = f32(
    [CHAINS, d],
    new RandomStream(foldIn(key, 'start')).fillNormal(new Float32Array(CHAINS * d)),
  );
  for (let i = 0; i < start.data.length; i++) start.data[i] *= 2 * target.scale;
  const { draws, acceptance } = await sampleHmc(
    engine,
    (w, data) => target.logDensity(data, w),
    start,
    {
      warmUp: WARM_UP,
      draws: Math.ceil(n / CHAINS),
      thin: THIN,
      initialStep: 0.1 * target.scale,
      acceptance: ACCEPTANCE,
    },
    foldIn(key, 'chains'),
    target.data,
  );
  const coordinates = Array.from({ length: d }, (_, j) => chainsOf(draws, j));
  const order = new RandomStream(foldIn(key, 'order')).permutation(draws.data.length / d).subarray(0, n);
  const data = new Float32Array(n * d);
  order.forEach((row, i) => {
    data.set(draws.data.subarray(row * d, (row + 1) * d), i * d);
  });
  return {
    rows: { data, n, d },
    chains: CHAINS,
    acceptance,
    rHat: Math.max(...coordinates.map(rHat)),
    effectiveSampleSize: Math.min(...coordinates.map(effectiveSampleSize)),
    seconds: (performance.now() - began) / 1000,
  };
}

/** The proposal is this much wider than the reference, so that its weights are bounded where p is nearly normal. */
const WIDER = 1.1;

/**
 * log Z by importance sampling with n draws of a normal of the reference's mean and covariance, widened: log of the
 * mean of p̃/normal. The standard error is that of the mean, relative.
 */
export async function logNormaliserOf(
  target: Target,
  reference: Rows,
  n: number,
  engine: Engine,
  key: Key,
): Promise<Estimate> {
  if (target.logNormaliser !== undefined) return { value: target.logNormaliser, standardError: 0 };
  const { d } = reference;
  const { mean, covariance } = moments(reference);
  const lower = new CholeskyDecomposition(new Matrix(covariance)).lowerTriangularMatrix.mul(WIDER);
  const stream = new RandomStream(foldIn(key, 'importance'));
  const rows: Rows = { data: new Float32Array(n * d), n, d };
  const logProposal = new Float64Array(n);
  const logDeterminant = mean.reduce((sum, _, j) => sum + Math.log(lower.get(j, j)), 0);
  const e = new Float64Array(d);
  for (let i = 0; i < n; i++) {
    stream.fillNormal(e);
    logProposal[i] = -logDeterminant - 0.5 * d * LOG_2PI - 0.5 * e.reduce((sum, x) => sum + x * x, 0);
    for (let j = 0; j < d; j++) {
      let x = mean[j];
      for (let k = 0; k <= j; k++) x += lower.get(j, k) * e[k];
      rows.data[i * d + j] = x;
    }
  }
  const logWeights = (await logDensities(target, rows, engine)).map((value, i) => value - logProposal[i]);
  const most = Math.max(...logWeights);
  const weights = logWeights.map((x) => Math.exp(x - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  const squares = weights.reduce((a, b) => a + (b - sum / n) ** 2, 0);
  return { value: most + Math.log(sum / n), standardError: Math.sqrt(squares / (n - 1) / n) / (sum / n) };
}
