// Windows that slide over images: kernels of convolutions and pools, their strides and paddings.
import { z } from 'zod';
import { ShapeError } from './layer.js';

export type Pair = readonly [vertical: number, horizontal: number];
/** Rows and columns of zeros around an image, in ONNX's order. */
export type Sides = readonly [top: number, left: number, bottom: number, right: number];
export type Padding = 'valid' | 'same' | Sides;

const LARGEST = 4096;
const whole = (least: number) =>
  z
    .number('must be a whole number')
    .int('must be a whole number')
    .min(least, `must be at least ${least}`)
    .max(LARGEST, `must be at most ${LARGEST}`);

/** A whole number; the number of classes where a network says `classes`. */
export const count = whole(1);

/** One number for both directions, or [vertical, horizontal]. */
export const pair = z
  .union([whole(1), z.tuple([whole(1), whole(1)])], 'must be a whole number, or [vertical, horizontal]')
  .transform((given): Pair => (typeof given === 'number' ? [given, given] : given));

export const padding = z
  .union(
    [
      z.enum(['valid', 'same']),
      whole(0),
      z.tuple([whole(0), whole(0)]),
      z.tuple([whole(0), whole(0), whole(0), whole(0)]),
    ],
    'must be valid, same, a whole number, [vertical, horizontal] or [top, left, bottom, right]',
  )
  .transform((given): Padding => {
    if (typeof given === 'string') return given;
    if (typeof given === 'number') return [given, given, given, given];
    return given.length === 2 ? [...given, ...given] : given;
  });

export interface Window {
  kernel: Pair;
  stride: Pair;
  padding: Padding;
  dilation?: Pair;
}

/** Rows or columns that a window covers. */
const extent = (kernel: number, dilation: number) => (kernel - 1) * dilation + 1;

/** Zeros on each side; for `same` the last side has the odd one, as in TensorFlow and in ONNX's SAME_UPPER. */
export function sides({ kernel, stride, padding, dilation = [1, 1] }: Window, size: Pair): Sides {
  if (padding === 'valid') return [0, 0, 0, 0];
  if (padding !== 'same') return padding;
  const total = ([0, 1] as const).map((axis) =>
    Math.max(
      (Math.ceil(size[axis] / stride[axis]) - 1) * stride[axis] +
        extent(kernel[axis], dilation[axis]) -
        size[axis],
      0,
    ),
  );
  const first = total.map((n) => Math.floor(n / 2));
  return [first[0], first[1], total[0] - first[0], total[1] - first[1]];
}

/**
 * Rows and columns of the output.
 * @throws ShapeError when the window is larger than the image
 */
export function windowed(window: Window, size: Pair): Pair {
  const { kernel, stride, dilation = [1, 1] } = window;
  const [top, left, bottom, right] = sides(window, size);
  const padded = [size[0] + top + bottom, size[1] + left + right];
  const covered = [extent(kernel[0], dilation[0]), extent(kernel[1], dilation[1])];
  if (padded[0] < covered[0] || padded[1] < covered[1])
    throw new ShapeError(
      `its window of ${covered.join('×')} is larger than its input of ${padded.join('×')}`,
    );
  return [
    Math.floor((padded[0] - covered[0]) / stride[0]) + 1,
    Math.floor((padded[1] - covered[1]) / stride[1]) + 1,
  ];
}

/** As TensorFlow.js is told of it. */
export function tfPadding(padding: Padding) {
  if (typeof padding === 'string') return padding;
  const [top, left, bottom, right] = padding;
  return [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ] as [[number, number], [number, number], [number, number], [number, number]];
}

/** As attributes of an operator of ONNX. */
export const onnxWindow = (window: Window, size: Pair) => ({
  kernel_shape: [...window.kernel],
  strides: [...window.stride],
  pads: [...sides(window, size)],
});
