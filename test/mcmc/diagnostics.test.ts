// R̂ and effective sample size: against ArviZ, against chains whose autocorrelation is known, and at their edges.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { RandomStream, seedKey } from '../../src/engine/index.js';
import { chainEstimate, effectiveSampleSize, normalQuantile, rHat } from '../../src/mcmc/index.js';
import { expectMean } from '../monte-carlo.js';

interface Reference {
  quantiles: { p: number; x: number }[];
  cases: { name: string; rHat: number | null; bulk: number; meanError: number; chains: number[][] }[];
}
// Written by scripts/reference-chains.py.
const reference: Reference = JSON.parse(
  readFileSync(new URL('../fixtures/chains.json', import.meta.url), 'utf8'),
);

test.each(reference.cases)('as ArviZ: $name', ({ chains, ...expected }) => {
  if (expected.rHat !== null) expect(rHat(chains) / expected.rHat).toBeCloseTo(1, 9);
  expect(effectiveSampleSize(chains) / expected.bulk).toBeCloseTo(1, 9);
  expect(chainEstimate(chains).standardError / expected.meanError).toBeCloseTo(1, 9);
});

test.each(reference.quantiles)('Φ⁻¹($p)', ({ p, x }) => {
  expect(Math.abs(normalQuantile(p) - x)).toBeLessThan(1e-9);
});

/** x_i = ρ x_{i−1} + √(1 − ρ²) ε_i, stationary from its first value. */
function autoregressive(chains: number, draws: number, rho: number, seed: number): Float64Array[] {
  const stream = new RandomStream(seedKey(seed));
  return Array.from({ length: chains }, () => {
    let x = stream.normal();
    return Float64Array.from({ length: draws }, () => {
      const now = x;
      x = rho * x + Math.sqrt(1 - rho * rho) * stream.normal();
      return now;
    });
  });
}

describe('autoregressive chains', () => {
  // Σ_t ρᵗ in closed form: the effective size is S (1 − ρ)/(1 + ρ).
  test.each([-0.5, 0, 0.6, 0.9])('effective size for ρ = %f', (rho) => {
    const exact = (1 - rho) / (1 + rho);
    // Over repetitions; a bias of 5 % for the finite sum is let pass.
    const sizes = Array.from({ length: 20 }, (_, i) => {
      const chains = autoregressive(4, 1000, rho, 400 + i);
      return effectiveSampleSize(chains) / 4000 / exact;
    });
    const mean = sizes.reduce((a, b) => a + b, 0) / 20;
    const deviation = Math.sqrt(sizes.reduce((s, x) => s + (x - mean) ** 2, 0) / 19 / 20);
    expect(Math.abs(mean - 1)).toBeLessThan(0.05 + 5 * deviation);
  });

  test('the standard error is that of the mean: over many chains the mean is 0 within it', () => {
    const z = Array.from({ length: 200 }, (_, i) => {
      const { mean, standardError } = chainEstimate(autoregressive(2, 500, 0.7, 500 + i));
      return mean / standardError;
    });
    const squares = z.map((x) => x * x);
    const mean = squares.reduce((a, b) => a + b, 0) / squares.length;
    // the mean of 200 squared normals has a deviation of √(2/200); 10 % more for the noise of the errors themselves
    expectMean({ mean, standardError: Math.sqrt(2 / 200) * 1.1 }, 1, 'mean of z²');
  });

  test('R̂ is near 1 where chains agree, and above where they differ in location or in spread', () => {
    const chains = autoregressive(4, 500, 0.3, 600);
    expect(rHat(chains)).toBeLessThan(1.01);
    expect(rHat([...chains.slice(1), chains[0].map((x) => x + 1)])).toBeGreaterThan(1.1);
    expect(rHat([...chains.slice(1), chains[0].map((x) => 3 * x)])).toBeGreaterThan(1.05);
  });

  test('a single chain that drifts is seen by its halves', () => {
    expect(rHat([autoregressive(1, 500, 0, 601)[0].map((x, i) => x + i / 100)])).toBeGreaterThan(1.5);
  });
});

describe('edges', () => {
  test('too short, or not finite: NaN', () => {
    for (const f of [rHat, effectiveSampleSize]) {
      expect(f([])).toBeNaN();
      expect(f([[1, 2, 3]])).toBeNaN();
      expect(f([[1, 2, 3, Number.NaN, 5]])).toBeNaN();
    }
  });

  test('all the same: no disagreement, and nothing to learn from more draws', () => {
    expect(rHat([new Float64Array(10).fill(3)])).toBe(1);
    expect(effectiveSampleSize([new Float64Array(10).fill(3)])).toBe(10);
  });

  test('chains that never move, each at its own place: R̂ is without bound', () => {
    expect(rHat([new Float64Array(10).fill(1), new Float64Array(10).fill(2)])).toBe(Number.POSITIVE_INFINITY);
  });
});
