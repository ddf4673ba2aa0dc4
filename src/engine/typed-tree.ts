// The types of trees of tensors and of arrays that follow from a tree of arrays or specs.
import type * as tf from '#tfjs';
import type { NdArray, Shape, TensorSpec } from './tree.js';

type Leaf = NdArray | TensorSpec;

interface Ranks {
  0: tf.Scalar;
  1: tf.Tensor1D;
  2: tf.Tensor2D;
  3: tf.Tensor3D;
  4: tf.Tensor4D;
  5: tf.Tensor5D;
}
/** A tensor of that shape; of as many dimensions where their number is known. */
export type TensorOf<S extends Shape> = S['length'] extends keyof Ranks ? Ranks[S['length']] : tf.Tensor;

/** The tensors that a step function is given for a tree of arrays or specs. */
export type TensorsOf<T> = T extends Leaf ? TensorOf<T['shape']> : { [K in keyof T]: TensorsOf<T[K]> };
/** The arrays that a compiled step takes for a tree of arrays or specs, or gives for one of tensors. */
export type ArraysOf<T> = T extends Leaf | tf.Tensor ? NdArray : { [K in keyof T]: ArraysOf<T[K]> };
