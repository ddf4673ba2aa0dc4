// Expectation maximisation against scikit-learn: scripts/write-em-fixture.py wrote what it says of the same points.
import { readFileSync } from 'node:fs';
import { Matrix } from 'ml-matrix';
import { expect, test } from 'vitest';
import { RandomStream, seedKey } from '../../src/engine/index.js';
import {
  componentOf,
  expectationMaximisation,
  meanLogDensity,
  PLAIN,
  responsibilities,
} from '../../src/priors/mixture/em.js';

const fixture = JSON.parse(readFileSync(new URL('../fixtures/em.json', import.meta.url), 'utf8')) as {
  iterations: number;
  points: number[][];
  shares: number[][];
  weights: number[];
  means: number[][];
  covariances: number[][][];
  logDensities: number[];
  responsibilities: number[][];
};
const [count, size] = [fixture.points.length, fixture.points[0].length];
const points = { data: fixture.points.flat(), count, size };
const NORMALS = Number.POSITIVE_INFINITY;
const mean = fixture.logDensities.reduce((a, b) => a + b, 0) / count;

/** Equal on both sides to the last digit, which sums of floating-point numbers are not. */
const symmetric = (rows: number[][]) => {
  const m = new Matrix(rows);
  return Matrix.add(m, m.transpose()).mul(0.5);
};

function expectClose(values: ArrayLike<number>, expected: readonly number[], tolerance: number): void {
  expect(values.length).toBe(expected.length);
  const errors = expected.map((x, i) => Math.abs(x - values[i]));
  expect(Math.max(...errors)).toBeLessThan(tolerance);
}

test('log-densities and shares of given parameters', () => {
  const given = fixture.weights.map((weight, c) =>
    componentOf(Math.log(weight), Float64Array.from(fixture.means[c]), symmetric(fixture.covariances[c])),
  );
  const each = fixture.points.map((data) => meanLogDensity({ data, count: 1, size }, given, NORMALS));
  expectClose(each, fixture.logDensities, 1e-9);
  expectClose(responsibilities(points, given, NORMALS), fixture.responsibilities.flat(), 1e-9);
});

test('the same fit from the same shares', () => {
  const options = {
    ...PLAIN,
    components: fixture.weights.length,
    dof: NORMALS,
    iterations: fixture.iterations,
    start: Float64Array.from(fixture.shares.flat()),
  };
  const stream = () => new RandomStream(seedKey(0));
  const fit = expectationMaximisation(points, options, stream());
  expectClose(
    fit.map(({ logWeight }) => Math.exp(logWeight)),
    fixture.weights,
    1e-6,
  );
  expectClose(
    fit.flatMap((c) => [...c.mean]),
    fixture.means.flat(),
    1e-6,
  );
  expectClose(
    fit.flatMap(({ covariance }) => covariance.to1DArray()),
    fixture.covariances.flat(2),
    1e-6,
  );
  expect(meanLogDensity(points, fit, NORMALS)).toBeCloseTo(mean, 6);
  // what keeps components regular is what differs by default, and costs likelihood
  const { pseudoCount, jitter, negligible, tolerance, ...own } = options;
  const regular = expectationMaximisation(points, { ...own, shrinkage: 5 }, stream());
  expect(meanLogDensity(points, regular, NORMALS)).toBeLessThan(mean - 1e-3);
});
