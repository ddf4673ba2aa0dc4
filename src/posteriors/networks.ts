// Small networks inside posteriors: a hidden layer of tanh, beside a linear path where they have one.
import { f32, foldIn, type Key, RandomStream, tf } from '../engine/index.js';
import type { Arrays, Tensors } from './posterior.js';

/** x [.., inputs] → [.., outputs], with the parameters `name.in`, `name.bias`, `name.out` and perhaps `name.linear`. */
export function network(parameters: Tensors, name: string, x: tf.Tensor): tf.Tensor {
  const of = (part: string) => parameters[`${name}.${part}`] as tf.Tensor2D | undefined;
  const rows = tf.reshape(x, [-1, x.shape.at(-1)!]) as tf.Tensor2D; // [.., i] → [m, i]
  const hidden = tf.tanh(tf.add(tf.matMul(rows, of('in')!), of('bias')!)) as tf.Tensor2D;
  const curved = tf.matMul(hidden, of('out')!);
  const linear = of('linear');
  const out = linear ? tf.add(curved, tf.matMul(rows, linear)) : curved;
  return tf.reshape(out, [...x.shape.slice(0, -1), out.shape[1]!]);
}

/**
 * @param scale of the outputs at the start; 0 for a network that gives 0 then
 * @param linear whether it has a path by which a linear map is found at once: inputs · outputs more parameters
 */
export function networkParameters(
  name: string,
  { inputs, hidden, outputs, linear }: { inputs: number; hidden: number; outputs: number; linear: boolean },
  scale: number,
  key: Key,
): Arrays {
  const drawn = (part: string, shape: number[], std: number) => {
    const array = f32(shape);
    new RandomStream(foldIn(key, part)).fillNormal(array.data);
    for (let i = 0; i < array.data.length; i++) array.data[i] *= std;
    return array;
  };
  return {
    [`${name}.in`]: drawn('in', [inputs, hidden], 1 / Math.sqrt(inputs)),
    [`${name}.bias`]: drawn('bias', [hidden], 0.5),
    [`${name}.out`]: drawn('out', [hidden, outputs], scale / Math.sqrt(hidden)),
    ...(linear && { [`${name}.linear`]: drawn('linear', [inputs, outputs], scale) }),
  };
}
