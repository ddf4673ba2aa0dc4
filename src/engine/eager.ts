// Engines `cpu` and `tensorflow`: the same step functions, executed operation by operation by TensorFlow.js.
import * as tf from '#tfjs';
import { usageError } from '../errors.js';
import { registerDerivatives } from './derivatives.js';
import type { ArraysOf, CompiledStep, CompileInput, Engine, TensorsOf } from './engine.js';
import { dtypeOf, leaves, mapTree, type NdArray, sameShapes, type TensorSpec } from './tree.js';

/** TensorFlow.js in plain JavaScript: slow, everywhere, and the reference for the compiled engine. */
export async function cpuEngine(): Promise<Engine> {
  await tf.setBackend('cpu');
  (tf.backend() as unknown as { firstUse: boolean }).firstUse = false; // no banner about faster backends
  return eagerEngine('cpu', 'cpu');
}

/** libtensorflow, where the user has installed one of its packages. */
export async function tensorflowEngine(): Promise<Engine> {
  for (const name of ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'])
    try {
      await import(name); // registers the backend `tensorflow` in the registry that all copies of tfjs share
      registerDerivatives(); // the package has put TensorFlow.js's own gradients back
      await tf.setBackend('tensorflow');
      return eagerEngine('tensorflow', 'tensorflow');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    }
  throw usageError(
    '--engine tensorflow: neither @tensorflow/tfjs-node-gpu nor @tensorflow/tfjs-node is installed',
    'npm install @tensorflow/tfjs-node, or use --engine native',
  );
}

function eagerEngine(name: Engine['name'], backendName: string): Engine {
  async function compile<I, O, C>(
    fn: (inputs: TensorsOf<I>, constants: TensorsOf<C>) => O,
    { inputs, constants }: CompileInput<I, C>,
  ): Promise<CompiledStep<I, O>> {
    const expected = leaves<NdArray | TensorSpec>(inputs);
    const upload = (leaf: NdArray) => tf.tensor(leaf.data, [...leaf.shape], dtypeOf(leaf));
    await tf.setBackend(backendName);
    const constantTensors = mapTree(constants ?? {}, upload) as unknown as TensorsOf<C>;
    return {
      async run(given) {
        if (tf.getBackend() !== backendName) await tf.setBackend(backendName);
        const arrays = new Map(leaves<NdArray>(given));
        for (const [path, leaf] of expected) {
          const array = arrays.get(path);
          if (!array) throw new Error(`input ${path} is missing`);
          sameShapes(path, leaf.shape, array);
        }
        tf.engine().startScope('step');
        try {
          const result = fn(mapTree(given, upload) as unknown as TensorsOf<I>, constantTensors);
          return mapTree(result, (tensor: tf.Tensor) => {
            const array = { shape: tensor.shape, data: tensor.dataSync().slice() } as NdArray;
            if (!tensor.isDisposed) tensor.dispose();
            return array;
          }) as unknown as ArraysOf<O>;
        } finally {
          tf.engine().endScope();
        }
      },
      async release() {
        for (const [, tensor] of leaves<tf.Tensor>(constantTensors)) tensor.dispose();
      },
    };
  }
  return { name, compile };
}
