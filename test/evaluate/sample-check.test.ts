// Two-sample tests: rows of one distribution pass, rows of another do not.
import { expect, test } from 'vitest';
import { RandomStream, seedKey } from '../../src/engine/index.js';
import { checkSamples } from '../../src/evaluate/sample-check.js';
import {
  covariance,
  covarianceError,
  nearestDistances,
  norms,
  RINGS,
  radialSpectra,
  type Sample,
} from '../../src/evaluate/sample-statistics.js';

const draw = (seed: number, scale = 1, count = 150, d = 9): Sample => ({
  data: new RandomStream(seedKey(seed)).fillNormal(new Float32Array(count * d)).map((x) => scale * x),
  count,
});
const check = (a: Sample, b: Sample, train?: Sample) =>
  checkSamples({ samples: a, kernels: b, train, size: { h: 3, w: 3 }, permutations: 99, key: seedKey(3) });

test('the same distribution: no p-value is small, half of the guesses are right, nothing is remembered', () => {
  const found = check(draw(1), draw(2), draw(4));
  for (const of of [found.norm, found.lagOne!, found.spectrum, found.covariance, found.mmd])
    expect(of.pValue).toBeGreaterThan(0.02);
  for (const { accuracy, standardError } of Object.values(found.classifiers))
    expect(Math.abs(accuracy - 0.5)).toBeLessThan(5 * standardError);
  expect(Math.abs(found.nearest!.nearer - 0.05)).toBeLessThan(5 * found.nearest!.standardError);
});

test('another scale: seen by norms, covariance, discrepancy and regression; not by what is free of scale', () => {
  const { norm, covariance, mmd, classifiers, lagOne, spectrum } = check(draw(1), draw(2, 2));
  for (const { pValue } of [norm, covariance, mmd]) expect(pValue).toBe(0.01);
  const { accuracy, standardError } = classifiers.logistic;
  expect(accuracy).toBeGreaterThan(0.5 + 5 * standardError);
  for (const { pValue } of [lagOne!, spectrum]) expect(pValue).toBeGreaterThan(0.02);
});

test('neighbours that are alike: seen by their correlation and the spectrum, not by the norms', () => {
  const smooth = draw(1);
  for (let i = 1; i < smooth.data.length; i++)
    if (i % 3) smooth.data[i] = 0.8 * smooth.data[i - 1] + 0.6 * smooth.data[i];
  const { lagOne, spectrum, classifiers } = check(smooth, draw(2));
  expect(lagOne!.pValue).toBe(0.01);
  expect(spectrum.pValue).toBe(0.01);
  const { accuracy, standardError } = classifiers.logistic;
  expect(accuracy).toBeGreaterThan(0.5 + 5 * standardError);
});

test('copies of train kernels are called so', () => {
  const train = draw(4);
  expect(check({ ...train }, draw(2), train).nearest!.nearer).toBe(1);
});

test('kernels of zeros, all the same, or of one weight', () => {
  const zeros = { data: new Float32Array(20 * 9), count: 20 };
  const found = check(zeros, zeros, zeros);
  expect(found.lagOne).toBeUndefined();
  expect([found.norm, found.spectrum, found.covariance, found.mmd].map(({ pValue }) => pValue)).toEqual([
    1, 1, 1, 1,
  ]);
  const points = checkSamples({
    samples: draw(1, 1, 60, 1),
    kernels: draw(2, 1, 60, 1),
    size: { h: 1, w: 1 },
    permutations: 99,
    key: seedKey(1),
  });
  expect(points.lagOne).toBeUndefined();
  expect(points.norm.pValue).toBeGreaterThan(0.02);
});

test('statistics by hand', () => {
  const a: Sample = { data: Float32Array.of(3, 4, 0, 1), count: 2 };
  expect([...norms(a)]).toEqual([5, 1]);
  expect([...covariance(a)]).toEqual([2.25, 2.25, 2.25]);
  expect([...nearestDistances({ data: Float32Array.of(0, 0), count: 1 }, a)]).toEqual([1]);
  // ‖(1, 1, 1) − (1, 0, 1)‖ over ‖(1, 0, 1)‖, the middle one twice
  expect(covarianceError(Float64Array.of(1, 1, 1), Float64Array.of(1, 0, 1))).toBeCloseTo(1, 12);
  // one pixel has power 1 at all frequencies; a constant pair 1 + cos(2πf cos a), less and less
  expect([...radialSpectra({ data: Float32Array.of(0, 5), count: 1 }, 1, 2)]).toEqual(
    RINGS.map(() => expect.closeTo(1, 9)),
  );
  const pair = radialSpectra({ data: Float32Array.of(2, 2), count: 1 }, 1, 2);
  expect(pair[0]).toBeCloseTo(2, 1);
  for (let b = 1; b < pair.length; b++) expect(pair[b]).toBeLessThan(pair[b - 1]);
});
