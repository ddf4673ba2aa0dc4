// Bounds of log p(w) from below, (1) and (4).
import { expect } from 'vitest';
import type { DiagonalNormal } from '../../../src/distributions/normal.js';
import { type Engine, f32, type NdArray, type tf } from '../../../src/engine/index.js';
import { normal, runOn } from '../../engine/reference.js';
import { difference, estimate } from '../../monte-carlo.js';
import {
  D,
  draw,
  EXACT,
  exactExpectedLogDensity,
  exactLogDensities,
  klFromPosterior,
  LATENT,
  linearGaussian,
  linearGaussianPrior,
  type Perturbation,
} from '../linear-gaussian.js';
import { quadrature, sine } from '../sine.js';
import {
  largestError,
  meansOf,
  type Proof,
  quadraticPoints,
  repeatPoints,
  repeatRows,
  type Subject,
} from './proof.js';

const PERTURBED: Perturbation[] = [
  { shift: 0.2, factor: 1 },
  { shift: 0, factor: 1.5 },
  { shift: -0.3, factor: 0.8 }, // below √½ importance weights have no variance, and (4) converges slowly
];

/** (4), or (1) for one sample; noise [K, n, l]. */
async function bound({ lowerBound }: Subject, engine: Engine, r: Perturbation, w: NdArray, noise: NdArray) {
  const { value } = await runOn(
    engine,
    ({ w, noise }: { w: tf.Tensor; noise: tf.Tensor }) => ({
      value: lowerBound(linearGaussian(r), w, noise),
    }),
    { w, noise },
  );
  return value.data as Float32Array;
}

const exactProposal: Proof = {
  name: 'r = p(z|w): log p(w), sample by sample',
  async check(subject, engine) {
    const w = draw(300, 1);
    for (const k of [1, 2, 10])
      expect(
        largestError(await bound(subject, engine, EXACT, w, normal(k, k, 300, LATENT)), exactLogDensities(w)),
      ).toBeLessThan(1e-5);
  },
};

const gap: Proof = {
  name: 'another r: below by KL(r ‖ p(z|w)), at every w',
  async check(subject, engine) {
    // the logarithm in (1) is quadratic in z: its expectation under r is a mean over a few points
    const points = quadraticPoints(LATENT);
    const w = draw(50, 5);
    const exact = exactLogDensities(w);
    const noise = repeatPoints(points, 50);
    for (const r of PERTURBED) {
      const values = await bound(subject, engine, r, repeatRows(w, points.length), {
        shape: [1, ...noise.shape],
        data: noise.data,
      });
      const expected = exact.map((x) => x - klFromPosterior(r));
      expect(largestError(meansOf(values, points.length), expected)).toBeLessThan(2e-5);
    }
  },
};

const moreSamples: Proof = {
  name: 'another r: more samples raise (4) towards log p(w)',
  async check(subject, engine) {
    const w = draw(3000, 5);
    const exact = exactLogDensities(w);
    for (const r of PERTURBED) {
      const bounds: Float32Array[] = [];
      for (const k of [1, 10, 100])
        bounds.push(await bound(subject, engine, r, w, normal(10 + k, k, 3000, LATENT)));
      for (const i of [1, 2]) {
        const gain = estimate(difference(bounds[i], bounds[i - 1]));
        expect(gain.mean, 'gain of ten times the samples').toBeGreaterThan(-5 * gain.standardError);
      }
      const slack = estimate(difference(exact, bounds[2]));
      expect(slack.mean).toBeGreaterThan(-5 * slack.standardError);
      expect(slack.mean).toBeLessThan(0.05 * klFromPosterior(r) + 5 * slack.standardError);
    }
  },
};

const priorTerm: Proof = {
  name: 'E_q log p(w) of a mean-field q in closed form, minus the gap',
  async check({ priorNoise, expectedLogDensity }, engine) {
    const mean = normal(30, 1, D);
    const std = Float32Array.of(0.1, 0.4, 0.7, 0.2, 1.1, 0.05);
    const points = quadraticPoints(D + LATENT); // of w's noise and z's
    const n = points.length;
    for (const r of [EXACT, PERTURBED[2]]) {
      const prior = linearGaussianPrior(r);
      const specs = priorNoise(prior, n);
      expect(specs).toMatchObject({ kernels: { shape: [n, D] }, latent: { shape: [1, n, LATENT] } });
      const part = (from: number, to: number) =>
        Float32Array.from(points.flatMap((point) => [...point.subarray(from, to)]));
      const noise = { kernels: f32([n, D], part(0, D)), latent: f32([1, n, LATENT], part(D, D + LATENT)) };
      const logStd = f32([1, D], std.map(Math.log));
      const { value } = await runOn(
        engine,
        (inputs: Record<'mean' | 'logStd', tf.Tensor> & { noise: Record<string, tf.Tensor> }) => ({
          value: expectedLogDensity(prior, {}, inputs, inputs.noise),
        }),
        { mean: repeatRows(mean, n), logStd: repeatRows(logStd, n), noise } as never,
      );
      const expected = exactExpectedLogDensity(mean.data, std) - klFromPosterior(r);
      expect(largestError(meansOf((value as NdArray).data, n), [expected])).toBeLessThan(2e-5);
    }
  },
};

const VALUES = [-2, -1.1, -0.3, 0.4, 1.3, 1.9];

const nonLinear: Proof = {
  name: 'a decoder that is not linear: (1) ≤ (4, K = 2, 10, 100) ≤ log p(w) by quadrature; K = 5,000 within 0.01',
  async check({ lowerBound }, engine) {
    /** `repeats` draws at each value, in the order of the values. */
    const draws = async (k: number, repeats: number) => {
      const n = VALUES.length * repeats;
      const w = repeatRows(f32([VALUES.length, 1], Float32Array.from(VALUES)), repeats);
      const { value } = await runOn(
        engine,
        ({ w, noise }: { w: tf.Tensor; noise: tf.Tensor }) => ({ value: lowerBound(sine, w, noise) }),
        { w, noise: normal(40 + k, k, n, 1) },
      );
      return value.data as Float32Array;
    };
    const repeats = 600;
    const bounds: Float32Array[] = [];
    for (const k of [1, 2, 10, 100]) bounds.push(await draws(k, repeats));
    const many = await draws(5000, 20);
    for (const [i, w] of VALUES.entries()) {
      const exact = quadrature(w);
      const at = bounds.map((bound) => bound.subarray(i * repeats, (i + 1) * repeats));
      for (const j of [1, 2, 3]) {
        const gain = estimate(difference(at[j], at[j - 1]));
        expect(gain.mean, `gain ${j} at w = ${w}`).toBeGreaterThan(-5 * gain.standardError);
      }
      // Apart by more than the noise from end to end: an estimator that ignores K would not pass.
      const whole = estimate(difference(at[3], at[0]));
      expect(whole.mean, `(4, K = 100) − (1) at w = ${w}`).toBeGreaterThan(5 * whole.standardError);
      const slack = estimate(at[3].map((x) => exact - x));
      expect(slack.mean, `slack at w = ${w}`).toBeGreaterThan(-5 * slack.standardError);
      const { mean, standardError } = estimate(many.subarray(i * 20, (i + 1) * 20));
      expect(Math.abs(mean - exact), `K = 5,000 at w = ${w}`).toBeLessThan(0.01 + 5 * standardError);
      expect(5 * standardError).toBeLessThan(0.05);
    }
  },
};

const divergence: Proof = {
  name: 'KL(r ‖ p(z)) in closed form: the mean of log r(z) − log p(z)',
  async check({ klToStandard }, engine) {
    const [mean, logStd] = [normal(50, 1, LATENT), normal(51, 1, LATENT)];
    const points = quadraticPoints(LATENT);
    const { value } = await runOn(engine, (r: DiagonalNormal) => ({ value: klToStandard(r) }), {
      mean,
      logStd,
    } as never);
    const logRatios = points.map((point) =>
      point.reduce((sum, e, j) => {
        const z = mean.data[j] + Math.exp(logStd.data[j]) * e;
        return sum + 0.5 * z * z - 0.5 * e * e - logStd.data[j];
      }, 0),
    );
    expect(largestError((value as unknown as NdArray).data, meansOf(logRatios, points.length))).toBeLessThan(
      1e-5,
    );
  },
};

export const lower: readonly Proof[] = [exactProposal, gap, moreSamples, priorTerm, nonLinear, divergence];
