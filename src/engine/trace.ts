// The tracing backend: runs a step function once with TensorFlow.js, computing nothing and recording everything.
import * as tf from '#tfjs';
import { callSite, lineOf, randomOperation, StepError, withoutRandomness } from './contract.js';
import { type ConstantData, Graph, type GraphDtype, type Origin, type Value } from './graph.js';
import { advice } from './ops/advice.js';
import { lowerings } from './ops/index.js';
import { TRACING_BACKEND as BACKEND, type Lowering } from './ops/lowering.js';
import { recorder } from './tape.js';
import { dtypeOf, leaves, mapTree, type NdArray, type TensorSpec } from './tree.js';
import type { TensorsOf } from './typed-tree.js';

class TraceBackend extends tf.KernelBackend {
  graph = new Graph();
  values = new WeakMap<object, Value>();
  /** In the backward pass, the operation whose gradient is being recorded. */
  forward?: Origin;
  /** A breach of the contract that could not be thrown where it happened. */
  breach?: StepError;

  register(value: Value): tf.TensorInfo {
    const dataId = {};
    this.values.set(dataId, value);
    return { dataId, shape: [...value.shape], dtype: value.dtype as tf.DataType };
  }

  lookUp(tensor: Pick<tf.TensorInfo, 'dataId' | 'shape'>, user: string): Value {
    const value = this.values.get(tensor.dataId);
    if (value) return value;
    throw new StepError(
      `${user} uses a tensor of shape [${tensor.shape}] that was made outside the step function: give it to the step as an input or a constant`,
      user,
      lineOf(callSite()),
    );
  }

  override write(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): object {
    const site = callSite();
    const random = randomOperation(site);
    if (random)
      throw new StepError(
        `tf.${random} was called inside a step function, where its numbers would never change: make noise with a RandomStream and pass it in`,
        random,
        lineOf(site),
      );
    const dataId = {};
    this.values.set(dataId, this.graph.constant(toData(values, dtype), shape, dtype as GraphDtype));
    return dataId;
  }

  override move(dataId: object, _values: tf.backend_util.BackendValues, shape: number[]): void {
    this.lookUp({ dataId, shape }, 'an operation');
  }

  override readSync(dataId: object): never {
    throw this.valueRead(dataId);
  }

  /** The promise is never kept; the breach is thrown when the step function has returned. */
  override read(dataId: object): Promise<never> {
    this.breach ??= this.valueRead(dataId);
    return new Promise(() => {});
  }

  private valueRead(dataId: object): StepError {
    const value = this.values.get(dataId);
    const kernel = value?.node?.origin?.kernel;
    const input = value?.input && `the input ${value.input.slice('in.'.length)}`;
    return new StepError(
      `the value of ${kernel ? `the result of ${kernel}` : (input ?? 'a tensor')} was read inside a step function: values exist only when the compiled step runs; return the tensor instead`,
      kernel,
      lineOf(callSite()),
    );
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
    tf.registerKernel({ kernelName, backendName: BACKEND, kernelFunc: kernel(created, kernelName, lower) });
  backend = created;
  return created;
}

const kernel =
  (backend: TraceBackend, kernelName: string, lower: Lowering): tf.KernelFunc =>
  ({ inputs, attrs }) => {
    const named = Object.fromEntries(
      Object.entries(inputs)
        .filter(([, tensor]) => tensor)
        .map(([name, tensor]) => [name, backend.lookUp(tensor as tf.TensorInfo, kernelName)]),
    );
    const { graph, forward } = backend;
    graph.origin = {
      kernel: kernelName,
      site: forward?.site ?? callSite(),
      ...(forward ? { gradientOf: forward.kernel } : {}),
    };
    try {
      const out = lower({ g: graph, inputs: named, list: Object.values(named), attrs });
      return Array.isArray(out) ? out.map((v) => backend.register(v)) : backend.register(out);
    } catch (error) {
      if (error instanceof StepError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      throw new UnsupportedError(`${kernelName}: ${message}`, kernelName, lineOf(graph.origin.site), {
        cause: error,
      });
    }
  };

const noGradient = (kernel: string, gradientOf?: string) =>
  gradientOf
    ? `the gradient of the gradient of ${gradientOf} is not known (${kernel} has none): hold the inner gradient fixed with stopGradient, or write it as a formula`
    : `the operator ${kernel} has no gradient: compose it from others, or hold what it is computed from fixed with stopGradient`;

/** Runs `f`; while a gradient is computed inside it, the backend knows of which operation. */
function withGradientOrigins<T>(backend: TraceBackend, f: () => T): T {
  const tape = recorder();
  const add = tape.addTapeNode;
  tape.addTapeNode = function (kernelName, inputs, outputs, ...rest) {
    add.call(this, kernelName, inputs, outputs, ...rest);
    const node = this.state.activeTape.findLast((node) => node.outputs === outputs);
    if (!node) return;
    const { gradient } = node;
    const { forward } = backend;
    const origin: Origin = { kernel: kernelName, site: forward?.site ?? callSite() };
    if (!gradient) {
      node.gradient = () => {
        throw new StepError(noGradient(kernelName, forward?.kernel), kernelName, lineOf(origin.site));
      };
      return;
    }
    const within = <T>(f: () => T): T => {
      const outer = backend.forward;
      backend.forward = origin;
      try {
        return f();
      } finally {
        backend.forward = outer;
      }
    };
    // TensorFlow.js asks for the gradients first, and for each input's when it needs it.
    node.gradient = (dys) =>
      Object.fromEntries(
        Object.entries(within(() => gradient(dys))).map(([name, of]) => [name, () => within(of)]),
      );
  };
  try {
    return f();
  } finally {
    tape.addTapeNode = add;
    backend.forward = undefined;
  }
}

export interface Trace {
  graph: Graph;
  /** Paths of the leaves of the result, with their values; names of the graph's inputs are their paths too. */
  outputs: [path: string, value: Value][];
  /** The result's tree with a {@link ResultName} at each leaf. */
  result: unknown;
}

/** Where an output stands in the result's tree; the shape only makes it a leaf. */
export interface ResultName {
  shape: number[];
  name: string;
}

/**
 * Records what `fn` does.
 * @param inputs tree of arrays or specs: the inputs of the graph
 * @param constants tree of arrays: fixed for the life of the step, stored in the graph
 * @param channelBlock see {@link Graph}
 * @throws StepError when `fn` reads a value, uses a tensor from outside or draws random numbers;
 *   UnsupportedError for an operator that has no lowering
 */
export function trace<I, C>(
  fn: (inputs: TensorsOf<I>, constants: TensorsOf<C>) => unknown,
  inputs: I,
  constants: C,
  channelBlock = 0,
): Trace {
  const t = tracer();
  const graph = new Graph(channelBlock);
  t.graph = graph;
  t.values = new WeakMap();
  t.breach = undefined;
  const engine = tf.engine();
  const previous = engine.backendName;
  tf.setBackend(BACKEND);
  engine.startScope('trace');
  try {
    const tensor = (value: Value) => engine.makeTensorFromTensorInfo(t.register(value));
    const inputTensors: TensorsOf<I> = mapTree(inputs, (leaf: NdArray | TensorSpec, path) =>
      tensor(graph.input(`in.${path}`, leaf.shape, dtypeOf(leaf))),
    );
    const constantTensors: TensorsOf<C> = mapTree(constants, (leaf: NdArray) =>
      tensor(graph.constant(leaf.data, leaf.shape, dtypeOf(leaf))),
    );
    const result = withoutRandomness(() => withGradientOrigins(t, () => fn(inputTensors, constantTensors)));
    if (t.breach) throw t.breach;
    if (result instanceof Promise)
      throw new StepError('a step function must not be async: it is recorded while it runs, once');
    const outputs = leaves<tf.Tensor>(result).map(([path, tensor]): [string, Value] => [
      `out.${path}`,
      t.lookUp(tensor, `the result ${path}`),
    ]);
    return {
      graph,
      outputs,
      result: mapTree(result, (_: tf.Tensor, path): ResultName => ({ shape: [], name: `out.${path}` })),
    };
  } catch (error) {
    throw explain(error);
  } finally {
    engine.endScope();
    if (previous) tf.setBackend(previous);
  }
}

/** An operation that TensorFlow.js has and the compiler has not. */
export class UnsupportedError extends StepError {
  override name = 'UnsupportedError';
}

function explain(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof StepError) return error;
  const kernel = /[Kk]ernel '?(\w+)'? not registered for backend/.exec(error.message)?.[1];
  if (!kernel) return error;
  return new UnsupportedError(
    `the operator ${kernel} cannot be compiled: ${advice[kernel] ?? 'compose it from others'}, or run with --engine cpu`,
    kernel,
    lineOf(error),
    { cause: error },
  );
}
