// Engine `native`: a step is traced once, lowered to an ONNX graph, and run by onnxruntime.
import type * as Ort from '#onnxruntime';
import { callSite, checkInputs, hasNaN, lineOf } from './contract.js';
import { type Device, executionProviders, refuseWrong } from './devices.js';
import type { CompiledStep, CompileInput, Engine } from './engine.js';
import { type Explanation, explainGraph } from './explain.js';
import { firstNotFinite, SUMMED_FROM, SUMS, sumsOf } from './not-finite.js';
import { encodeOnnx } from './onnx.js';
import { channelBlockOf, onnxruntime, startDevice } from './onnxruntime.js';
import { type ResultName, trace } from './trace.js';
import { type Dtype, dtypeOf, f32, leaves, mapTree, type NdArray, type TensorSpec } from './tree.js';
import type { ArraysOf, TensorsOf } from './typed-tree.js';

export interface NativeOptions {
  /** Threads within an operator; 0 leaves the choice to onnxruntime. */
  threads: number;
  /** What the operators run on; operators that it does not support run on the CPU. */
  device: Device;
  /** Whether to use the convolutions of ops/blocked.ts. */
  blocks?: boolean;
}

type Arrays = ReadonlyMap<string, NdArray>;

/** @throws DwpError USAGE when the installed onnxruntime does not support the device */
export async function nativeEngine({ threads, device, blocks = true }: NativeOptions): Promise<Engine> {
  const { InferenceSession, Tensor, listSupportedBackends } = await onnxruntime(device);
  const providers = executionProviders(device, listSupportedBackends());
  const sessionOptions: Ort.InferenceSession.SessionOptions = {
    executionProviders: providers,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  };
  if (device !== 'cpu') await startDevice(device, sessionOptions);
  const channelBlock = device === 'cpu' && blocks ? await channelBlockOf() : 0;
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
    fn: (inputs: TensorsOf<NoInfer<I>>, constants: TensorsOf<NoInfer<C>>) => O,
    { inputs, constants = {} as C, allowNaN = false }: CompileInput<I, C>,
  ): Promise<CompiledStep<I, O>> {
    const compiledAt = lineOf(callSite());
    const traced = trace(fn, inputs, constants, channelBlock);
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
    const results = outputs.map(([name, { shape, dtype }]) => ({
      name,
      path: name.slice('out.'.length),
      shape,
      dtype: dtype as Dtype,
    }));
    const resultLeaves = results.map(({ path, shape, dtype }) => [path, { shape, dtype }] as const);

    const feedsOf = (arrays: Arrays): Record<string, Ort.Tensor> =>
      Object.fromEntries(dtypes.map(([path, dtype]) => [`in.${path}`, view(arrays.get(path)!, dtype)]));

    const step: CompiledStep<I, O> = {
      async run(given, into) {
        const arrays = checkInputs(expected, given, compiledAt);
        const places = into && checkInputs(resultLeaves, into, compiledAt, 'the place of the result');
        const fetches = Object.fromEntries(
          results.map(
            ({ name, path, dtype }) => [name, places ? view(places.get(path)!, dtype) : null] as const,
          ),
        );
        if (sums) fetches[SUMS] = view(sumsRead, 'float32');
        const values = await session.run(feedsOf(arrays), fetches as Ort.InferenceSession.FetchesType);
        const tree: ArraysOf<O> = places
          ? into
          : mapTree(result, ({ name }: ResultName) => {
              const { dims, data } = values[name];
              return { shape: dims, data } as NdArray;
            });
        if (!allowNaN) {
          const every = sumsRead.data.some(Number.isNaN);
          for (const [path, { data }] of leaves<NdArray>(tree))
            if ((every || data.length < SUMMED_FROM) && hasNaN(data)) await explainNaN(path, arrays);
        }
        return tree;
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
