// Bounds from log weights, in double precision: against sums written out, and as averages that lie on the right side.
import { describe, expect, test } from 'vitest';
import { RandomStream, seedKey } from '../../src/engine/index.js';
import { byTangents, fromAbove, fromBelow, logSumExp } from '../../src/evaluate/importance.js';
import { estimate, expectMean } from '../monte-carlo.js';

const LOG_WEIGHTS = [-3, 0.5, -1, 2, 0.1, -0.7];
const average = (x: readonly number[]) => x.reduce((a, b) => a + b, 0) / x.length;

test('log Σ exp, however large or small', () => {
  expect(logSumExp([0, Math.log(2)])).toBeCloseTo(Math.log(3), 14);
  expect(logSumExp([-5000, -5000])).toBeCloseTo(-5000 + Math.log(2), 10);
  expect(logSumExp([5000, -5000])).toBe(5000);
  expect(logSumExp([Number.NEGATIVE_INFINITY])).toBe(Number.NEGATIVE_INFINITY);
});

test('blocks: what is left over is not used', () => {
  const blocks = [LOG_WEIGHTS.slice(0, 2), LOG_WEIGHTS.slice(2, 4), LOG_WEIGHTS.slice(4, 6)];
  const means = blocks.map((block) => Math.log(average(block.map(Math.exp))));
  expect(fromBelow(LOG_WEIGHTS, 2)).toBeCloseTo(average(means), 14);
  expect(fromBelow(LOG_WEIGHTS, 4)).toBeCloseTo(Math.log(average(LOG_WEIGHTS.slice(0, 4).map(Math.exp))), 14);
  expect(fromBelow(LOG_WEIGHTS, 1)).toBeCloseTo(average(LOG_WEIGHTS), 14);
  const own = 0.3;
  expect(fromAbove(own, LOG_WEIGHTS, 0)).toBe(own);
  expect(fromAbove(own, LOG_WEIGHTS, 3)).toBeCloseTo(
    average(
      [LOG_WEIGHTS.slice(0, 3), LOG_WEIGHTS.slice(3)].map((block) =>
        Math.log(average([own, ...block].map(Math.exp))),
      ),
    ),
    14,
  );
});

test('tangents, written out', () => {
  const w = LOG_WEIGHTS.map(Math.exp);
  const expected = average(
    w.map((own, i) => {
      const c = average(w.filter((_, k) => k !== i));
      return Math.log(c) + own / c - 1;
    }),
  );
  expect(byTangents(LOG_WEIGHTS, 5)).toBeCloseTo(expected, 13);
  expect(
    byTangents(
      LOG_WEIGHTS.map((x) => x - 900),
      5,
    ),
  ).toBeCloseTo(expected - 900, 9); // no under- or overflow
  expect(byTangents([1, 1, 1], 2)).toBeCloseTo(1, 14);
  // one weight that dwarfs all others: huge, and not lost to cancellation
  expect(byTangents([0, -40, -40], 2)).toBeCloseTo(
    (Math.log(Math.exp(-40)) + Math.exp(40) - 1 + 2 * (Math.log(0.5 * (1 + Math.exp(-40))) - 1)) / 3,
    -3,
  );
  expect(byTangents([0, -2000], 1)).toBe(Number.POSITIVE_INFINITY);
});

describe('log-normal weights of mean 1: log p = 0', () => {
  const SIGMA = 0.8;
  const REPEATS = 20_000;
  const draws = (K: number, seed: number) => {
    const stream = new RandomStream(seedKey(seed));
    return Array.from({ length: REPEATS }, () =>
      Array.from({ length: K }, () => SIGMA * stream.normal() - 0.5 * SIGMA ** 2),
    );
  };

  test('K = 1: below by half the variance of ℓ, above by E 1/w − 1 less that, in closed form', () => {
    const weights = draws(2, 700);
    expectMean(estimate(weights.map((w) => fromBelow(w, 1))), -0.5 * SIGMA ** 2, 'below');
    // E[log w₁ + w₂/w₁ − 1] = −σ²/2 + E(1/w) − 1, and E(1/w) = exp σ²
    const above = Math.exp(SIGMA ** 2) - 1 - 0.5 * SIGMA ** 2;
    expectMean(estimate(weights.map((w) => byTangents(w, 1))), above, 'above');
  });

  test.each([3, 10, 50])('K = %i: on either side, by half the variance of w over K', (K) => {
    const weights = draws(K + 1, 701 + K);
    const half = (Math.exp(SIGMA ** 2) - 1) / (2 * K);
    const below = estimate(weights.map((w) => -fromBelow(w.slice(0, K), K)));
    const above = estimate(weights.map((w) => byTangents(w, K)));
    for (const gap of [below, above]) {
      expect(gap.mean).toBeGreaterThan(5 * gap.standardError); // on its side, and seen to be
      expect(gap.mean).toBeLessThan(half * (1 + 4 / K) + 5 * gap.standardError);
    }
    expect(above.mean).toBeGreaterThan(half - 5 * above.standardError);
  });
});
