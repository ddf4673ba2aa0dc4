// Distances of two sets of draws against closed forms and by hand.
import { describe, expect, test } from 'vitest';
import { RandomStream, seedKey } from '../../src/engine/index.js';
import {
  type Draws,
  kolmogorovSmirnov,
  medianDistance,
  moments,
  nearestNeighbourLogDensity,
  relativeDistance,
  squaredMmd,
} from '../../src/evaluate/two-sample.js';
import { estimate, expectMean } from '../monte-carlo.js';

const rows = (data: ArrayLike<number>, d: number): Draws => ({ data, n: data.length / d, d });

const normal = (n: number, seed: number, shift = 0, std = 1, d = 2): Draws =>
  rows(
    new RandomStream(seedKey(seed)).fillNormal(new Float64Array(n * d)).map((x) => shift + std * x),
    d,
  );

describe('maximum mean discrepancy', () => {
  /** E exp(−‖x − y‖²/2σ²), x − y normal with mean m and variance v in each of d coordinates. */
  const expected = (sigma: number, m: number, v: number, d: number) =>
    (sigma ** 2 / (sigma ** 2 + v)) ** (d / 2) * Math.exp((-d * m ** 2) / (2 * (sigma ** 2 + v)));
  const exact = (h: number, shift: number, std: number, d: number) =>
    [h / 4, h / 2, h].reduce(
      (sum, sigma) =>
        sum +
        (expected(sigma, 0, 2, d) +
          expected(sigma, 0, 2 * std ** 2, d) -
          2 * expected(sigma, shift, 1 + std ** 2, d)) /
          3,
      0,
    );

  test.each([
    [0, 1, 2],
    [0.3, 1, 2],
    [0, 1.5, 2],
    [0.1, 1.2, 5],
  ])('of N(0, 1) and N(%f, %f²) in %i dimensions', (shift, std, d) => {
    const { value, standardError } = squaredMmd(normal(5000, 1, 0, 1, d), normal(5000, 2, shift, std, d), 2);
    expectMean({ mean: value, standardError }, exact(2, shift, std, d), 'MMD²');
    if (shift > 0) expect(exact(2, shift, std, d)).toBeGreaterThan(5 * standardError);
  });

  test('needs two blocks', () => {
    expect(() => squaredMmd(normal(300, 1), normal(300, 2), 1)).toThrow('no two blocks');
  });
});

test('median distance of points on a line', () => {
  expect(medianDistance(rows([0, 1, 3], 1))).toBe(2);
  expect(medianDistance(rows([4, 4, 4], 1))).toBe(1);
});

test('Kolmogorov–Smirnov distances by hand, with ties', () => {
  expect(kolmogorovSmirnov(rows([0, 1, 2, 3], 1), rows([0, 1, 2, 3], 1))).toEqual([0]);
  expect(kolmogorovSmirnov(rows([0, 1], 1), rows([2, 3], 1))).toEqual([1]);
  expect(kolmogorovSmirnov(rows([0, 0, 1, 1], 1), rows([0, 1, 1, 1], 1))).toEqual([0.25]);
  expect(kolmogorovSmirnov(rows([0, 5, 1, 5], 2), rows([2, 5, 3, 5], 2))).toEqual([1, 0]);
});

test('moments by hand, and the relative distance of matrices', () => {
  const { mean, covariance } = moments(rows([1, 0, 3, 4], 2));
  expect(mean).toEqual([2, 2]);
  expect(covariance).toEqual([
    [2, 4],
    [4, 8],
  ]);
  expect(relativeDistance([[3, 0]], [[0, 4]])).toBe(5 / 4);
});

describe('E log q by distances to neighbours', () => {
  test.each([1, 2])('of a normal in %i dimensions', (d) => {
    const std = 0.5;
    const values = nearestNeighbourLogDensity(normal(3000, 4, 0, std, d));
    expectMean(estimate(values), -0.5 * d * Math.log(2 * Math.PI * Math.E * std ** 2), 'E log q');
  });
});
