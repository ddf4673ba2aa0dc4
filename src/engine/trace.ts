// The tracing backend: runs a step function once with TensorFlow.js, computing nothing and recording everything.
import * as tf from '#tfjs';
import { type ConstantData, Graph, type GraphDtype, type Value } from './graph.js';
import { lowerings } from './ops/index.js';
import { TRACING_BACKEND as BACKEND, type Lowering } from './ops/lowering.js';
import { dtypeOf, leaves, mapTree, type NdArray, type TensorSpec } from './tree.js';

class TraceBackend extends tf.KernelBackend {
  graph = new Graph();
  values = new WeakMap<object, Value>();

  register(value: Value): tf.TensorInfo {
    const dataId = {};
    this.values.set(dataId, value);
    return { dataId, shape: [...value.shape], dtype: value.dtype as tf.DataType };
  }

  lookUp(tensor: tf.TensorInfo): Value {
    const value = this.values.get(tensor.dataId);
    if (value) return value;
    throw new Error(
      `a tensor of shape [${tensor.shape}] was made outside the step function: give it to the step as an input or a constant`,
    );
  }

  override write(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): object {
    const dataId = {};
    this.values.set(dataId, this.graph.constant(toData(values, dtype), shape, dtype as GraphDtype));
    return dataId;
  }

  override move(_dataId: object, _values: tf.backend_util.BackendValues, shape: number[]): void {
    this.lookUp({ dataId: _dataId, shape, dtype: 'float32' });
  }

  override readSync(): never {
    throw new Error(
      'the value of a tensor was read inside a step function: values exist only when the compiled step runs; return the tensor instead',
    );
  }

  override read(): never {
    return this.readSync();
  }

  override disposeData(): boolean {
    return true;
  }
  override refCount(): number {
    return 1;
  }
  override incRef(): void {}
  decRef(): void {}
  override numDataIds(): number {
    return 0;
  }
  override memory() {
    return { unreliable: true };
  }
  override floatPrecision(): 32 {
    return 32;
  }
  override epsilon(): number {
    return 1e-7;
  }
}

function toData(values: tf.backend_util.BackendValues, dtype: tf.DataType): ConstantData {
  const numbers = values as ArrayLike<number>;
  if (dtype === 'float32') return Float32Array.from(numbers);
  if (dtype === 'int32') return Int32Array.from(numbers);
  if (dtype === 'bool') return Uint8Array.from(numbers);
  throw new Error(`tensors of type ${dtype} are not supported in a step; use float32, int32 or bool`);
}

let backend: TraceBackend | undefined;

function tracer(): TraceBackend {
  if (backend) return backend;
  const created = new TraceBackend();
  tf.registerBackend(BACKEND, () => created, 0);
  for (const [kernelName, lower] of Object.entries(lowerings))
    tf.registerKernel({ kernelName, backendName: BACKEND, kernelFunc: kernel(created, lower) });
  backend = created;
  return created;
}

const kernel =
  (backend: TraceBackend, lower: Lowering): tf.KernelFunc =>
  ({ inputs, attrs }) => {
    const named = Object.fromEntries(
      Object.entries(inputs)
        .filter(([, tensor]) => tensor)
        .map(([name, tensor]) => [name, backend.lookUp(tensor as tf.TensorInfo)]),
    );
    const out = lower({ g: backend.graph, inputs: named, list: Object.values(named), attrs });
    return Array.isArray(out) ? out.map((v) => backend.register(v)) : backend.register(out);
  };

export interface Trace {
  graph: Graph;
  /** Paths of the leaves of the result, with their values; names of the graph's inputs are their paths too. */
  outputs: [path: string, value: Value][];
  /** The result's tree with output names at its leaves. */
  result: unknown;
}

/**
 * Records what `fn` does.
 * @param inputs tree of arrays or specs: the inputs of the graph
 * @param constants tree of arrays: fixed for the life of the step, stored in the graph
 * @throws Error when `fn` reads a value, uses a tensor from outside, Math.random, or an unsupported operator
 */
export function trace(
  fn: (inputs: never, constants: never) => unknown,
  inputs: unknown,
  constants: unknown,
): Trace {
  const t = tracer();
  const graph = new Graph();
  t.graph = graph;
  t.values = new WeakMap();
  const engine = tf.engine();
  const previous = engine.backendName;
  const random = Math.random;
  tf.setBackend(BACKEND);
  Math.random = () => {
    throw new Error(
      'Math.random was called inside a step function: make noise with a RandomStream and pass it in',
    );
  };
  engine.startScope('trace');
  try {
    const tensor = (value: Value) => engine.makeTensorFromTensorInfo(t.register(value));
    const inputTensors = mapTree(inputs, (leaf: NdArray | TensorSpec, path) =>
      tensor(graph.input(`in.${path}`, leaf.shape, dtypeOf(leaf))),
    );
    const constantTensors = mapTree(constants, (leaf: NdArray) =>
      tensor(graph.constant(leaf.data, leaf.shape, dtypeOf(leaf))),
    );
    const result = fn(inputTensors as never, constantTensors as never);
    const outputs = leaves<tf.Tensor>(result).map(([path, tensor]): [string, Value] => [
      `out.${path}`,
      t.lookUp(tensor),
    ]);
    return {
      graph,
      outputs,
      result: mapTree(result, (_: tf.Tensor, path) => ({ shape: [], name: `out.${path}` })),
    };
  } catch (error) {
    throw explain(error);
  } finally {
    Math.random = random;
    engine.endScope();
    if (previous) tf.setBackend(previous);
  }
}

function explain(error: unknown): unknown {
  const unregistered =
    error instanceof Error && /[Kk]ernel '?(\w+)'? not registered for backend/.exec(error.message);
  if (!unregistered) return error;
  return new Error(
    `the operator ${unregistered[1]} cannot be compiled: compose it from others (see src/engine/ops) or run with --engine cpu`,
    { cause: error },
  );
}
