// Dense layers of the networks inside priors, and stacks of three of them.
import { f32, foldIn, type Key, RandomStream, tf } from '../engine/index.js';
import type { Arrays, Tensors } from './prior.js';

/** Kernel and bias of a dense layer; Glorot's normal initialisation. */
export function denseParameters(name: string, inputs: number, outputs: number, key: Key, gain = 1): Arrays {
  const kernel = f32([inputs, outputs]);
  const std = gain * Math.sqrt(2 / (inputs + outputs));
  const stream = new RandomStream(foldIn(key, name));
  stream.fillNormal(kernel.data);
  for (let i = 0; i < kernel.data.length; i++) kernel.data[i] *= std;
  return { [`${name}.kernel`]: kernel, [`${name}.bias`]: f32([outputs]) };
}

export const dense = (parameters: Tensors, name: string, x: tf.Tensor2D): tf.Tensor2D =>
  tf.add(tf.matMul(x, parameters[`${name}.kernel`] as tf.Tensor2D), parameters[`${name}.bias`]);

/** Two hidden layers of ELU and a linear one. */
export const stack = (parameters: Tensors, name: string, x: tf.Tensor2D): tf.Tensor2D => {
  const first = tf.elu(dense(parameters, `${name}.0`, x));
  const second = tf.elu(dense(parameters, `${name}.1`, first as tf.Tensor2D));
  return dense(parameters, `${name}.out`, second as tf.Tensor2D);
};

export const stackParameters = (
  name: string,
  sizes: readonly [number, number, number],
  key: Key,
): Arrays => ({
  ...denseParameters(`${name}.0`, sizes[0], sizes[1], key),
  ...denseParameters(`${name}.1`, sizes[1], sizes[1], key),
  ...denseParameters(`${name}.out`, sizes[1], sizes[2], key, 0.5),
});
