// Engine `native`: a step is traced once, lowered to an ONNX graph, and run by onnxruntime.
import type * as Ort from 'onnxruntime-node';
import { messageOf } from '../errors.js';
import { callSite, checkInputs, hasNaN, lineOf, notFinite, StepError } from './contract.js';
import { type Device, deviceFailed, executionProviders, refuseWrong } from './devices.js';
import type { ArraysOf, CompiledStep, CompileInput, Engine, TensorsOf } from './engine.js';
import { type Explanation, explainGraph } from './explain.js';
import { Graph, type Node, type Value } from './graph.js';
import { encodeOnnx, liveNodes } from './onnx.js';
import { type Trace, trace } from './trace.js';
import { dtypeOf, f32, leaves, mapTree, type NdArray, sizeOf, type TensorSpec } from './tree.js';

export interface NativeOptions {
  /** Threads within an operator; 0 leaves the choice to onnxruntime. */
  threads: number;
  /** What the operators run on; those that it has not got run on the CPU. */
  device: Device;
  /** Whether to use the convolutions of ops/blocked.ts. */
  blocks?: boolean;
}

let ort: typeof Ort | undefined;

/** onnxruntime, loaded when first needed. */
export async function onnxruntime(): Promise<typeof Ort> {
  if (!ort) {
    const loaded = await import('onnxruntime-node');
    ort = (loaded as unknown as { default?: typeof Ort }).default ?? loaded;
  }
  return ort;
}

type Arrays = ReadonlyMap<string, NdArray>;

/** @throws DwpError USAGE when this installation of onnxruntime has not got the device */
export async function nativeEngine({ threads, device, blocks = true }: NativeOptions): Promise<Engine> {
  const { env, InferenceSession, Tensor, listSupportedBackends } = await onnxruntime();
  const providers = executionProviders(device, listSupportedBackends());
  const sessionOptions: Ort.InferenceSession.SessionOptions = {
    executionProviders: providers,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  };
  if (device !== 'cpu') {
    env.logLevel = 'fatal'; // a device that does not start is told once, below
    try {
      const graph = new Graph();
      const session = await InferenceSession.create(
        encodeOnnx(graph, [['y', graph.input('x', [1], 'float32')]]),
        sessionOptions,
      );
      await session.release();
    } catch (error) {
      throw deviceFailed(device, messageOf(error).replace(/^.* was false\. /, ''));
    }
  }
  const channelBlock = device === 'cpu' && blocks ? await channelBlockOf(await onnxruntime()) : 0;
  const explanations = new WeakMap<object, (runs: number) => Promise<Explanation>>();

  // onnxruntime's view of an array is made once; trainers give the same arrays in every step.
  const views = new WeakMap<NdArray['data'], Ort.Tensor>();
  function view({ data, shape }: NdArray, dtype: string): Ort.Tensor {
    let tensor = views.get(data);
    if (!tensor || tensor.dims.length !== shape.length || tensor.dims.some((n, i) => n !== shape[i])) {
      tensor = new Tensor(dtype as 'float32', data as Float32Array, shape);
      views.set(data, tensor);
    }
    return tensor;
  }

  async function compile<I, O, C>(
    fn: (inputs: TensorsOf<I>, constants: TensorsOf<C>) => O,
    { inputs, constants, allowNaN = false }: CompileInput<I, C>,
  ): Promise<CompiledStep<I, O>> {
    const compiledAt = lineOf(callSite());
    const traced = trace(fn as never, inputs, constants ?? {}, channelBlock);
    const { graph, outputs, result } = traced;
    refuseWrong(device, graph.nodes);
    const sums = allowNaN ? undefined : sumsOf(traced);
    const session = await InferenceSession.create(
      encodeOnnx(graph, sums ? [...outputs, [SUMS, sums]] : outputs),
      sessionOptions,
    );
    const sumsRead = f32(sums?.shape ?? [0]);
    const expected = leaves<NdArray | TensorSpec>(inputs);
    const dtypes = expected.map(([path, leaf]) => [path, dtypeOf(leaf)] as const);
    const results = outputs.map(([name, { dtype }]) => ({ name, path: name.slice('out.'.length), dtype }));

    const feedsOf = (arrays: Arrays): Record<string, Ort.Tensor> =>
      Object.fromEntries(dtypes.map(([path, dtype]) => [`in.${path}`, view(arrays.get(path)!, dtype)]));

    const step: CompiledStep<I, O> = {
      async run(given, into) {
        const arrays = checkInputs(expected, given, compiledAt);
        const places = into && new Map(leaves<NdArray>(into));
        const fetches = Object.fromEntries(
          results.map(
            ({ name, path, dtype }) => [name, places ? view(places.get(path)!, dtype) : null] as const,
          ),
        );
        if (sums) fetches[SUMS] = view(sumsRead, 'float32');
        const values = await session.run(feedsOf(arrays), fetches as Ort.InferenceSession.FetchesType);
        const tree = places
          ? into
          : (mapTree(result, ({ name }: { shape: number[]; name: string }) => {
              const { dims, data } = values[name];
              return { shape: dims, data } as NdArray;
            }) as ArraysOf<O>);
        if (!allowNaN) {
          const every = sumsRead.data.some(Number.isNaN);
          for (const [path, { data }] of leaves<NdArray>(tree))
            if ((every || data.length < SUMMED_FROM) && hasNaN(data)) await explainNaN(path, arrays);
        }
        return tree as ArraysOf<O>;
      },
      release: () => session.release(),
    };
    explanations.set(step, (runs) => explainGraph(traced, sessionOptions, runs));

    /** Runs the graph again with every value in sight. */
    async function explainNaN(path: string, arrays: Arrays): Promise<never> {
      throw await firstNotFinite(traced, path, arrays, async (bytes) => {
        const all = await InferenceSession.create(bytes, {
          ...sessionOptions,
          graphOptimizationLevel: 'disabled',
        });
        try {
          return await all.run(feedsOf(arrays));
        } finally {
          await all.release();
        }
      });
    }
    return step;
  }

  return {
    name: 'native',
    compile,
    async explain(step, runs = 20) {
      const explanation = explanations.get(step);
      if (!explanation) throw new Error('only a step that this engine has compiled can be explained');
      return explanation(runs);
    },
  };
}

let knownBlock: number | undefined;

/**
 * Channels in a block of onnxruntime's blocked convolutions on this processor: what ReorderInput does to [1, 64, 1, 2]
 * with the numbers 0, 1, 2, … shows it, as every second one comes first.
 * @returns 0 where there are none
 */
async function channelBlockOf({ InferenceSession, Tensor }: typeof Ort): Promise<number> {
  if (knownBlock !== undefined) return knownBlock;
  const graph = new Graph();
  const x = graph.input('x', [1, 64, 1, 2], 'float32');
  const y = graph.emit1('com.microsoft.nchwc:ReorderInput', [x], x.shape, { channels_last: 0 });
  try {
    const session = await InferenceSession.create(encodeOnnx(graph, [['y', y]]), { logSeverityLevel: 4 });
    const numbers = Float32Array.from({ length: 128 }, (_, i) => i);
    const out = await session.run({ x: new Tensor('float32', numbers, x.shape) });
    await session.release();
    const block = (out.y.data as Float32Array).indexOf(1);
    knownBlock = block > 1 && out.y.data.length === 128 ? block : 0;
  } catch {
    knownBlock = 0;
  }
  return knownBlock;
}

const SUMS = 'check.sums';
/** Results of fewer elements are looked through here; of larger ones the graph says whether there is need to. */
const SUMMED_FROM = 256;

/** The sum of each large result, [k]: NaN where the result holds NaN. */
function sumsOf({ graph, outputs }: Trace): Value | undefined {
  graph.origin = undefined;
  const sums = outputs
    .map(([, value]) => value)
    .filter(({ shape, dtype }) => dtype === 'float32' && sizeOf(shape) >= SUMMED_FROM)
    .map((value) =>
      graph.emit1('ReduceSum', [graph.reshape(value, [1, sizeOf(value.shape)]), graph.int64([1])], [1], {
        keepdims: 0,
      }),
    );
  return sums.length > 1 ? graph.emit1('Concat', sums, [sums.length], { axis: 0 }) : sums[0];
}

/** The error that names the operation where the first value that is not finite came from. */
async function firstNotFinite(
  { graph, outputs }: Trace,
  path: string,
  arrays: Arrays,
  run: (model: Uint8Array) => Promise<Ort.InferenceSession.OnnxValueMapType>,
): Promise<StepError> {
  for (const [name, { data }] of arrays) {
    const bad = notFinite(data as Float32Array);
    if (bad) return new StepError(`NaN in the result ${path}: the input ${name} holds ${bad}`);
  }
  const named = liveNodes(
    graph,
    outputs.map(([, value]) => value),
  ).flatMap((node: Node) =>
    node.outputs
      .filter(({ dtype }) => dtype === 'float32')
      .map((value) => ({ node, value, name: `value.${value.id}` })),
  );
  const values = await run(
    encodeOnnx(
      graph,
      named.map(({ name, value }) => [name, value] as const),
    ),
  );
  for (const { node, name } of named) {
    const bad = notFinite(values[name].data as Float32Array);
    if (!bad) continue;
    const { kernel, gradientOf, site } = node.origin ?? { kernel: node.op, site: {} };
    const operation = gradientOf ? `the gradient of ${gradientOf} (its ${kernel})` : kernel;
    return new StepError(`NaN in the result ${path}: ${operation} gave ${bad}`, kernel, lineOf(site));
  }
  return new StepError(`NaN in the result ${path}, which another run of the same inputs does not show`);
}
