// Two-sample tests: rows of one distribution pass, rows of another do not.
import { expect, test } from 'vitest';
import { RandomStream, seedKey } from '../../src/engine/index.js';
import {
  nearestDistance,
  norms,
  type Sample,
  secondMoments,
  twoSampleTests,
} from '../../src/evaluate/sample-check.js';

const draw = (seed: number, scale = 1, count = 150): Sample => ({
  data: new RandomStream(seedKey(seed)).fillNormal(new Float32Array(count * 4)).map((x) => scale * x),
  count,
});

test('the same distribution: a p-value that is not small, half of the guesses right', () => {
  const { pValue, accuracy, accuracyStandardError } = twoSampleTests(draw(1), draw(2), 99, seedKey(3));
  expect(pValue).toBeGreaterThan(0.02);
  expect(Math.abs(accuracy - 0.5)).toBeLessThan(5 * accuracyStandardError);
});

test('another scale is seen by both', () => {
  const { pValue, accuracy, accuracyStandardError, mmd2 } = twoSampleTests(
    draw(1),
    draw(2, 2),
    99,
    seedKey(3),
  );
  expect(pValue).toBe(0.01);
  expect(mmd2).toBeGreaterThan(0);
  expect(accuracy).toBeGreaterThan(0.5 + 5 * accuracyStandardError);
});

test('norms, second moments and nearest rows by hand', () => {
  const a: Sample = { data: Float32Array.of(3, 4, 0, 1), count: 2 };
  expect([...norms(a)]).toEqual([5, 1]);
  expect([...secondMoments(a)]).toEqual([4.5, 6, 6, 8.5]);
  expect(nearestDistance({ data: Float32Array.of(0, 0), count: 1 }, a)).toBe(1);
});
