// Bounds of E_q log q(w) from above, (2) and (5), for a semi-implicit q.
import { expect } from 'vitest';
import { reparameterise } from '../../../src/distributions/normal.js';
import { type Engine, f32, type NdArray, RandomStream, seedKey, type tf } from '../../../src/engine/index.js';
import { normal, runOn } from '../../engine/reference.js';
import { difference, estimate } from '../../monte-carlo.js';
import {
  draw,
  drawWithLatent,
  EXACT,
  exactLogDensity,
  klToPosterior,
  linearGaussian,
} from '../linear-gaussian.js';
import { decode, quadrature, SIGMA, sine } from '../sine.js';
import {
  largestError,
  meansOf,
  type Proof,
  quadraticPoints,
  repeatPoints,
  repeatRows,
  type Subject,
} from './proof.js';

const D = 6;
const LATENT = 3;

const exactOf = (w: NdArray) =>
  Float64Array.from({ length: w.shape[0] }, (_, i) => exactLogDensity(w.data.subarray(i * D, (i + 1) * D)));

const exactProposal: Proof = {
  name: 's = q(ζ|w): log q(w), sample by sample',
  async check({ upperBound }, engine) {
    const { w, latent } = drawWithLatent(300, 60);
    const exact = exactOf(w);
    for (const k of [0, 1, 10]) {
      const { value } = await runOn(
        engine,
        ({ w, latent, noise }: Record<'w' | 'latent' | 'noise', tf.Tensor>) => ({
          value: upperBound(linearGaussian(EXACT), w, latent, k > 0 ? noise : undefined),
        }),
        { w, latent, noise: normal(61 + k, Math.max(1, k), 300, LATENT) },
      );
      expect(largestError(value.data, exact), `K = ${k}`).toBeLessThan(1e-5);
    }
  },
};

const gap: Proof = {
  name: 'another s: above by KL(q(ζ|w) ‖ s), at every w',
  async check({ upperBound }, engine) {
    // the logarithm in (2) is quadratic in ζ₀: its expectation under q(ζ|w) is a mean over a few points
    const points = quadraticPoints(LATENT);
    const w = draw(50, 62);
    for (const s of [
      { shift: 0.2, factor: 1 },
      { shift: -0.1, factor: 1.4 },
    ]) {
      const { value } = await runOn(
        engine,
        ({ w, points }: Record<'w' | 'points', tf.Tensor>) => ({
          value: upperBound(
            linearGaussian(s),
            w,
            reparameterise(linearGaussian(EXACT).encode(w), points),
            undefined,
          ),
        }),
        { w: repeatRows(w, points.length), points: repeatPoints(points, 50) },
      );
      const expected = exactOf(w).map((x) => x + klToPosterior(s));
      expect(largestError(meansOf(value.data, points.length), expected)).toBeLessThan(2e-5);
    }
  },
};

interface Draws {
  w: NdArray;
  latent: NdArray;
}

/** w = sin 2ζ + ζ/2 + 0.4 ε, ζ, and log q(w). */
function sineDraws(n: number): Draws & { exact: Float64Array } {
  const stream = new RandomStream(seedKey(70));
  const [w, latent] = [f32([n, 1]), f32([n, 1])];
  for (let i = 0; i < n; i++) {
    latent.data[i] = stream.normal();
    w.data[i] = decode(latent.data[i]) + SIGMA * stream.normal();
  }
  return { w, latent, exact: Float64Array.from(w.data, quadrature) };
}
const DRAWS = sineDraws(3000);

type Side = 'above' | 'below';

/** (2) for K = 0, else (5); `below`: the same sum without ζ₀, which is (4) for q. */
async function ofSine(
  { lowerBound, upperBound, proposalOf }: Subject,
  engine: Engine,
  { w, latent }: Draws,
  side: Side,
  k: number,
  proposal: 'auxiliary' | 'prior',
): Promise<Float32Array> {
  const { value } = await runOn(
    engine,
    ({ w, latent, noise }: Record<'w' | 'latent' | 'noise', tf.Tensor>) => {
      const s = proposalOf(sine, w, proposal);
      return {
        value:
          side === 'below'
            ? lowerBound(sine, w, noise, s)
            : upperBound(sine, w, latent, k > 0 ? noise : undefined, s),
      };
    },
    { w, latent, noise: normal((side === 'below' ? 171 : 71) + k, Math.max(1, k), w.shape[0], 1) },
  );
  return value.data as Float32Array;
}

const sandwich: Proof = {
  name: 'q that is not linear: (2) ≥ (5, K = 1, 10, 100) ≥ E_q log q by quadrature ≥ the same without ζ₀',
  async check(subject, engine) {
    const { exact } = DRAWS;
    for (const proposal of ['auxiliary', 'prior'] as const) {
      const above: Float32Array[] = [];
      for (const k of [0, 1, 10, 100]) above.push(await ofSine(subject, engine, DRAWS, 'above', k, proposal));
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
        const below = await ofSine(subject, engine, DRAWS, 'below', k, proposal);
        const under = estimate(difference(exact, below));
        expect(under.mean, `below at K = ${k}`).toBeGreaterThan(-5 * under.standardError);
      }
    }
  },
};

const twoSides: Proof = {
  name: 'with ζ₀ far above E_q log q, without it far below, at K = 1',
  async check(subject, engine) {
    const { exact } = DRAWS;
    for (const [side, sign] of [
      ['above', 1],
      ['below', -1],
    ] as const) {
      const off = estimate(difference(await ofSine(subject, engine, DRAWS, side, 1, 'prior'), exact));
      expect(sign * off.mean, side).toBeGreaterThan(20 * off.standardError);
    }
  },
};

const manySamples: Proof = {
  name: 'q that is not linear: K = 5,000 within 0.01 nats from both sides',
  async check(subject, engine) {
    const draws = sineDraws(200);
    const { exact } = draws;
    for (const side of ['above', 'below'] as const) {
      const off = estimate(difference(await ofSine(subject, engine, draws, side, 5000, 'auxiliary'), exact));
      expect(Math.abs(off.mean), side).toBeLessThan(0.01 + 5 * off.standardError);
      expect(5 * off.standardError).toBeLessThan(0.05);
    }
  },
};

export const upper: readonly Proof[] = [exactProposal, gap, sandwich, twoSides, manySamples];
