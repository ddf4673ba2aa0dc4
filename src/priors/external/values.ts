// What flows between the nodes of a graph.
import type { tf } from '../../engine/index.js';

/** Whole numbers that are known before anything runs: shapes, axes, places. */
export interface Integers {
  shape: readonly number[];
  integers: readonly number[];
}
export type Value = tf.Tensor | Integers;
export const isIntegers = (value: Value): value is Integers => 'integers' in value;
