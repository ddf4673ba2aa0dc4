// What the gradients have in common.
import * as tf from '#tfjs';
import { TRACING_BACKEND } from '../ops/lowering.js';

export type Pair = [number, number];
export type Attributes = tf.NamedAttrMap;

/** True while a step is compiled: then there are kernels that no other backend has. */
export const tracing = () => tf.getBackend() === TRACING_BACKEND;

/** Runs a kernel by its name, for attributes that the functions of TensorFlow.js do not pass on. */
export const run = <T extends tf.Tensor>(kernel: string, inputs: tf.NamedTensorMap, attrs: object = {}): T =>
  tf.engine().runKernel(kernel, inputs, attrs as Attributes);

/** Σ of a gradient over the axes along which its tensor, of the given shape, was repeated. */
export function unbroadcast(gradient: tf.Tensor, shape: number[]): tf.Tensor {
  const axes = tf.broadcast_util.getReductionAxes(shape, gradient.shape);
  return tf.reshape(axes.length > 0 ? tf.sum(gradient, axes) : gradient, shape);
}

/** An attribute that may be one axis, several or none, as axes from 0. */
export const axesOf = (axis: unknown, rank: number): number[] =>
  tf.util.parseAxisParam(
    axis as number | number[],
    Array.from({ length: rank }, () => 1),
  );

/** A gradient of one tensor, for kernels with one output. */
export function gradient(
  kernelName: string,
  inputsToSave: string[],
  derivatives: (dy: tf.Tensor, saved: tf.Tensor[], attrs: Attributes) => Record<string, () => tf.Tensor>,
  outputsToSave: boolean[] = [],
): tf.GradConfig {
  return {
    kernelName,
    inputsToSave,
    outputsToSave,
    gradFunc: (dy, saved, attrs) => derivatives(dy as tf.Tensor, saved, attrs),
  };
}
