// Every kernel of TensorFlow.js can be compiled, or is refused with what to do instead.

import { beforeAll, describe, expect, test } from 'vitest';
import * as core from '#tfjs';
import { createEngine, type Engine, f32, tf } from '../../src/engine/index.js';
import { advice } from '../../src/engine/ops/advice.js';
import { lowerings } from '../../src/engine/ops/index.js';

/** Exported constants whose value is a kernel's name. */
const kernels = Object.entries(core)
  .filter(([, value]) => typeof value === 'string' && /^_?[A-Z]\w+$/.test(value))
  .map(([, value]) => String(value))
  .filter((name) => name !== 'CPU');

test('kernel names are found', () => {
  expect(kernels.length).toBeGreaterThan(170);
  expect(kernels).toContain('Conv2D');
});

test.each(kernels)('%s', (kernel) => {
  expect([kernel in lowerings, kernel in advice]).toContain(true);
  expect(kernel in lowerings && kernel in advice, 'lowered, and yet advised against').toBe(false);
});

test('advice is about kernels that exist', () => {
  const known = new Set([...kernels, 'Where']); // the kernel of tf.whereAsync has no name in the list
  expect(Object.keys(advice).filter((kernel) => !known.has(kernel))).toEqual([]);
});

describe('what is refused says what to do', () => {
  let native: Engine;
  beforeAll(async () => {
    native = await createEngine('native', 1);
  });
  const refused = (f: (x: tf.Tensor) => tf.Tensor) =>
    expect(native.compile(({ x }) => f(x), { inputs: { x: f32([1, 4, 4, 2]) } })).rejects;

  test('complex numbers', () =>
    refused((x) => tf.real(tf.fft(tf.complex(x, x)))).toThrow(/Complex cannot be compiled.*two tensors/));
  test('three dimensions', () =>
    refused((x) => tf.maxPool3d(tf.expandDims(x, 0) as tf.Tensor5D, 2, 1, 'valid')).toThrow(
      /MaxPool3D cannot be compiled.*two-dimensional/,
    ));
  test('NCHW images', () =>
    refused((x) => tf.conv2d(x as tf.Tensor4D, tf.ones([1, 1, 4, 1]), 1, 'valid', 'NCHW')).toThrow(
      /transpose to NHWC/,
    ));
  test('shapes that depend on values', () =>
    refused((x) => tf.unique(tf.reshape(x, [-1])).values).toThrow(/Unique cannot be compiled.*tf\.where/));
});
