// What an optimiser is: a value with which any step moves any tree of parameters.
import type { ArraysOf, tf } from '../engine/index.js';

/** Running means of the gradient and of its square, in trees like that of the parameters. */
export interface Moments<T> {
  first: T;
  second: T;
}

export interface Optimiser {
  /** The state before the first step, for a tree of arrays or specs: zeros. */
  init<P>(parameters: P): Moments<ArraysOf<P>>;
  /** What to give to `update` in step t = 1, 2, …: the learning rate with the corrections of that step in it. */
  rate(learningRate: number, t: number): number;
  /**
   * One step downhill, inside a compiled step.
   * @param gradients ∂objective/∂parameters, a tree like theirs
   * @param rate what {@link Optimiser.rate} says; broadcasts to each of the parameters
   */
  update<P>(
    gradients: P,
    state: Moments<P>,
    parameters: P,
    rate: tf.Tensor,
  ): { parameters: P; moments: Moments<P> };
}
