// The mean of tight bounds that only some rows have, over every choice of those rows.
import { expect, test } from 'vitest';
import { meanOfTight } from '../../src/evaluate/streamed-bound.js';
import { estimate } from '../monte-carlo.js';

test('(62): no bias, and the standard error is right, averaged over all choices of 3 of 6', () => {
  const loose = Float64Array.of(-90, -60.5, -120, -75, -99, -81);
  const tight = loose.map((bound, i) => bound + [1, 0.3, 2.2, 0.9, 1.7, 0.1][i]);
  const choices: number[][] = [];
  for (let a = 0; a < 6; a++)
    for (let b = a + 1; b < 6; b++) for (let c = b + 1; c < 6; c++) choices.push([a, b, c]);
  const results = choices.map((chosen) =>
    meanOfTight(
      loose,
      Float64Array.from(chosen, (i) => tight[i]),
      chosen,
    ),
  );
  const means = results.map(({ mean }) => mean);
  const truth = estimate(tight).mean;
  expect(estimate(means).mean).toBeCloseTo(truth, 10);
  const variance = estimate(means.map((mean) => (mean - truth) ** 2)).mean;
  expect(estimate(results.map(({ standardError }) => standardError ** 2)).mean).toBeCloseTo(variance, 10);
});

test('all rows: no error at all', () => {
  const loose = Float64Array.of(-3, -2);
  expect(meanOfTight(loose, Float64Array.of(-2.5, -1), [0, 1])).toEqual({ mean: -1.75, standardError: 0 });
});
