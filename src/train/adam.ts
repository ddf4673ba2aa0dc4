// Adam (Kingma & Ba 2015), and its state as one vector for each of parameters and moments.
import {
  f32,
  type Layout,
  leaves,
  mapTree,
  type NdArray,
  type PackedArrays,
  packedArrays,
  tf,
} from '../engine/index.js';
import type { Moments, Optimiser } from './optimiser.js';

type Arrays = Readonly<Record<string, NdArray>>;

export interface AdamOptions {
  /** β₁ and β₂: how much of the running means is kept in each step. */
  beta1?: number;
  beta2?: number;
  /** Added to the root of the second moment. */
  epsilon?: number;
}

/** θ ← θ − rate · m / (√v + ε), with rate = lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ) for both corrections of the bias. */
export function adam({ beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: AdamOptions = {}): Optimiser {
  const moved = (x: tf.Tensor, gradient: tf.Tensor, first: tf.Tensor, second: tf.Tensor, rate: tf.Tensor) => {
    const m = tf.add(tf.mul(first, beta1), tf.mul(gradient, 1 - beta1));
    const v = tf.add(tf.mul(second, beta2), tf.mul(tf.square(gradient), 1 - beta2));
    return {
      parameters: tf.sub(x, tf.div(tf.mul(m, rate), tf.add(tf.sqrt(v), epsilon))),
      first: m,
      second: v,
    };
  };
  return {
    init(parameters) {
      const zeros = () => mapTree(parameters, ({ shape }: NdArray) => f32(shape));
      return { first: zeros(), second: zeros() } as Moments<never>;
    },
    rate: (learningRate, t) => (learningRate * Math.sqrt(1 - beta2 ** t)) / (1 - beta1 ** t),
    update<P>(gradients: P, { first, second }: Moments<P>, parameters: P, rate: tf.Tensor) {
      const [g, m, v] = [gradients, first, second].map((tree) => new Map(leaves<tf.Tensor>(tree)));
      const next = new Map(
        leaves<tf.Tensor>(parameters).map(([path, x]) => [
          path,
          moved(x, g.get(path)!, m.get(path)!, v.get(path)!, rate),
        ]),
      );
      const tree = (part: 'parameters' | 'first' | 'second'): P =>
        mapTree(parameters, (_: tf.Tensor, path) => next.get(path)![part]);
      return { parameters: tree('parameters'), moments: { first: tree('first'), second: tree('second') } };
    },
  };
}

/** What training carries from step to step: parameters and moments by name. */
export interface AdamState {
  parameters: Arrays;
  moments: Moments<Arrays>;
}

export const initialAdam = (parameters: Arrays): AdamState => ({
  parameters,
  moments: adam().init(parameters),
});

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
