// Adam (Kingma & Ba 2015) on flat lists of tensors, as part of a step.
import { f32, type NdArray, tf } from '../engine/index.js';

type Tensors = Readonly<Record<string, tf.Tensor>>;
type Arrays = Readonly<Record<string, NdArray>>;

export interface Moments<T> {
  first: Readonly<Record<string, T>>;
  second: Readonly<Record<string, T>>;
}

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

export const zeroMoments = (parameters: Arrays): Moments<NdArray> => {
  const zeros = () =>
    Object.fromEntries(Object.entries(parameters).map(([name, { shape }]) => [name, f32(shape)]));
  return { first: zeros(), second: zeros() };
};

/**
 * The step size of step t = 1, 2, … with both bias corrections in it: lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ).
 */
export const correctedRate = (learningRate: number, t: number): number =>
  (learningRate * Math.sqrt(1 - BETA2 ** t)) / (1 - BETA1 ** t);

/** One step downhill. `rate` is a scalar from {@link correctedRate}. */
export function adam(
  parameters: Tensors,
  gradients: Tensors,
  { first, second }: Moments<tf.Tensor>,
  rate: tf.Tensor,
): { parameters: Tensors; moments: Moments<tf.Tensor> } {
  const names = Object.keys(parameters);
  const collect = (f: (name: string) => tf.Tensor) =>
    Object.fromEntries(names.map((name) => [name, f(name)]));
  const m = collect((name) => tf.add(tf.mul(first[name], BETA1), tf.mul(gradients[name], 1 - BETA1)));
  const v = collect((name) =>
    tf.add(tf.mul(second[name], BETA2), tf.mul(tf.square(gradients[name]), 1 - BETA2)),
  );
  return {
    parameters: collect((name) =>
      tf.sub(parameters[name], tf.div(tf.mul(m[name], rate), tf.add(tf.sqrt(v[name]), EPSILON))),
    ),
    moments: { first: m, second: v },
  };
}
