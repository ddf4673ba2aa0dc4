import { expect, test } from 'vitest';
import { seedKey } from '../../src/engine/random.js';
import { concatKernels, holdOut, takeKernels } from '../../src/kernels/index.js';
import { splitRows } from '../../src/kernels/split.js';

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

const models = (counts: number[]) => counts.flatMap((n, model) => new Array<number>(n).fill(model));

test('four models: by kernel, at the fraction', () => {
  const split = splitRows(models([10, 20, 30, 40]), 0.2, seedKey(0));
  expect(split).toMatchObject({ by: 'kernel', testModels: [] });
  expect(split.isTest.filter(Boolean)).toHaveLength(20);
});

test('five models: whole models, near the fraction, never all or none', () => {
  const counts = [100, 80, 60, 40, 20];
  for (let seed = 0; seed < 20; seed++) {
    const rows = models(counts);
    const { by, testModels, isTest } = splitRows(rows, 0.2, seedKey(seed));
    expect(by).toBe('model');
    rows.forEach((model, row) => {
      expect(isTest[row]).toBe(testModels.includes(model));
    });
    expect(isTest.filter(Boolean)).toHaveLength(60); // 60, or 40 + 20
  }
  const choices = Array.from({ length: 20 }, (_, seed) =>
    splitRows(models(counts), 0.2, seedKey(seed)).testModels.join(),
  );
  expect(new Set(choices)).toEqual(new Set(['2', '3,4']));
});

test('models too large for the fraction: the smallest one is held out', () => {
  expect(splitRows(models([100, 100, 100, 100, 90]), 0.01, seedKey(0)).testModels).toEqual([4]);
});

test('no test part when none is wanted', () => {
  expect(splitRows(models([5, 5]), 0, seedKey(0))).toEqual({
    by: 'none',
    testModels: [],
    isTest: new Array(10).fill(false),
  });
});
