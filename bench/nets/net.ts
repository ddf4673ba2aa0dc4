// What a deterministic network is to its benchmark, and the parts that both networks are made of.
import { f32, foldIn, type Key, type NdArray, RandomStream, type tf } from '../../src/engine/index.js';

export type Arrays = Readonly<Record<string, NdArray>>;
export type Tensors = Readonly<Record<string, tf.Tensor>>;

export interface Net {
  name: string;
  title: string;
  /** Images are [n, 32, 32, 3]; classes 10. */
  parameters(key: Key): Arrays;
  /** Running means and variances of batch normalisation; empty without. */
  running: Arrays;
  /** In training mode. @returns logits [n, 10] and the next running averages */
  forward(
    parameters: Tensors,
    running: Tensors,
    images: tf.Tensor4D,
  ): { logits: tf.Tensor2D; running: Tensors };
  /** Multiplications and additions of one image forward, and of its first layer alone. */
  multiplyAdds: { all: number; first: number };
}

/** Normal weights of variance 2 / inputs (He et al. 2015): a convolution [h, w, in, out] or a dense layer [in, out]. */
export function heNormal(shape: readonly number[], name: string, key: Key): NdArray {
  const weights = f32(shape);
  const inputs = weights.data.length / shape.at(-1)!;
  new RandomStream(foldIn(key, name)).fillNormal(weights.data);
  for (let i = 0; i < weights.data.length; i++) weights.data[i] *= Math.sqrt(2 / inputs);
  return weights;
}

export const constantArray = (shape: readonly number[], value: number): NdArray => {
  const array = f32(shape);
  array.data.fill(value);
  return array;
};
