// Bounds (1) and (4) where log p(w) is known in closed form (docs/math.md, section 7, proof 1).
import { beforeAll, describe, expect, test } from 'vitest';
import { lowerBound } from '../../src/bounds/hierarchical.js';
import { expectedLogDensity, priorNoise } from '../../src/bounds/prior-term.js';
import { createEngine, type Engine, f32, type NdArray, type tf } from '../../src/engine/index.js';
import { normal, runOn } from '../engine/reference.js';
import { difference, estimate, expectMean } from '../monte-carlo.js';
import {
  draw,
  EXACT,
  exactExpectedLogDensity,
  exactLogDensity,
  klFromPosterior,
  linearGaussian,
  linearGaussianPrior,
  type Perturbation,
} from './linear-gaussian.js';

const D = 6;
const LATENT = 3;
const PERTURBED: Perturbation[] = [
  { shift: 0.2, factor: 1 },
  { shift: 0, factor: 1.5 },
  { shift: -0.3, factor: 0.8 }, // below √½ importance weights have no variance, and (4) converges slowly
];
const title = ({ shift, factor }: Perturbation) => `mean + ${shift}, std × ${factor}`;

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

const exactOf = (w: NdArray) =>
  Float64Array.from({ length: w.shape[0] }, (_, i) => exactLogDensity(w.data.subarray(i * D, (i + 1) * D)));

/** Bound (1) for K = 0, else bound (4) with K samples. */
async function bound(r: Perturbation, w: NdArray, k: number, seed: number): Promise<Float32Array> {
  const n = w.shape[0];
  const noise = normal(seed, Math.max(1, k), n, LATENT);
  const { value } = await runOn(
    engine,
    ({ w, noise }: { w: tf.Tensor; noise: tf.Tensor }) => ({
      value: lowerBound(linearGaussian(r), w, noise),
    }),
    { w, noise },
  );
  return value.data as Float32Array;
}

/** Largest |a − b| / max(1, |b|). */
const largestError = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]) / Math.max(1, Math.abs(b[i]))));

describe('r(z|w) is the exact posterior', () => {
  const w = draw(300, 1);

  test('(1) is log p(w), sample by sample', async () => {
    expect(largestError(await bound(EXACT, w, 0, 2), exactOf(w))).toBeLessThan(1e-5);
  });

  test.each([1, 10])('(4) with K = %i is log p(w), sample by sample', async (k) => {
    expect(largestError(await bound(EXACT, w, k, 3), exactOf(w))).toBeLessThan(1e-5);
  });

  test('log p(w) of the reference integrates to 1 (importance sampling from a wider normal)', () => {
    const stream = normal(4, 20_000, D).data;
    const ratios = Array.from({ length: 20_000 }, (_, i) => {
      const x = Array.from(stream.subarray(i * D, (i + 1) * D), (v) => 2 * v);
      const logProposal = x.reduce(
        (sum, v) => sum - 0.5 * (v / 2) ** 2 - Math.log(2 * Math.sqrt(2 * Math.PI)),
        0,
      );
      return Math.exp(exactLogDensity(x) - logProposal);
    });
    expectMean(estimate(ratios), 1, 'integral');
  });
});

describe.each(PERTURBED)('r(z|w) is not the posterior: $shift, $factor', (r) => {
  const w = draw(40_000, 5);

  test(`(1) is below by KL(r ‖ p(z|w)): ${title(r)}`, async () => {
    const gap = estimate(difference(exactOf(w), await bound(r, w, 0, 6)));
    expectMean(gap, klFromPosterior(r), 'gap');
    expect(klFromPosterior(r)).toBeGreaterThan(20 * gap.standardError); // a gap that can be seen
  });

  test(`(4) does not fall with K and tends to log p(w): ${title(r)}`, async () => {
    const few = f32([4000, D], w.data.slice(0, 4000 * D) as Float32Array);
    const exact = exactOf(few);
    const bounds: Float32Array[] = [];
    for (const [i, k] of [1, 10, 100].entries()) bounds.push(await bound(r, few, k, 10 + i));
    expectMean(estimate(difference(exact, bounds[0])), klFromPosterior(r), 'gap at K = 1');
    for (const i of [1, 2]) {
      const gain = estimate(difference(bounds[i], bounds[i - 1]));
      expect(gain.mean, 'gain of ten times the samples').toBeGreaterThan(-5 * gain.standardError);
    }
    const last = estimate(difference(exact, bounds[2]));
    expect(last.mean).toBeGreaterThan(-5 * last.standardError);
    expect(last.mean).toBeLessThan(0.05 * klFromPosterior(r) + 5 * last.standardError);
  });
});

describe('E_q log p(w) of a mean-field q', () => {
  const n = 30_000;
  const mean = normal(30, 1, D).data;
  const std = Float32Array.of(0.1, 0.4, 0.7, 0.2, 1.1, 0.05);
  const repeat = (row: ArrayLike<number>) =>
    f32(
      [n, D],
      Float32Array.from({ length: n * D }, (_, i) => row[i % D]),
    );

  test.each([EXACT, PERTURBED[2]])('through the term that training uses: $shift, $factor', async (r) => {
    const prior = linearGaussianPrior(r);
    const specs = priorNoise(prior, n);
    const noise = {
      kernels: normal(31, ...specs.kernels.shape),
      latent: normal(32, ...specs.latent.shape),
    };
    const { value } = await runOn(
      engine,
      ({ mean, logStd, noise }: { mean: tf.Tensor; logStd: tf.Tensor; noise: typeof specs }) => ({
        value: expectedLogDensity(prior, {}, { mean, logStd }, noise as never),
      }),
      { mean: repeat(mean), logStd: repeat(std.map(Math.log)), noise } as never,
    );
    expectMean(
      estimate((value as NdArray).data),
      exactExpectedLogDensity(mean, std) - klFromPosterior(r),
      'E_q of bound (1)',
    );
  });
});
