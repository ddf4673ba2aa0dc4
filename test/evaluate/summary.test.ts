import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mean, standardDeviation, standardError } from '../../src/evaluate/summary.js';

describe('summaries', () => {
  it('by hand: 2, 4, 4, 4, 5, 5, 7, 9 have mean 5 and squares 32', () => {
    const values = [2, 4, 4, 4, 5, 5, 7, 9];
    expect(mean(values)).toBe(5);
    expect(standardDeviation(values)).toBeCloseTo(Math.sqrt(32 / 7), 14);
    expect(standardError(values)).toBeCloseTo(Math.sqrt(32 / 7 / 8), 14);
  });

  it('know no spread of one value, no mean of none', () => {
    expect(mean([3])).toBe(3);
    expect(standardDeviation([3])).toBeNaN();
    expect(standardError([3])).toBeNaN();
    expect(mean([])).toBeNaN();
    expect(standardDeviation(Float32Array.of(1, 1, 1))).toBe(0);
  });

  it('follow shift and scale', () => {
    const numbers = fc.array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), {
      minLength: 2,
      maxLength: 20,
    });
    fc.assert(
      fc.property(
        numbers,
        fc.integer({ min: -9, max: 9 }),
        fc.integer({ min: 0, max: 9 }),
        (x, shift, scale) => {
          const y = x.map((v) => scale * v + shift);
          expect(mean(y)).toBeCloseTo(scale * mean(x) + shift, 8);
          expect(standardDeviation(y)).toBeCloseTo(scale * standardDeviation(x), 8);
        },
      ),
    );
  });
});
