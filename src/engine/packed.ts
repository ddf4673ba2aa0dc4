// Many tensors in one vector: an optimiser then works on one array instead of dozens, and a step takes and gives few.
import * as tf from '#tfjs';
import { f32, type NdArray, sizeOf } from './tree.js';

/** Names and shapes of tensors that lie one after the other in a vector. */
export type Layout = readonly { readonly name: string; readonly shape: readonly number[] }[];

export const layoutOf = (arrays: Readonly<Record<string, { readonly shape: readonly number[] }>>): Layout =>
  Object.entries(arrays).map(([name, { shape }]) => ({ name, shape }));

export interface PackedArrays {
  /** [P], P the number of elements of all tensors. */
  vector: NdArray & { data: Float32Array };
  /** Each tensor as a view of the vector: what is written to one is written to the other. */
  views: Record<string, NdArray>;
}

/** @param from values to copy into the vector; zeros without it */
export function packedArrays(layout: Layout, from?: Readonly<Record<string, NdArray>>): PackedArrays {
  const vector = f32([layout.reduce((sum, { shape }) => sum + sizeOf(shape), 0)]);
  const views: Record<string, NdArray> = {};
  let start = 0;
  for (const { name, shape } of layout) {
    const data = vector.data.subarray(start, start + sizeOf(shape));
    if (from) data.set(from[name].data);
    views[name] = { shape, data };
    start += data.length;
  }
  return { vector, views };
}

/** In a step: the tensors of a vector [P]; the gradient with respect to the vector is one vector, too. */
export function unpack(vector: tf.Tensor, layout: Layout): Record<string, tf.Tensor> {
  const parts = tf.split(
    vector,
    layout.map(({ shape }) => sizeOf(shape)),
  );
  return Object.fromEntries(
    layout.map(({ name, shape }, i) => [name, tf.reshape(parts[i], [...shape])] as const),
  );
}
