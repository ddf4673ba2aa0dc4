import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchOrder, gatherImages, gatherLabels } from '../../src/data/batches.js';
import type { ImageSet } from '../../src/data/dataset.js';
import { foldIn, seedKey } from '../../src/engine/random.js';

const key = seedKey(11);

describe('BatchOrder', () => {
  it('uses every row once per epoch, whether or not batches fit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), (n, batch) => {
        const order = new BatchOrder(n, batch, key);
        const epochs = 3;
        const rows: number[] = [];
        for (let step = 0; rows.length < epochs * n; step++) {
          const of = order.rows(step);
          expect(of).toHaveLength(Math.min(n, batch));
          rows.push(...of);
        }
        for (let e = 0; e < epochs; e++)
          expect(rows.slice(e * n, (e + 1) * n).sort((a, b) => a - b)).toEqual([...Array(n).keys()]);
      }),
    );
  });

  it('depends on key and step alone: resuming, going back and skipping give the same rows', () => {
    const steps = Array.from({ length: 50 }, (_, t) => t);
    const straight = new BatchOrder(17, 5, key);
    const expected = steps.map((t) => straight.rows(t));
    const mixed = new BatchOrder(17, 5, key);
    for (const t of [49, 0, 31, 30, 7, 48, 3, 4, 20]) expect(mixed.rows(t)).toEqual(expected[t]);
    for (const t of steps) expect(new BatchOrder(17, 5, key).rows(t)).toEqual(expected[t]);
  });

  it('changes from epoch to epoch and with the key', () => {
    const order = new BatchOrder(100, 50, key);
    expect(order.rows(0)).not.toEqual(order.rows(2));
    expect(order.rows(0)).not.toEqual(new BatchOrder(100, 50, foldIn(key, 1)).rows(0));
  });

  it('uses all rows in every step when the batch is as large', () => {
    for (const batch of [4, 100]) {
      const order = new BatchOrder(4, batch, key);
      expect(order.size).toBe(4);
      expect([...order.rows(3)]).toEqual([0, 1, 2, 3]);
    }
  });

  it('fills a given array and refuses one of another size', () => {
    const order = new BatchOrder(10, 3, key);
    const out = new Int32Array(3);
    expect(order.rows(5, out)).toBe(out);
    expect(out).toEqual(order.rows(5));
    expect(() => order.rows(5, new Int32Array(4))).toThrow('room for 4 rows, not 3');
  });

  it.each([
    [0, 1],
    [1, 0],
    [10, 2.5],
  ])('refuses %d rows in batches of %d', (n, batch) => {
    expect(() => new BatchOrder(n, batch, key)).toThrow(RangeError);
  });

  it('is fixed for ever', () => {
    const order = new BatchOrder(8, 3, seedKey(1));
    expect([0, 1, 2, 3].map((t) => [...order.rows(t)])).toEqual([
      [2, 3, 0],
      [7, 4, 6],
      [1, 5, 7],
      [6, 3, 5],
    ]);
  });
});

describe('gathering', () => {
  const set: ImageSet = {
    images: Uint8Array.from([0, 255, 51, 102, 10, 20, 30, 40, 1, 2, 3, 4]),
    labels: Uint8Array.of(3, 0, 2),
    count: 3,
    height: 1,
    width: 2,
    channels: 2,
    classes: 4,
  };

  it('scales pixels to [0, 1] by 255, row after row, repeats included', () => {
    const out = new Float32Array(12);
    expect(gatherImages(set, [2, 0, 0], out)).toBe(out);
    expect(out).toEqual(
      Float32Array.from([1 / 255, 2 / 255, 3 / 255, 4 / 255, 0, 1, 0.2, 0.4, 0, 1, 0.2, 0.4]),
    );
  });

  it('takes labels in the same order', () => {
    expect(gatherLabels(set, Int32Array.of(2, 0, 1, 2), new Int32Array(4))).toEqual(
      Int32Array.of(2, 3, 0, 2),
    );
  });

  it('refuses rows that do not exist and arrays of another size', () => {
    expect(() => gatherImages(set, [3], new Float32Array(4))).toThrow('row 3 of 3 images');
    expect(() => gatherImages(set, [-1], new Float32Array(4))).toThrow(RangeError);
    expect(() => gatherImages(set, [0], new Float32Array(5))).toThrow('1 images have 4');
    expect(() => gatherLabels(set, [3], new Int32Array(1))).toThrow(RangeError);
    expect(() => gatherLabels(set, [0], new Int32Array(2))).toThrow(RangeError);
  });
});
