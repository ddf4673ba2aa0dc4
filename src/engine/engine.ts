// The contract between a step function and whatever runs it.
import type * as tf from '#tfjs';
import type { MapLeaves, NdArray, TensorSpec } from './tree.js';

type Leaf = NdArray | TensorSpec;

/** The tensors that a step function is given for a tree of arrays or specs. */
export type TensorsOf<T> = MapLeaves<T, Leaf, tf.Tensor>;
/** The arrays that a compiled step takes or gives for a tree of specs or tensors. */
export type ArraysOf<T> = MapLeaves<T, Leaf | tf.Tensor, NdArray>;

/** A function ready to run. Inputs must have the shapes it was compiled for. */
export interface CompiledStep<I, O> {
  run(inputs: ArraysOf<I>): Promise<ArraysOf<O>>;
  release(): Promise<void>;
}

export interface CompileInput<I, C> {
  /** Shapes and types of everything that changes from run to run: parameters, data, noise, learning rates. */
  inputs: I;
  /** Arrays that never change: they become part of the step, which is then faster. */
  constants?: C;
}

export interface Engine {
  readonly name: 'native' | 'tensorflow' | 'cpu';
  /**
   * Makes a pure function of tensors runnable. `fn` must not read values, call Math.random or use tensors that it
   * was not given; all three are refused while compiling (native engine).
   */
  compile<I, O, C = Record<string, never>>(
    fn: (inputs: TensorsOf<I>, constants: TensorsOf<C>) => O,
    shapes: CompileInput<I, C>,
  ): Promise<CompiledStep<I, O>>;
}
