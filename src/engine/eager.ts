// Engines `cpu` and `tensorflow`: the same step functions, executed operation by operation by TensorFlow.js.
import * as tf from '#tfjs';
import { usageError } from '../errors.js';
import { callSite, checkInputs, hasNaN, lineOf, notFinite, StepError } from './contract.js';
import type { CompiledStep, CompileInput, Engine } from './engine.js';
import { loadTensorflow } from './tensorflow.js';
import { trace, UnsupportedError } from './trace.js';
import { dtypeOf, leaves, mapTree, type NdArray, type TensorSpec } from './tree.js';
import type { ArraysOf, TensorsOf } from './typed-tree.js';

/** TensorFlow.js in plain JavaScript: slow, everywhere, and the reference for the compiled engine. */
export async function cpuEngine(): Promise<Engine> {
  await tf.setBackend('cpu');
  (tf.backend() as unknown as { firstUse: boolean }).firstUse = false; // no banner about faster backends
  return eagerEngine('cpu', 'cpu');
}

/**
 * libtensorflow, where the user has installed one of its packages.
 * @param threads within an operator, 0 for one per core; the first engine of a process decides
 * @throws DwpError when no package is installed, or the one that is cannot be loaded
 */
export async function tensorflowEngine(threads = 0): Promise<Engine> {
  loadTensorflow(threads);
  await tf.setBackend('tensorflow');
  return eagerEngine('tensorflow', 'tensorflow');
}

/** Takes effect at once, though it returns a promise: waiting for it would let a step of another engine in between. */
function use(backendName: string): void {
  if (tf.getBackend() !== backendName) void tf.setBackend(backendName);
}

const upload = (leaf: NdArray) => tf.tensor(leaf.data, [...leaf.shape], dtypeOf(leaf));
const download = (tensor: tf.Tensor): NdArray => ({
  shape: tensor.shape,
  data: tensor.dataSync().slice() as NdArray['data'],
});

function eagerEngine(name: Engine['name'], backendName: string): Engine {
  async function compile<I, O, C>(
    fn: (inputs: TensorsOf<NoInfer<I>>, constants: TensorsOf<NoInfer<C>>) => O,
    { inputs, constants = {} as C, allowNaN = false }: CompileInput<I, C>,
  ): Promise<CompiledStep<I, O>> {
    const compiledAt = lineOf(callSite());
    holdToContract(() => trace(fn, inputs, constants));
    const expected = leaves<NdArray | TensorSpec>(inputs);
    use(backendName);
    const constantTensors: TensorsOf<C> = mapTree(constants, upload);
    const execute = (given: ArraysOf<I>): ArraysOf<O> => {
      use(backendName);
      tf.engine().startScope('step');
      try {
        const inputTensors: TensorsOf<I> = mapTree(given, upload);
        return mapTree(fn(inputTensors, constantTensors), download);
      } finally {
        tf.engine().endScope();
      }
    };
    return {
      async run(given, into) {
        const arrays = checkInputs(expected, given, compiledAt);
        const result = execute(given);
        if (!allowNaN)
          for (const [path, { data }] of leaves<NdArray>(result))
            if (hasNaN(data)) throw firstNotFinite(path, arrays, () => execute(given));
        if (!into) return result;
        const results = new Map(leaves<NdArray>(result));
        for (const [path, { data }] of checkInputs([...results], into, compiledAt, 'the place of the result'))
          data.set(results.get(path)!.data);
        return into;
      },
      async release() {
        for (const [, tensor] of leaves<tf.Tensor>(constantTensors)) tensor.dispose();
      },
    };
  }
  return {
    name,
    compile,
    async explain() {
      throw usageError(`--engine ${name} compiles no graph to explain`, 'use --engine native');
    },
  };
}

/** A trial trace: what it refuses is refused here too, save that every operator of TensorFlow.js may be used. */
function holdToContract(trial: () => void): void {
  try {
    trial();
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
  }
}

/** Executes a step again and looks at the result of each operation. */
function firstNotFinite(
  path: string,
  inputs: ReadonlyMap<string, NdArray>,
  execute: () => unknown,
): StepError {
  for (const [name, { data }] of inputs) {
    const bad = notFinite(data);
    if (bad) return new StepError(`NaN in the result ${path}: the input ${name} holds ${bad}`);
  }
  const engine = tf.engine() as unknown as { runKernel(name: string, ...rest: unknown[]): unknown };
  const runKernel = engine.runKernel;
  let first: StepError | undefined;
  engine.runKernel = function (kernel, ...rest) {
    const out = runKernel.call(this, kernel, ...rest);
    if (!first)
      for (const tensor of [out].flat() as tf.Tensor[]) {
        const bad = tensor.dtype === 'float32' && notFinite(tensor.dataSync());
        if (bad)
          first = new StepError(
            `NaN in the result ${path}: ${kernel} gave ${bad}`,
            kernel,
            lineOf(callSite()),
          );
      }
    return out;
  };
  try {
    execute();
  } finally {
    engine.runKernel = runKernel;
  }
  return (
    first ?? new StepError(`NaN in the result ${path}, which another run of the same inputs does not show`)
  );
}
