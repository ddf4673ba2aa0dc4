import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { foldIn, RandomStream, seedKey } from '../../src/engine/random.js';
import { DwpError } from '../../src/errors.js';
import { distributionShift, type Kernels } from '../../src/kernels/index.js';

/** Normal kernels of 3x3 to whose middle row `edge` is added. */
function kernels(count: number, edge: number, ...name: (string | number)[]): Kernels {
  const random = new RandomStream(foldIn(seedKey(9), ...name));
  const data = Float32Array.from(
    { length: count * 9 },
    (_, i) => random.normal() + (i % 9 >= 3 && i % 9 < 6 ? edge : 0),
  );
  return { data, count, h: 3, w: 3 };
}

const between = (a: Kernels, b: Kernels) => distributionShift([a, b]).nats[0][1];

describe('distribution shift', () => {
  test('is zero between equal sets and does not see their order or the scale of single kernels', () => {
    const a = kernels(300, 0.5, 'a');
    const scaled: Kernels = { ...a, data: a.data.map((x, i) => x * 2 ** ((Math.floor(i / 9) % 7) - 3)) };
    expect(between(a, a)).toBe(0);
    expect(between(a, scaled)).toBe(0);
    const reversed = a.data.map((_, i) => a.data[a.data.length - 9 - 9 * Math.floor(i / 9) + (i % 9)]);
    expect(between(a, { ...a, data: reversed })).toBeCloseTo(0, 12);
  });

  test('is symmetric, positive, and grows with the distance', () => {
    const start = kernels(2000, 0, 'start');
    const shifts = [0.2, 0.5, 1, 2].map((edge) => between(start, kernels(2000, edge, 'moved', String(edge))));
    expect(shifts).toEqual([...shifts].sort((a, b) => a - b));
    fc.assert(
      fc.property(fc.double({ min: 0, max: 2, noNaN: true }), fc.integer({ min: 2, max: 400 }), (edge, n) => {
        const other = kernels(n, edge, 'other', n);
        const nats = between(start, other);
        expect(nats).toBeGreaterThan(0);
        expect(between(other, start)).toBeCloseTo(nats, 9);
      }),
      { seed: 1, numRuns: 20 },
    );
  });

  // The expectation is to first order and bins are not independent: within a quarter is what is promised.
  test.each([
    [4000, 4000],
    [4000, 500],
    [200, 200],
  ])('between %i and %i kernels of one law is about what chance gives', (m, n) => {
    const pairs = Array.from({ length: 8 }, (_, i) =>
      distributionShift([kernels(m, 1, 'one', m, i), kernels(n, 1, 'two', n, i)]),
    );
    const mean = (of: number[]) => of.reduce((sum, x) => sum + x / of.length, 0);
    const ratio = mean(pairs.map(({ nats }) => nats[0][1])) / mean(pairs.map(({ chance }) => chance[0][1]));
    expect(ratio).toBeGreaterThan(0.75);
    expect(ratio).toBeLessThan(1.25);
  });

  test('leaves out kernels of zeros and those that are not finite', () => {
    const a = kernels(100, 0, 'a');
    const b = kernels(100, 1, 'b');
    const spoiled = new Float32Array(102 * 9);
    spoiled[4] = Number.NaN;
    spoiled.set(a.data, 18);
    expect(between({ data: spoiled, count: 102, h: 3, w: 3 }, b)).toBe(between(a, b));
  });

  test('of sets that cannot be compared is an error', () => {
    const a = kernels(5, 0, 'a');
    const errors: [Kernels, RegExp][] = [
      [{ data: new Float32Array(10), count: 2, h: 1, w: 5 }, /3x3 and 1x5/],
      [{ data: new Float32Array(18), count: 2, h: 3, w: 3 }, /set 2 of 2 has no kernels/],
    ];
    for (const [b, message] of errors) {
      expect(() => between(a, b)).toThrow(message);
      expect(() => between(a, b)).toThrow(DwpError);
    }
    const large = { data: new Float32Array(400).fill(1), count: 1, h: 20, w: 20 };
    expect(() => between(large, large)).toThrow(/at most 256/);
  });
});
