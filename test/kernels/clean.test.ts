import { expect, test } from 'vitest';
import { RandomStream, seedKey } from '../../src/engine/random.js';
import { cleanSlices, SliceSet } from '../../src/kernels/clean.js';

const slices = (...rows: number[][]) => Float32Array.from(rows.flat());
const clean = (data: Float32Array, minNorm?: number, seen = new SliceSet(4)) =>
  cleanSlices(data, 4, seen, minNorm);

test('every slice is counted once, by its first reason', () => {
  const { kept, dropped } = clean(
    slices(
      [1, 2, 3, 4],
      [Number.NaN, 2, 3, 4],
      [1, Number.POSITIVE_INFINITY, 3, 4],
      [0, 0, 0, 0],
      [5, 5, 5, 5],
      [1e-30, 2e-30, -3e-30, 0], // below the resolution of the layer's weights: constant
      [1e-5, -1e-5, 2e-5, 1e-5], // norm 2.6e-5, under 1e-4 of 5.5
      [1, 2, 3, 4],
      [4, 3, 2, 1],
    ),
  );
  expect(kept).toEqual([0, 8]);
  expect(dropped).toEqual({ nonFinite: 2, constant: 3, nearZero: 1, duplicate: 1 });
});

test('small weights are no noise in a layer of small weights', () => {
  expect(clean(slices([1e-30, 2e-30, -3e-30, 0], [4e-30, 2e-30, 1e-30, 0])).kept).toEqual([0, 1]);
});

test('an absolute limit of the norm', () => {
  const data = slices([3, 4, 0, 0], [0.3, 0.4, 0, 0]);
  expect(clean(data, 0.6).kept).toEqual([0]);
  expect(clean(data, 0.4).kept).toEqual([0, 1]);
  expect(clean(data, 0).kept).toEqual([0, 1]);
});

test('slices of one value are near zero or kept, never constant', () => {
  const { kept, dropped } = cleanSlices(Float32Array.of(1, 0, 2), 1, new SliceSet(1));
  expect(kept).toEqual([0, 2]);
  expect(dropped).toEqual({ nonFinite: 0, constant: 0, nearZero: 1, duplicate: 0 });
});

test('duplicates across calls; the set agrees with a set of strings', () => {
  const random = new RandomStream(seedKey(1));
  const seen = new SliceSet(4);
  const reference = new Set<string>();
  for (let call = 0; call < 20; call++) {
    // 4 values from {1, …, 6}: 1296 different slices, so that many of 4000 are duplicates and the table grows
    const data = Float32Array.from({ length: 800 }, () => 1 + random.integer(6));
    for (let at = 0; at < data.length; at += 4) {
      const slice = data.subarray(at, at + 4);
      const isNew = !reference.has(slice.join());
      expect(seen.add(slice)).toBe(isNew);
      reference.add(slice.join());
    }
  }
  expect(seen.count).toBe(reference.size);
  expect(seen.count).toBeGreaterThan(1024);
  const all = seen.slices();
  expect([...reference]).toEqual(
    Array.from({ length: seen.count }, (_, i) => all.subarray(4 * i, 4 * i + 4).join()),
  );
});

test('slices that differ in their last value only are no duplicates', () => {
  const seen = new SliceSet(2);
  for (let i = 0; i < 5000; i++) expect(seen.add(Float32Array.of(1, i))).toBe(true);
  expect(seen.count).toBe(5000);
});
