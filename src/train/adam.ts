// Adam (Kingma & Ba 2015) on a vector of all parameters, as part of a step.
import { type Layout, layoutOf, type NdArray, type PackedArrays, packedArrays, tf } from '../engine/index.js';

type Arrays = Readonly<Record<string, NdArray>>;

/** Running means of the gradient and of its square, of one tensor or of many. */
export interface Moments<T> {
  first: T;
  second: T;
}

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/**
 * The step size of step t = 1, 2, … with both bias corrections in it: lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ).
 */
export const correctedRate = (learningRate: number, t: number): number =>
  (learningRate * Math.sqrt(1 - BETA2 ** t)) / (1 - BETA1 ** t);

/** One step downhill. `rate` is a scalar from {@link correctedRate}. */
export function adam(
  parameters: tf.Tensor,
  gradient: tf.Tensor,
  { first, second }: Moments<tf.Tensor>,
  rate: tf.Tensor,
): { parameters: tf.Tensor; moments: Moments<tf.Tensor> } {
  const m = tf.add(tf.mul(first, BETA1), tf.mul(gradient, 1 - BETA1));
  const v = tf.add(tf.mul(second, BETA2), tf.mul(tf.square(gradient), 1 - BETA2));
  return {
    parameters: tf.sub(parameters, tf.div(tf.mul(m, rate), tf.add(tf.sqrt(v), EPSILON))),
    moments: { first: m, second: v },
  };
}

/** What Adam carries from step to step: parameters and moments by name. */
export interface AdamState {
  parameters: Arrays;
  moments: Moments<Arrays>;
}

export const initialAdam = (parameters: Arrays): AdamState => {
  const zeros = () => packedArrays(layoutOf(parameters)).views;
  return { parameters, moments: { first: zeros(), second: zeros() } };
};

/** The same as a step takes and gives it, in three vectors. */
export interface AdamVectors<T> {
  parameters: T;
  moments: Moments<T>;
}

export interface PackedAdam {
  vectors: AdamVectors<NdArray>;
  /** Views of the vectors. */
  state: AdamState;
}

/** @param from copied into the vectors */
export function packAdam(layout: Layout, from?: AdamState): PackedAdam {
  const pack = (arrays?: Arrays): PackedArrays => packedArrays(layout, arrays);
  const parameters = pack(from?.parameters);
  const first = pack(from?.moments.first);
  const second = pack(from?.moments.second);
  return {
    vectors: { parameters: parameters.vector, moments: { first: first.vector, second: second.vector } },
    state: { parameters: parameters.views, moments: { first: first.views, second: second.views } },
  };
}
