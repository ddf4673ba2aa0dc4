import fc from 'fast-check';
import { expect, test } from 'vitest';
import { permuteAxes } from '../../src/importers/layers.js';
import { ramp } from './write-models.js';

/** Item by item. */
function naive(data: Float32Array, shape: number[], order: number[]): number[] {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const visit = (axis: number, from: number): number[] =>
    axis === order.length
      ? [data[from]]
      : Array.from({ length: shape[order[axis]] }, (_, i) =>
          visit(axis + 1, from + i * strides[order[axis]]),
        ).flat();
  return visit(0, 0);
}

test('axes in any order, of any size: the same as item by item', () => {
  const axes = fc
    .array(fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 7 }), fc.constantFrom(33, 70)), {
      ...{ minLength: 1, maxLength: 5 },
    })
    .filter((shape) => shape.reduce((a, b) => a * b, 1) < 50_000)
    .chain((shape) =>
      fc.tuple(
        fc.constant(shape),
        fc.shuffledSubarray([...shape.keys()], { minLength: shape.length, maxLength: shape.length }),
      ),
    );
  fc.assert(
    fc.property(axes, ([shape, order]) => {
      const data = ramp(shape);
      const result = permuteAxes(data, shape, order);
      expect([...result]).toEqual(naive(data, shape, order));
      expect(result).not.toBe(data);
    }),
    { seed: 4, numRuns: 300 },
  );
});
