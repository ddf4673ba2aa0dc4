// One function on both engines: value and gradient in one compiled step, compared with TensorFlow.js in plain JavaScript.
import { expect } from 'vitest';
import {
  type Engine,
  f32,
  type NdArray,
  RandomStream,
  seedKey,
  sizeOf,
  tf,
  valueAndGradients,
} from '../../src/engine/index.js';
import { passOverRefusal } from './backends.js';
import { engines, largestRelativeError, runOn } from './reference.js';

export type Tensors = Record<string, tf.Tensor>;
export type Inputs = Record<string, NdArray>;
export const t4 = (x: tf.Tensor) => x as tf.Tensor4D;

/** Largest difference allowed, relative to the largest value of the tensor. */
export const TOLERANCE = 1e-5;

/** Runs of each property. */
export const RUNS = { numRuns: 30, seed: 2718 };

let both: { native: Engine; cpu: Engine } | undefined;
const loaded = async () => {
  both ??= await engines();
  return both;
};

/** Normal numbers on a grid of 1/8, the same for the same seed and shape: sums of products of them are nearly exact. */
export function gridNormal(seed: number, shape: readonly number[]): NdArray {
  const numbers = new RandomStream(seedKey(seed)).fillNormal(new Float32Array(sizeOf(shape)));
  return f32(
    shape,
    numbers.map((x) => Math.round(8 * x) / 8),
  );
}

/** Σ f(x)·c with fixed coefficients c, so that every element of the gradient is tested on its own. */
export function weightedSum(value: tf.Tensor): tf.Scalar {
  const coefficients = tf.tensor(
    Array.from({ length: value.size }, (_, i) => Math.cos(i + 1)),
    value.shape,
  );
  return tf.sum(tf.mul(tf.cast(value, 'float32'), coefficients)) as tf.Scalar;
}

/** @throws when a value, or the gradient with respect to a float32 input, differs between `native` and `cpu` */
export async function expectSame(
  f: (x: Tensors) => tf.Tensor,
  inputs: Inputs,
  options: { gradient?: boolean; tolerance?: number } = {},
): Promise<void> {
  const { native, cpu } = await loaded();
  const { gradient = true, tolerance = TOLERANCE } = options;
  const isFloat = (name: string) => inputs[name].data instanceof Float32Array;
  const fn = (x: Tensors): Record<string, tf.Tensor | Record<string, tf.Tensor>> => {
    if (!gradient) return { value: f(x) };
    const params = Object.fromEntries(Object.entries(x).filter(([name]) => isFloat(name)));
    const { gradients, aux } = valueAndGradients((p: Tensors) => {
      const value = f({ ...x, ...p });
      return { objective: weightedSum(value), aux: { value } };
    }, params);
    return { value: aux.value, gradients };
  };
  const actual = await runOn(native, fn, inputs).catch(passOverRefusal);
  if (!actual) return;
  const { path, error } = largestRelativeError(actual, await runOn(cpu, fn, inputs));
  expect(error, path).toBeLessThan(tolerance);
}
