import { expect, test } from 'vitest';
import { hasBit } from '../../src/kernels/bits.js';
import { type CleanOptions, cleanAlone, cleanLayer } from '../../src/kernels/clean.js';

const slices = (...rows: number[][]) => Float32Array.from(rows.flat());
const kept = (data: Float32Array, options: CleanOptions = {}, w = 4) => {
  const clean = cleanLayer(data, 1, w, options);
  const rows = Array.from({ length: data.length / w }, (_, row) => row).filter((row) =>
    hasBit(clean.kept, row),
  );
  expect(clean.count).toBe(rows.length);
  return rows;
};

test('every slice is counted once, by its first reason', () => {
  const data = slices(
    [1, 2, 3, 4],
    [Number.NaN, 2, 3, 4],
    [1, Number.POSITIVE_INFINITY, 3, 4],
    [0, 0, 0, 0],
    [5, 5, 5, 5],
    [1e-30, 2e-30, -3e-30, 0], // below the resolution of the layer's weights: constant
    [1e-5, -1e-5, 2e-5, 1e-5], // norm 2.6e-5, under 1e-4 of 5.5
    [1, 2, 3, 4],
    [4, 3, 2, 1],
  );
  expect(kept(data)).toEqual([0, 7, 8]); // duplicates are found later
  expect(cleanAlone(data, 1, 4)).toEqual({ nonFinite: 2, constant: 3, nearZero: 1, duplicate: 1 });
});

test('a NaN anywhere in a slice, also first, and negative extremes', () => {
  expect(kept(slices([1, 2, 3, Number.NaN], [Number.NaN, 1, 1, 1], [-9, -8, -9, -8]))).toEqual([2]);
  // the largest |weight| is 2²⁰, negative: what differs by less than 2⁻³ is constant
  expect(kept(slices([-(2 ** 20), 1, 1, 1], [1, 1.1, 1, 1], [1, 1.2, 1, 1]), { minNorm: 0 })).toEqual([0, 2]);
});

test('small weights are no noise in a layer of small weights', () => {
  expect(kept(slices([1e-30, 2e-30, -3e-30, 0], [4e-30, 2e-30, 1e-30, 0]))).toEqual([0, 1]);
});

test('an absolute limit of the norm', () => {
  const data = slices([3, 4, 0, 0], [0.3, 0.4, 0, 0]);
  expect(kept(data, { minNorm: 0.6 })).toEqual([0]);
  expect(kept(data, { minNorm: 0.4 })).toEqual([0, 1]);
  expect(kept(data, { minNorm: 0 })).toEqual([0, 1]);
});

test('slices of one value are near zero or kept, never constant', () => {
  expect(kept(Float32Array.of(1, 0, 2), {}, 1)).toEqual([0, 2]);
  expect(cleanAlone(Float32Array.of(1, 0, 2), 1, 1)).toMatchObject({ constant: 0, nearZero: 1 });
});

test('a small layer after a large one does not see what that left behind', () => {
  cleanLayer(
    Float32Array.from({ length: 4000 }, (_, i) => i),
    1,
    4,
  );
  expect(kept(slices([1, 2, 3, 4], [0, 0, 0, 1]))).toEqual([0, 1]);
});
