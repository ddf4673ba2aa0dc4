// Bounds of E_q log q(w) from above, (2) and (5), for a semi-implicit q.
import { expect } from 'vitest';
import type { LatentDensity } from '../../../src/distributions/latent.js';
import { reparameterise } from '../../../src/distributions/normal.js';
import { type Engine, f32, type NdArray, RandomStream, seedKey, type tf } from '../../../src/engine/index.js';
import { normal, runOn } from '../../engine/reference.js';
import { difference, estimate } from '../../monte-carlo.js';
import {
  draw,
  drawWithLatent,
  EXACT,
  exactLogDensities,
  klToPosterior,
  LATENT,
  linearGaussian,
} from '../linear-gaussian.js';
import { drawPlane, plane, planeQuadrature } from '../plane.js';
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

const exactProposal: Proof = {
  name: 's = q(ζ|w): log q(w), sample by sample',
  async check({ upperBound }, engine) {
    const { w, latent } = drawWithLatent(300, 60);
    const exact = exactLogDensities(w);
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
      const expected = exactLogDensities(w).map((x) => x + klToPosterior(s));
      expect(largestError(meansOf(value.data, points.length), expected)).toBeLessThan(2e-5);
    }
  },
};

/** Joint draws of a density that is not linear, and log q(w) of each by quadrature. */
interface Draws {
  density: LatentDensity;
  w: NdArray;
  latent: NdArray;
  exact: Float64Array;
}

/** w = sin 2ζ + ζ/2 + 0.4 ε */
function line(n: number): Draws {
  const stream = new RandomStream(seedKey(70));
  const [w, latent] = [f32([n, 1]), f32([n, 1])];
  for (let i = 0; i < n; i++) {
    latent.data[i] = stream.normal();
    w.data[i] = decode(latent.data[i]) + SIGMA * stream.normal();
  }
  return { density: sine, w, latent, exact: Float64Array.from(w.data, quadrature) };
}

function inPlane(n: number): Draws {
  const [latent, noise] = [normal(72, n, 2), normal(73, n, 2)];
  const w = f32([n, 2]);
  const row = (x: NdArray, i: number) => Array.from(x.data.subarray(2 * i, 2 * i + 2));
  const exact = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const at = drawPlane(row(latent, i), row(noise, i));
    w.data.set(at, 2 * i);
    exact[i] = planeQuadrature(at);
  }
  return { density: plane, w, latent, exact };
}

const DRAWS = { line: line(3000), plane: inPlane(1000) };
const FEW = { line: line(200), plane: inPlane(200) };

type Side = 'above' | 'below';

/** (2) for K = 0, else (5); `below`: the same sum without ζ₀, which is (4) for q. */
async function bound(
  { lowerBound, upperBound, proposalOf }: Subject,
  engine: Engine,
  { density, w, latent }: Draws,
  side: Side,
  k: number,
  proposal: 'auxiliary' | 'prior',
): Promise<Float32Array> {
  const seed = (side === 'below' ? 171 : 71) + k;
  const { value } = await runOn(
    engine,
    ({ w, latent, noise }: Record<'w' | 'latent' | 'noise', tf.Tensor>) => {
      const s = proposalOf(density, w, proposal);
      return {
        value:
          side === 'below'
            ? lowerBound(density, w, noise, { r: s })
            : upperBound(density, w, latent, k > 0 ? noise : undefined, { s }),
      };
    },
    { w, latent, noise: normal(seed, Math.max(1, k), w.shape[0], density.latentSize) },
  );
  return value.data as Float32Array;
}

/** That (2) ≥ (5) with growing K ≥ E_q log q ≥ the same without ζ₀. */
async function enclose(subject: Subject, engine: Engine, draws: Draws, proposal: 'auxiliary' | 'prior') {
  const above: Float32Array[] = [];
  for (const k of [0, 1, 10, 100]) above.push(await bound(subject, engine, draws, 'above', k, proposal));
  for (const i of [1, 2, 3]) {
    const fall = estimate(difference(above[i - 1], above[i]));
    expect(fall.mean, `fall ${i}`).toBeGreaterThan(-5 * fall.standardError);
  }
  const whole = estimate(difference(above[0], above[3]));
  expect(whole.mean, '(2) − (5, K = 100)').toBeGreaterThan(5 * whole.standardError);
  for (const [i, k] of [0, 1, 10, 100].entries()) {
    const slack = estimate(difference(above[i], draws.exact));
    expect(slack.mean, `slack at K = ${k}`).toBeGreaterThan(-5 * slack.standardError);
    if (k === 0) continue;
    const below = await bound(subject, engine, draws, 'below', k, proposal);
    const under = estimate(difference(draws.exact, below));
    expect(under.mean, `below at K = ${k}`).toBeGreaterThan(-5 * under.standardError);
  }
}

const sandwich: Proof = {
  name: 'q that is not linear: (2) ≥ (5, K = 1, 10, 100) ≥ E_q log q by quadrature ≥ the same without ζ₀',
  async check(subject, engine) {
    for (const proposal of ['auxiliary', 'prior'] as const)
      await enclose(subject, engine, DRAWS.line, proposal);
  },
};

const twoSides: Proof = {
  name: 'with ζ₀ far above E_q log q, without it far below, at K = 1',
  async check(subject, engine) {
    for (const [side, sign] of [
      ['above', 1],
      ['below', -1],
    ] as const) {
      const values = await bound(subject, engine, DRAWS.line, side, 1, 'prior');
      const off = estimate(difference(values, DRAWS.line.exact));
      expect(sign * off.mean, side).toBeGreaterThan(20 * off.standardError);
    }
  },
};

const manySamples: Proof = {
  name: 'q that is not linear: K = 5,000 within 0.01 nats from both sides, in one and two dimensions',
  async check(subject, engine) {
    for (const draws of [FEW.line, FEW.plane])
      for (const side of ['above', 'below'] as const) {
        const off = estimate(
          difference(await bound(subject, engine, draws, side, 5000, 'auxiliary'), draws.exact),
        );
        expect(Math.abs(off.mean), side).toBeLessThan(0.01 + 5 * off.standardError);
        expect(5 * off.standardError).toBeLessThan(0.05);
      }
  },
};

const inTwoDimensions: Proof = {
  name: 'the same as U3 in two dimensions',
  check: (subject, engine) => enclose(subject, engine, DRAWS.plane, 'auxiliary'),
};

export const upper: readonly Proof[] = [exactProposal, gap, sandwich, twoSides, manySamples, inTwoDimensions];
