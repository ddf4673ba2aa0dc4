// Pooling with windows of any size, stride and padding: values and gradients on `native` and on `cpu`.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tf } from '../../src/engine/index.js';
import { expectSame, gridNormal, RUNS, type Tensors, t4 } from './ops-check.js';

type Pair = [number, number];
const between = (min: number, max: number) => fc.integer({ min, max });
const cases = fc
  .record({
    seed: between(1, 1000),
    size: fc.tuple(between(3, 8), between(3, 8)),
    window: fc.tuple(between(1, 3), between(1, 3)) as fc.Arbitrary<Pair>,
    strides: fc.tuple(between(1, 3), between(1, 3)) as fc.Arbitrary<Pair>,
    pad: fc.constantFrom<'valid' | 'same' | number>('valid', 'same', 0, 1),
    mode: fc.constantFrom<'floor' | 'ceil' | 'round' | undefined>('floor', 'ceil', 'round', undefined),
  })
  // With a number as padding TensorFlow.js wants square windows.
  .map((c): typeof c =>
    typeof c.pad === 'string'
      ? c
      : { ...c, window: [c.window[0], c.window[0]], strides: [c.strides[0], c.strides[0]] },
  );
type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never;

/** No window may lie in padding alone: its maximum and its mean do not exist. */
const hasPixels = ({ size, window, strides, pad, mode }: Case) => {
  if (typeof pad === 'string') return true;
  const info = tf.backend_util.computePool2DInfo([1, ...size, 1], window, strides, 1, pad, mode);
  return (
    window.every((k) => k > pad) &&
    (info.outHeight - 1) * strides[0] - pad < size[0] &&
    (info.outWidth - 1) * strides[1] - pad < size[1]
  );
};

const check = (pool: (x: tf.Tensor4D, c: Case) => tf.Tensor) =>
  fc.assert(
    fc.asyncProperty(cases.filter(hasPixels), async (c) => {
      const x = gridNormal(c.seed, [2, ...c.size, 3]); // the grid has ties
      await expectSame(({ x }: Tensors) => pool(t4(x), c), { x });
    }),
    { ...RUNS, numRuns: 50 },
  );
const rounding = ({ pad, mode }: Case) => (typeof pad === 'number' ? mode : undefined);

describe('any window, stride and padding', () => {
  test('maxPool', () => check((x, c) => tf.maxPool(x, c.window, c.strides, c.pad, rounding(c))));
  test('avgPool', () => check((x, c) => tf.avgPool(x, c.window, c.strides, c.pad, rounding(c))));
});

test('the gradient of a padded average spreads each mean over the pixels that it is of', () => {
  // Windows of 2 with a column of padding on the right: the last mean is of one pixel.
  const gradient = tf.grad((x: tf.Tensor) => tf.avgPool(t4(x), [1, 2], [1, 2], 'same'));
  expect([...gradient(tf.ones([1, 1, 3, 1])).dataSync()]).toEqual([0.5, 0.5, 1]);
});

describe('other pools', () => {
  const x = gridNormal(1, [2, 8, 6, 3]);

  test('global pools', async () => {
    await expectSame(({ x }) => tf.mean(x, [1, 2]), { x });
    await expectSame(({ x }) => tf.max(x, [1, 2]), { x });
    await expectSame(({ x }) => tf.avgPool(t4(x), [8, 6], 1, 'valid'), { x });
  });

  test.each([false, true])('maxPoolWithArgmax, batch in the index: %s', async (includeBatch) => {
    for (const part of ['result', 'indexes'])
      await expectSame(
        ({ x }) => tf.maxPoolWithArgmax(t4(x), 3, 2, 'same', includeBatch)[part as 'result'],
        { x },
        { gradient: false },
      );
  });

  test('a side of explicit padding', () =>
    expectSame(
      ({ x }) =>
        tf.add(
          tf.maxPool(
            t4(x),
            [3, 2],
            [1, 2],
            [
              [0, 0],
              [2, 0],
              [1, 1],
              [0, 0],
            ],
          ),
          tf.avgPool(
            t4(x),
            [3, 2],
            [1, 2],
            [
              [0, 0],
              [2, 0],
              [1, 1],
              [0, 0],
            ],
          ),
        ),
      { x },
    ));

  test('integers', () =>
    expectSame(
      ({ x }) => tf.maxPool(x as tf.Tensor4D, 2, 2, 'same'),
      { x: { shape: [1, 5, 5, 1], data: Int32Array.from({ length: 25 }, (_, i) => (i * 7) % 11) } },
      { gradient: false },
    ));
});
