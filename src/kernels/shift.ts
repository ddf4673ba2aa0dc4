// How far apart the shapes of kernels from different places are: (25) of docs/quality.md, after Gavrikov & Keuper 2022.
import { inputError } from '../errors.js';
import { type Kernels, sizeText } from './kernels.js';
import { MOST_WEIGHTS } from './quality/accumulator.js';
import { principalAxes } from './quality/entropy.js';

/** Bins of a histogram. */
const BINS = 70;
/** Added to every bin's count, so that a bin which one set leaves empty costs a finite amount. */
const PSEUDOCOUNT = 0.5;

export interface Shift {
  /** [sets, sets], nats: 0 on the diagonal, symmetric, never negative. */
  nats: number[][];
  /** [sets, sets], nats: about what two random parts of the same kernels, of these numbers, would show. */
  chance: number[][];
  /** Share of the variance of all sets along each common axis, largest first: the weights of the sum. */
  explainedVariance: number[];
}

/**
 * Every kernel is scaled to a largest |weight| of 1; all sets, each with the same weight, give common principal axes;
 * along every axis the coefficients of each set become a histogram of 70 bins over the common range; two sets differ
 * by the sum over axes of explained variance × (KL(p‖q) + KL(q‖p)).
 *
 * @param sets of one size; each needs a kernel that is finite and not zero
 * @throws DwpError INPUT when there is such a set, the sizes differ, or a kernel has over 256 weights
 */
export function distributionShift(sets: readonly Kernels[]): Shift {
  const [{ h, w }] = sets;
  const d = h * w;
  for (const other of sets)
    if (other.h !== h || other.w !== w)
      throw inputError(
        `kernels of ${sizeText({ h, w })} and ${sizeText({ h: other.h, w: other.w })} have no shift`,
      );
  if (d > MOST_WEIGHTS)
    throw inputError(
      `kernels of ${sizeText({ h, w })} have too many weights for a shift: at most ${MOST_WEIGHTS}`,
    );
  const scaled = sets.map(scaleToPeak);
  const empty = scaled.findIndex(({ length }) => length === 0);
  if (empty !== -1) throw inputError(`set ${empty + 1} of ${sets.length} has no kernels that are not zero`);

  const { axes, shares } = commonAxes(scaled, d);
  const counts = scaled.map(({ length }) => length / d);
  const between = () => sets.map(() => new Array<number>(sets.length).fill(0));
  const shift: Shift = { nats: between(), chance: between(), explainedVariance: shares };
  for (const [component, axis] of axes.entries()) {
    if (shares[component] === 0) continue;
    const histograms = histogramsAlong(axis, scaled);
    for (let a = 0; a < sets.length; a++)
      for (let b = a + 1; b < sets.length; b++) {
        const { nats, chance } = symmetricDivergence(histograms[a], histograms[b], counts[a], counts[b]);
        shift.nats[a][b] = shift.nats[b][a] += shares[component] * nats;
        shift.chance[a][b] = shift.chance[b][a] += shares[component] * chance;
      }
  }
  return shift;
}

/** [kept, d]: kernels over their largest |weight|; those that are zero or not finite are left out. */
function scaleToPeak({ data, count, h, w }: Kernels): Float32Array {
  const d = h * w;
  const scaled = new Float32Array(data.length);
  let kept = 0;
  for (let at = 0; at < count * d; at += d) {
    let peak = 0;
    for (let i = at; i < at + d; i++) peak = Math.max(peak, Math.abs(data[i])); // NaN stays NaN
    if (!(peak > 0 && peak < Number.POSITIVE_INFINITY)) continue;
    for (let i = 0; i < d; i++) scaled[kept * d + i] = data[at + i] / peak;
    kept++;
  }
  return scaled.slice(0, kept * d);
}

/** Principal axes of the mixture of the sets in equal parts. */
function commonAxes(sets: readonly Float32Array[], d: number): { axes: Float64Array[]; shares: number[] } {
  const mean = new Float64Array(d);
  const products = new Float64Array(d * d);
  for (const set of sets) {
    const weight = d / set.length / sets.length;
    for (let at = 0; at < set.length; at += d)
      for (let i = 0; i < d; i++) {
        const x = weight * set[at + i];
        mean[i] += x;
        for (let j = i; j < d; j++) products[i * d + j] += x * set[at + j];
      }
  }
  for (let i = 0; i < d; i++) for (let j = i; j < d; j++) products[i * d + j] -= mean[i] * mean[j];
  return principalAxes(products, d) ?? { axes: [], shares: new Array<number>(d).fill(0) };
}

/** Counts of the coefficients along an axis, [sets, BINS], over the range of all sets. */
function histogramsAlong(axis: Float64Array, sets: readonly Float32Array[]): Float64Array[] {
  const d = axis.length;
  const coefficients = sets.map((set) => {
    const along = new Float64Array(set.length / d);
    for (let row = 0; row < along.length; row++) {
      let sum = 0;
      for (let i = 0; i < d; i++) sum += axis[i] * set[row * d + i];
      along[row] = sum;
    }
    return along;
  });
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const along of coefficients)
    for (const x of along) {
      if (x < low) low = x;
      if (x > high) high = x;
    }
  const perUnit = high > low ? BINS / (high - low) : 0;
  return coefficients.map((along) => {
    const counts = new Float64Array(BINS);
    for (const x of along) counts[Math.min(BINS - 1, Math.floor((x - low) * perUnit))]++;
    return counts;
  });
}

/** Σ (p − q) ln(p / q), which is KL(p‖q) + KL(q‖p); and its expectation to first order if p and q were one law. */
function symmetricDivergence(a: Float64Array, b: Float64Array, countA: number, countB: number) {
  let nats = 0;
  let chance = 0;
  for (let bin = 0; bin < BINS; bin++) {
    const p = (a[bin] + PSEUDOCOUNT) / (countA + PSEUDOCOUNT * BINS);
    const q = (b[bin] + PSEUDOCOUNT) / (countB + PSEUDOCOUNT * BINS);
    nats += (p - q) * Math.log(p / q);
    // counts that one law of share s gives differ by variances countA·s(1−s) and countB·s(1−s)
    const s = (a[bin] + b[bin]) / (countA + countB);
    const spread = (s * (1 - s) * countA) / (countA + PSEUDOCOUNT * BINS) ** 2;
    const other = (s * (1 - s) * countB) / (countB + PSEUDOCOUNT * BINS) ** 2;
    const expectedP = (countA * s + PSEUDOCOUNT) / (countA + PSEUDOCOUNT * BINS);
    const expectedQ = (countB * s + PSEUDOCOUNT) / (countB + PSEUDOCOUNT * BINS);
    chance += (spread + other) / ((expectedP + expectedQ) / 2);
    chance += (expectedP - expectedQ) * Math.log(expectedP / expectedQ);
  }
  return { nats, chance };
}
