// Bounds (2) and (5) of E_q log q(w) for a semi-implicit q, where it is known (docs/math.md, section 7): in closed
// form for a linear q, by quadrature for one that is not.
import { beforeAll, describe, expect, test } from 'vitest';
import { lowerBound, proposalOf, upperBound } from '../../src/bounds/hierarchical.js';
import type { LatentDensity } from '../../src/distributions/latent.js';
import { createEngine, type Engine, f32, RandomStream, seedKey, type tf } from '../../src/engine/index.js';
import { normal, runOn } from '../engine/reference.js';
import { difference, estimate, expectMean } from '../monte-carlo.js';
import { drawWithLatent, EXACT, exactLogDensity, klToPosterior, linearGaussian } from './linear-gaussian.js';
import { decode, quadrature, SIGMA, sine } from './sine.js';

const D = 6;

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

interface Draws {
  w: ReturnType<typeof f32>;
  latent: ReturnType<typeof f32>;
}

/** K = 0 is (2). `without`: the same sum without ζ₀, which is no upper bound. */
async function bound(
  density: LatentDensity,
  { w, latent }: Draws,
  k: number,
  seed: number,
  { proposal = 'auxiliary' as 'auxiliary' | 'prior', without = false } = {},
): Promise<Float32Array> {
  const noise = normal(seed, Math.max(1, k), w.shape[0], density.latentSize);
  const { value } = await runOn(
    engine,
    ({ w, latent, noise }: { w: tf.Tensor; latent: tf.Tensor; noise: tf.Tensor }) => {
      const s = proposalOf(density, w, proposal);
      return {
        value: without
          ? lowerBound(density, w, noise, s)
          : upperBound(density, w, latent, k > 0 ? noise : undefined, s),
      };
    },
    { w, latent, noise },
  );
  return value.data as Float32Array;
}

describe('linear q', () => {
  const exact = (w: Draws['w']) =>
    Float64Array.from({ length: w.shape[0] }, (_, i) => exactLogDensity(w.data.subarray(i * D, (i + 1) * D)));

  test.each([0, 1, 10])('with s = q(ζ|w), K = %i is log q(w), sample by sample', async (k) => {
    const draws = drawWithLatent(300, 60);
    const [value, truth] = [await bound(linearGaussian(EXACT), draws, k, 61), exact(draws.w)];
    const errors = Array.from(value, (x, i) => Math.abs(x - truth[i]) / Math.max(1, Math.abs(truth[i])));
    expect(Math.max(...errors)).toBeLessThan(1e-5);
  });

  test.each([
    { shift: 0.2, factor: 1 },
    { shift: -0.1, factor: 1.4 },
  ])('with another s, (2) is above by KL(q(ζ|w) ‖ s): $shift, $factor', async (s) => {
    const draws = drawWithLatent(40_000, 62);
    const gap = estimate(difference(await bound(linearGaussian(s), draws, 0, 63), exact(draws.w)));
    expectMean(gap, klToPosterior(s), 'gap');
    expect(klToPosterior(s)).toBeGreaterThan(20 * gap.standardError);
  });
});

describe('q that is not linear: w = sin 2ζ + ζ/2 + 0.4 ε', () => {
  const N = 4000;
  const draws: Draws = (() => {
    const stream = new RandomStream(seedKey(70));
    const latent = f32([N, 1]);
    const w = f32([N, 1]);
    for (let i = 0; i < N; i++) {
      latent.data[i] = stream.normal();
      w.data[i] = decode(latent.data[i]) + SIGMA * stream.normal();
    }
    return { w, latent };
  })();
  const exact = Float64Array.from(draws.w.data, quadrature);

  test.each(['auxiliary', 'prior'] as const)(
    '(2) ≥ (5, K = 1) ≥ (5, K = 10) ≥ (5, K = 100) ≥ E_q log q ≥ the same without ζ₀, proposals from %s',
    async (proposal) => {
      const above = await Promise.all(
        [0, 1, 10, 100].map((k) => bound(sine, draws, k, 71 + k, { proposal })),
      );
      for (const i of [1, 2, 3]) {
        const fall = estimate(difference(above[i - 1], above[i]));
        expect(fall.mean, `fall ${i}`).toBeGreaterThan(-5 * fall.standardError);
      }
      const whole = estimate(difference(above[0], above[3]));
      expect(whole.mean, '(2) − (5, K = 100)').toBeGreaterThan(5 * whole.standardError);
      for (const [i, k] of [0, 1, 10, 100].entries()) {
        const slack = estimate(difference(above[i], exact));
        expect(slack.mean, `slack at K = ${k}`).toBeGreaterThan(-5 * slack.standardError);
        if (k === 0) continue;
        const below = await bound(sine, draws, k, 171 + k, { proposal, without: true });
        const under = estimate(difference(exact, below));
        expect(under.mean, `below at K = ${k}`).toBeGreaterThan(-5 * under.standardError);
      }
    },
  );

  test('without ζ₀ it is no upper bound: the sandwich has two sides', async () => {
    const below = await bound(sine, draws, 1, 300, { proposal: 'prior', without: true });
    const under = estimate(difference(exact, below));
    expect(under.mean).toBeGreaterThan(20 * under.standardError);
    const above = await bound(sine, draws, 1, 301, { proposal: 'prior' });
    const over = estimate(difference(above, exact));
    expect(over.mean).toBeGreaterThan(20 * over.standardError);
  });

  test('K = 5,000 is within 0.01 nats on both sides', async () => {
    const n = 200;
    const few: Draws = {
      w: f32([n, 1], draws.w.data.slice(0, n) as Float32Array),
      latent: f32([n, 1], draws.latent.data.slice(0, n) as Float32Array),
    };
    for (const without of [false, true]) {
      const gap = estimate(difference(await bound(sine, few, 5000, 310, { without }), exact.slice(0, n)));
      expect(Math.abs(gap.mean)).toBeLessThan(0.01 + 5 * gap.standardError);
      expect(5 * gap.standardError).toBeLessThan(0.05);
    }
  });
});
