import { expect, test } from 'vitest';
import { seedKey } from '../../src/engine/random.js';
import { concatKernels, holdOut, takeKernels } from '../../src/kernels/index.js';
import { spread } from '../../src/kernels/plan.js';
import { planSplit, Selection } from '../../src/kernels/split.js';

const kernels = (count: number) => ({
  data: Float32Array.from({ length: count * 4 }, (_, i) => i),
  count,
  h: 2,
  w: 2,
});
/** Which kernels a set is made of, by their first value. */
const rowsOf = ({ data, count }: { data: Float32Array; count: number }) =>
  Array.from({ length: count }, (_, i) => data[4 * i] / 4);

test('holdOut: every kernel on one side, in order, by the seed', () => {
  const { train, test: held } = holdOut(kernels(50), 0.2, seedKey(3));
  expect([train.count, held.count]).toEqual([40, 10]);
  expect([...rowsOf(train), ...rowsOf(held)].sort((a, b) => a - b)).toEqual(rowsOf(kernels(50)));
  expect(rowsOf(train)).toEqual([...rowsOf(train)].sort((a, b) => a - b));
  expect(rowsOf(holdOut(kernels(50), 0.2, seedKey(3)).test)).toEqual(rowsOf(held));
  expect(rowsOf(holdOut(kernels(50), 0.2, seedKey(4)).test)).not.toEqual(rowsOf(held));
});

test('holdOut leaves at least one on either side and refuses less than two', () => {
  expect(holdOut(kernels(2), 0.01, seedKey(0)).test.count).toBe(1);
  expect(holdOut(kernels(2), 0.99, seedKey(0)).train.count).toBe(1);
  expect(() => holdOut(kernels(1), 0.5, seedKey(0))).toThrow(/too few/);
});

test('takeKernels and concatKernels', () => {
  const joined = concatKernels([takeKernels(kernels(5), [4, 0]), takeKernels(kernels(5), [2])]);
  expect(rowsOf(joined)).toEqual([4, 0, 2]);
  expect(() => takeKernels(kernels(5), [5])).toThrow(/row 5 of 5/);
  expect(() => concatKernels([kernels(1), { data: new Float32Array(9), count: 1, h: 3, w: 3 }])).toThrow(
    /2x2 and of 3x3/,
  );
});

const models = (counts: number[]) => new Map(counts.map((n, model) => [model, n]));

test('four models: by kernel, at the fraction', () => {
  expect(planSplit(models([10, 20, 30, 40]), 0.2, seedKey(0))).toEqual({
    by: 'kernel',
    testModels: [],
    testRows: 20,
  });
});

test('five models: whole models, near the fraction, never all or none', () => {
  const counts = models([100, 80, 60, 40, 20]);
  const choices = Array.from({ length: 20 }, (_, seed) => planSplit(counts, 0.2, seedKey(seed)));
  for (const { by, testRows } of choices) expect([by, testRows]).toEqual(['model', 60]); // 60, or 40 + 20
  expect(new Set(choices.map(({ testModels }) => testModels.join()))).toEqual(new Set(['2', '3,4']));
});

test('models too large for the fraction: the smallest one is held out', () => {
  expect(planSplit(models([100, 100, 100, 100, 90]), 0.01, seedKey(0)).testModels).toEqual([4]);
});

test('models without kernels do not count, nor make five', () => {
  expect(planSplit(models([100, 100, 0, 100, 90]), 0.2, seedKey(0)).by).toBe('kernel');
});

test('as it was asked for: by model from two on, by kernel with many', () => {
  expect(planSplit(models([50, 50]), 0.5, seedKey(0), 'model')).toMatchObject({ by: 'model', testRows: 50 });
  expect(planSplit(models([50]), 0.5, seedKey(0), 'model').by).toBe('kernel');
  expect(planSplit(models([9, 9, 9, 9, 9, 9]), 0.5, seedKey(0), 'kernel').by).toBe('kernel');
});

test('no test part when none is wanted', () => {
  expect(planSplit(models([5, 5]), 0, seedKey(0))).toEqual({ by: 'none', testModels: [], testRows: 0 });
});

test('a selection takes as many as wanted, each place alike', () => {
  const counts = new Array<number>(20).fill(0);
  const draws = 4000;
  for (let seed = 0; seed < draws; seed++) {
    const selection = new Selection(20, 5, seedKey(seed));
    const chosen = counts.map(() => selection.next());
    expect(chosen.filter(Boolean)).toHaveLength(5);
    for (const [i, yes] of chosen.entries()) if (yes) counts[i]++;
  }
  // each count is binomial(4000, 1/4): five standard deviations
  for (const count of counts)
    expect(Math.abs(count - draws / 4)).toBeLessThan(5 * Math.sqrt((draws * 3) / 16));
});

test('spread: as evenly as the layers allow, all of it', () => {
  expect(spread([10, 10, 10], 9)).toEqual([3, 3, 3]);
  expect(spread([2, 100, 50], 60)).toEqual([2, 29, 29]);
  expect(spread([2, 100, 5], 60)).toEqual([2, 53, 5]);
  expect(spread([2, 3], 60)).toEqual([2, 3]);
  expect(spread([5, 5, 5], 7).reduce((a, b) => a + b)).toBe(7);
  expect(spread([5, 5, 5], 0)).toEqual([0, 0, 0]);
});
