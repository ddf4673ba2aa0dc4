// The contract between a step function and whatever runs it.
import type { Explanation } from './explain.js';
import type { ArraysOf, TensorsOf } from './typed-tree.js';

/** A function ready to run. Inputs must have the shapes it was compiled for. */
export interface CompiledStep<I, O> {
  /**
   * @param into where to write the results, as an earlier run returned them; without it they are new arrays
   * @throws StepError for inputs of another shape or type, and for a result that holds NaN, naming the operation
   *   where the first value that is not finite came from
   */
  run(inputs: ArraysOf<I>, into?: ArraysOf<O>): Promise<ArraysOf<O>>;
  release(): Promise<void>;
}

export interface CompileInput<I, C> {
  /** Shapes and types of everything that changes from run to run: parameters, data, noise, learning rates. */
  inputs: I;
  /** Arrays that never change: they become part of the step, which is then faster. */
  constants?: C;
  /** NaN is a value like any other: results are not looked through for it. */
  allowNaN?: boolean;
}

export interface Engine {
  readonly name: 'native' | 'tensorflow' | 'cpu';
  /**
   * Makes a pure function of tensors runnable. `fn` must not read values, draw random numbers or use tensors that it
   * was not given; each is refused here, on every engine. The types of its tensors, and of the arrays that the step takes
   * and gives, follow from the trees.
   * @throws StepError naming the operation and the line that called it
   */
  compile<I, O, C = Record<string, never>>(
    fn: (inputs: TensorsOf<NoInfer<I>>, constants: TensorsOf<NoInfer<C>>) => O,
    shapes: CompileInput<I, C>,
  ): Promise<CompiledStep<I, O>>;
  /**
   * What a compiled step consists of, and where its time goes in `runs` runs. Engine `native` only.
   * @throws DwpError USAGE on other engines
   */
  explain<I, O>(step: CompiledStep<I, O>, runs?: number): Promise<Explanation>;
}
