import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stratifiedSplit, stratifiedSubset } from '../../src/data/split.js';
import { foldIn, seedKey } from '../../src/engine/random.js';
import type { DwpError } from '../../src/errors.js';

const key = seedKey(3);
const even = (n: number, classes: number) => Uint8Array.from({ length: n }, (_, i) => (i * 7) % classes);

const perClass = (rows: Int32Array, labels: ArrayLike<number>, classes: number) => {
  const counts = new Array<number>(classes).fill(0);
  for (const row of rows) counts[labels[row]]++;
  return counts;
};

const exitCodeOf = (action: () => unknown) => {
  try {
    action();
  } catch (error) {
    return { code: (error as DwpError).exitCode, message: (error as DwpError).message };
  }
  throw new Error('was accepted');
};

describe('stratifiedSubset', () => {
  const labels = even(1000, 10);

  it('takes the same number of every class', () => {
    expect(perClass(stratifiedSubset(labels, 10, 50, key), labels, 10)).toEqual(new Array(10).fill(5));
  });

  it('gives the remainder to random classes, one each', () => {
    const favoured = new Set<string>();
    for (let split = 0; split < 20; split++) {
      const counts = perClass(stratifiedSubset(labels, 10, 53, foldIn(key, split)), labels, 10);
      expect([...counts].sort()).toEqual([5, 5, 5, 5, 5, 5, 5, 6, 6, 6]);
      favoured.add(counts.join());
    }
    expect(favoured.size).toBeGreaterThan(10);
  });

  it('takes one each of some classes when there are fewer examples than classes', () => {
    const counts = perClass(stratifiedSubset(labels, 10, 3, key), labels, 10);
    expect([...counts].sort()).toEqual([0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
  });

  it('lets others fill up for a class that runs out', () => {
    const uneven = Uint8Array.from([0, 1, 1, 1, 1, 1, 1, 2, 2, 2]);
    expect(perClass(stratifiedSubset(uneven, 3, 9, key), uneven, 3)).toEqual([1, 5, 3]);
    expect(perClass(stratifiedSubset(uneven, 3, 7, key), uneven, 3)).toEqual([1, 3, 3]);
    expect(perClass(stratifiedSubset(uneven, 4, 4, key), uneven, 4)[3]).toBe(0); // no such rows
  });

  it('is the same for the same key, another for another, whatever came before', () => {
    const a = stratifiedSubset(labels, 10, 100, key);
    stratifiedSubset(labels, 10, 10, foldIn(key, 'else'));
    expect(stratifiedSubset(labels, 10, 100, key)).toEqual(a);
    expect(stratifiedSubset(labels, 10, 100, foldIn(key, 1))).not.toEqual(a);
  });

  it('is nested: more examples hold the fewer', () => {
    const more = new Set(stratifiedSubset(labels, 10, 200, key));
    expect([...stratifiedSubset(labels, 10, 50, key)].every((row) => more.has(row))).toBe(true);
  });

  it('chooses every row of a class equally often (chi-square)', () => {
    const ofOne = new Uint8Array(20);
    const draws = 4000;
    const counts = new Float64Array(20);
    for (let i = 0; i < draws; i++)
      for (const row of stratifiedSubset(ofOne, 1, 5, foldIn(key, 'even', i))) counts[row]++;
    const expected = (draws * 5) / 20;
    const chiSquare = counts.reduce((sum, c) => sum + (c - expected) ** 2 / expected, 0);
    expect(chiSquare).toBeLessThan(19 + 5 * Math.sqrt(2 * 19));
  });

  it('refuses more examples than there are, naming both numbers', () => {
    const error = exitCodeOf(() => stratifiedSubset(new Uint8Array(60_000), 10, 70_000, key));
    expect(error.code).toBe(2);
    expect(error.message).toContain('70000');
    expect(error.message).toContain('60000');
    expect(exitCodeOf(() => stratifiedSubset(labels, 10, 0, key)).code).toBe(2);
  });
});

describe('stratifiedSplit', () => {
  it('gives, of any labels, disjoint ascending rows in the numbers asked for', () => {
    const inputs = fc.integer({ min: 1, max: 8 }).chain((classes) =>
      fc.record({
        classes: fc.constant(classes),
        labels: fc.array(fc.nat(classes - 1), { minLength: 1, maxLength: 60 }),
        a: fc.double({ min: 0, max: 1, noNaN: true }),
        b: fc.double({ min: 0, max: 1, noNaN: true }),
        seed: fc.nat(),
      }),
    );
    fc.assert(
      fc.property(inputs, ({ classes, labels, a, b, seed }) => {
        const examples = 1 + Math.floor(a * (labels.length - 1));
        const held = Math.floor(b * (labels.length - examples));
        const { train, validation } = stratifiedSplit(labels, classes, examples, held, seedKey(seed));
        expect(train).toHaveLength(examples);
        expect(validation).toHaveLength(held);
        expect(new Set([...train, ...validation]).size).toBe(examples + held);
        for (const rows of [train, validation]) {
          expect([...rows]).toEqual([...rows].sort((x, y) => x - y));
          expect([...rows].every((row) => row >= 0 && row < labels.length)).toBe(true);
        }
        // Equal shares: a class gets less than the largest one only when it is used up, or by one.
        const taken = perClass(train, labels, classes);
        const have = perClass(Int32Array.from(labels.keys()), labels, classes);
        taken.forEach((n, c) => {
          if (n < have[c]) expect(n).toBeGreaterThanOrEqual(Math.max(...taken) - 1);
        });
        expect(train).toEqual(stratifiedSubset(labels, classes, examples, seedKey(seed)));
      }),
    );
  });

  it('stratifies the validation rows', () => {
    const labels = even(1000, 10);
    const { validation } = stratifiedSplit(labels, 10, 100, 200, key);
    expect(perClass(validation, labels, 10)).toEqual(new Array(10).fill(20));
  });

  it('refuses what does not fit', () => {
    expect(exitCodeOf(() => stratifiedSplit(even(100, 10), 10, 60, 41, key))).toEqual({
      code: 2,
      message: '41 validation examples are more than the 40 that remain: 60 of 100 are used for training',
    });
  });
});
