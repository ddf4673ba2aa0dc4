// Values with gradients and with whatever else is worth seeing.
import * as tf from '#tfjs';
import { leaves, mapTree } from './tree.js';

/** The same tensor, no longer kept: it goes with the scope that it is used in. */
function released(kept: tf.Tensor): tf.Tensor {
  const tensor = kept.clone();
  kept.dispose();
  return tensor;
}

/**
 * ∂objective/∂params by reverse-mode differentiation.
 * @param f params ↦ a scalar objective and a tree of other tensors computed on the way
 * @returns the objective, its gradient (a tree like params) and the other tensors
 */
export function valueAndGradients<P, A>(
  f: (params: P) => { objective: tf.Scalar; aux: A },
  params: P,
): { objective: tf.Scalar; aux: A; gradients: P } {
  const entries = leaves<tf.Tensor>(params);
  let aux: A | undefined;
  const objectiveOf = (...tensors: tf.Tensor[]): tf.Scalar => {
    const byPath = new Map(entries.map(([path], i) => [path, tensors[i]]));
    const result = f(mapTree(params, (_: tf.Tensor, path) => byPath.get(path)!) as P);
    aux = mapTree(result.aux, (tensor: tf.Tensor) => tf.keep(tensor.clone())) as A;
    return result.objective;
  };
  const { value, grads } = tf.valueAndGrads(objectiveOf)(entries.map(([, tensor]) => tensor));
  const gradientByPath = new Map(entries.map(([path], i) => [path, grads[i]]));
  return {
    objective: value as tf.Scalar,
    aux: mapTree(aux!, released) as A,
    gradients: mapTree(params, (_: tf.Tensor, path) => gradientByPath.get(path)!) as P,
  };
}

/**
 * x itself, whose gradient is multiplied by `factor` on the way back (0: no gradient passes).
 * No gradient passes to `factor`.
 */
export function scaleGradient(x: tf.Tensor, factor: tf.Tensor | number): tf.Tensor {
  const scaled = tf.customGrad((x, factor, save) => {
    (save as (tensors: tf.Tensor[]) => void)([factor as tf.Tensor]);
    return {
      value: tf.clone(x as tf.Tensor),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => [tf.mul(dy, saved[0]), tf.zerosLike(saved[0])],
    };
  });
  return scaled(x, typeof factor === 'number' ? tf.scalar(factor) : factor);
}

/**
 * x itself, as something that nothing was computed from: no gradient passes, nor is one asked for of what x was computed
 * by. A function without inputs is how TensorFlow.js can be told so.
 */
export function stopGradient(x: tf.Tensor): tf.Tensor {
  return tf.customGrad(() => ({ value: tf.clone(x), gradFunc: () => [] }))();
}
