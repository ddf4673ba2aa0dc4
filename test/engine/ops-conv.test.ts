// Convolutions of any stride, padding, dilation and grouping: values and gradients on `native` and on `cpu`.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { groupedConv2d, tf } from '../../src/engine/index.js';
import { ENGINE_UNDER_TEST } from './backends.js';
import { expectSame, gridNormal, RUNS, type Tensors, t4 } from './ops-check.js';

type Pair = [number, number];
type Padding = 'valid' | 'same' | [Pair, Pair, Pair, Pair];

const between = (min: number, max: number) => fc.integer({ min, max });
const pairs = (max: number) => fc.tuple(between(1, max), between(1, max));
const sides = fc.tuple(between(0, 2), between(0, 2));
const padding: fc.Arbitrary<Padding> = fc.oneof(
  fc.constantFrom('valid' as const, 'same' as const),
  fc.tuple(sides, sides).map(([rows, columns]): Padding => [[0, 0], rows, columns, [0, 0]]),
);
/** TensorFlow.js allows strides or dilations, not both. */
const steps = fc.oneof(
  pairs(3).map((strides) => ({ strides, dilations: [1, 1] as Pair })),
  pairs(3).map((dilations) => ({ strides: [1, 1] as Pair, dilations })),
);
const images = fc.record({
  seed: between(1, 1000),
  batch: between(1, 3),
  size: fc.tuple(between(3, 8), between(3, 8)),
  kernel: pairs(3),
  padding,
  steps,
});
type Case = typeof images extends fc.Arbitrary<infer T> ? T : never;

/** Windows of the dilated kernel fit into the padded image. */
const fits = ({ size, kernel, padding, steps }: Case) =>
  size.every((n, i) => {
    const extent = (kernel[i] - 1) * steps.dilations[i] + 1;
    if (padding === 'same') return true;
    const added = padding === 'valid' ? 0 : padding[i + 1][0] + padding[i + 1][1];
    return n + added >= extent;
  });
const cases = images.filter(fits);

/** Padding by a number: TensorFlow.js then wants square windows, and rounds as told. */
const rounded = fc.record({
  seed: between(1, 1000),
  size: fc.tuple(between(3, 8), between(3, 8)),
  kernel: between(1, 3),
  stride: between(1, 3),
  pad: between(0, 2),
  mode: fc.constantFrom('floor' as const, 'ceil' as const, 'round' as const, undefined),
});

const check = (
  filterShape: (c: Case) => number[],
  channels: number,
  convolve: (x: tf.Tensor4D, filter: tf.Tensor4D, c: Case) => tf.Tensor,
  runs = RUNS,
) =>
  fc.assert(
    fc.asyncProperty(cases, async (c) => {
      const x = gridNormal(c.seed, [c.batch, ...c.size, channels]);
      const filter = gridNormal(c.seed + 1, filterShape(c));
      await expectSame(({ x, filter }: Tensors) => convolve(t4(x), t4(filter), c), { x, filter });
    }),
    runs,
  );

describe('any stride, padding and dilation', () => {
  test('conv2d', () =>
    check(
      ({ kernel }) => [...kernel, 3, 4],
      3,
      (x, filter, { steps, padding }) =>
        tf.conv2d(x, filter, steps.strides, padding, 'NHWC', steps.dilations),
      { ...RUNS, numRuns: 60 },
    ));

  test('groupedConv2d against one convolution per group', () =>
    check(
      ({ kernel }) => [...kernel, 2, 6],
      4,
      (x, filter, { steps, padding }) => groupedConv2d(x, filter, steps.strides, padding, steps.dilations),
    ));

  test('depthwiseConv2d', () =>
    check(
      ({ kernel }) => [...kernel, 3, 2],
      3,
      (x, filter, { steps, padding }) =>
        tf.depthwiseConv2d(x, filter, steps.strides, padding as 'same', 'NHWC', steps.dilations),
    ));

  test('conv2dTranspose', () =>
    check(
      ({ kernel }) => [...kernel, 5, 2], // [kh, kw, out, in]
      2,
      (x, filter, { batch, size, kernel, steps: { strides }, seed, padding }) => {
        const pad = padding === 'same' ? 'same' : 'valid';
        // Any size whose convolution gives `size`: with a stride there are several.
        const extra = strides.map((s) => seed % s);
        const shape = size.map((n, i) => (n - 1) * strides[i] + (pad === 'same' ? 1 : kernel[i]) + extra[i]);
        return tf.conv2dTranspose(x, filter, [batch, shape[0], shape[1], 5], strides, pad);
      },
    ));

  test('conv2d with rounded numbers of windows', () =>
    fc.assert(
      fc.asyncProperty(rounded, async ({ seed, size, kernel, stride, pad, mode }) => {
        const inputs = {
          x: gridNormal(seed, [1, ...size, 2]),
          w: gridNormal(seed, [kernel, kernel, 2, 3]),
        };
        await expectSame(
          ({ x, w }: Tensors) => tf.conv2d(t4(x), t4(w), stride, pad, 'NHWC', 1, mode),
          inputs,
        );
      }),
      RUNS,
    ));
});

describe('compositions', () => {
  const x = gridNormal(1, [2, 7, 6, 3]);

  test('conv1d, strided and dilated', async () => {
    const inputs = { x: gridNormal(2, [2, 9, 3]), w: gridNormal(3, [3, 3, 4]) };
    const conv1d = (strides: number, dilation: number) =>
      expectSame(
        ({ x, w }) => tf.conv1d(x as tf.Tensor3D, w as tf.Tensor3D, strides, 'same', 'NWC', dilation),
        inputs,
      );
    await conv1d(2, 1);
    await conv1d(1, 2);
  });

  test('separableConv2d', () =>
    expectSame(
      ({ x, depthwise, pointwise }) => tf.separableConv2d(t4(x), t4(depthwise), t4(pointwise), 2, 'same'),
      { x, depthwise: gridNormal(4, [3, 3, 3, 2]), pointwise: gridNormal(5, [1, 1, 6, 4]) },
    ));

  test('1×1 convolutions with padding or strides are no matrix product', async () => {
    const inputs = { x: gridNormal(6, [2, 3, 3, 2]), w: gridNormal(7, [1, 1, 2, 4]) };
    await expectSame(({ x, w }) => tf.conv2d(t4(x), t4(w), 2, 1), inputs); // [3, 3] → [3, 3]
    await expectSame(({ x, w }) => tf.conv2d(t4(x), t4(w), 2, 'same'), inputs);
    await expectSame(({ x, w }) => tf.conv2d(t4(x), t4(w), 1, 'same'), inputs);
  });

  test('an image without a batch', () =>
    expectSame(({ x, w }) => tf.conv2d(x as tf.Tensor3D, t4(w), 1, 'same'), {
      x: gridNormal(8, [5, 4, 3]),
      w: gridNormal(9, [3, 3, 3, 2]),
    }));

  test('gradients of gradients', () => {
    const inputs = { x: gridNormal(10, [2, 5, 5, 2]), w: gridNormal(11, [2, 3, 2, 3]) };
    const penalty = (dilation: number) => (p: Tensors) => {
      const inner = (x: tf.Tensor, w: tf.Tensor) =>
        tf.sum(tf.square(tf.conv2d(t4(x), t4(w), 1, 'same', 'NHWC', dilation)));
      const [dx, dw] = tf.grads(inner)([p.x, p.w]);
      return tf.concat([tf.reshape(tf.square(dx), [-1]), tf.reshape(tf.square(dw), [-1])]);
    };
    return Promise.all([expectSame(penalty(1), inputs), expectSame(penalty(2), inputs)]);
  });
});

// That is a message of the compiler.
test.runIf(ENGINE_UNDER_TEST === 'native')(
  'a number as padding of windows that are not square is refused where TensorFlow.js loses columns',
  () =>
    expect(
      expectSame(({ x, w }) => tf.conv2d(t4(x), t4(w), 1, 1), {
        x: gridNormal(1, [1, 5, 5, 1]),
        w: gridNormal(2, [3, 1, 1, 1]),
      }),
    ).rejects.toThrow(/5 columns of 7.*\[\[0, 0\], \[1, 1\], \[1, 1\], \[0, 0\]\]/),
);

test('groups that do not divide the channels are refused', () => {
  const filter = tf.zeros([3, 3, 2, 4]) as tf.Tensor4D;
  expect(() => groupedConv2d(tf.zeros([1, 5, 5, 3]) as tf.Tensor4D, filter, 1, 'same')).toThrow(/groups/);
  expect(() => groupedConv2d(tf.zeros([1, 5, 5, 6]) as tf.Tensor4D, filter, 1, 'same')).toThrow(/groups/);
});
