// Engine `native`: a step is traced once, lowered to an ONNX graph, and run by onnxruntime.
import type * as Ort from 'onnxruntime-node';
import type { ArraysOf, CompiledStep, CompileInput, Engine, TensorsOf } from './engine.js';
import { encodeOnnx } from './onnx.js';
import { trace } from './trace.js';
import { leaves, mapTree, type NdArray, sameShapes } from './tree.js';

export interface NativeOptions {
  /** Threads within an operator; 0 leaves the choice to onnxruntime. */
  threads: number;
}

let ort: typeof Ort | undefined;

export async function nativeEngine({ threads }: NativeOptions): Promise<Engine> {
  if (!ort) {
    const loaded = await import('onnxruntime-node');
    ort = (loaded as unknown as { default?: typeof Ort }).default ?? loaded;
  }
  const { InferenceSession, Tensor } = ort;

  async function compile<I, O, C>(
    fn: (inputs: TensorsOf<I>, constants: TensorsOf<C>) => O,
    { inputs, constants }: CompileInput<I, C>,
  ): Promise<CompiledStep<I, O>> {
    const { graph, outputs, result } = trace(fn as never, inputs, constants ?? {});
    const session = await InferenceSession.create(encodeOnnx(graph, outputs), {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
    });
    const expected = graph.inputs.map((value) => ({
      name: value.input!,
      shape: value.shape,
      dtype: value.dtype,
    }));

    return {
      async run(given) {
        const arrays = new Map(leaves<NdArray>(given).map(([path, array]) => [`in.${path}`, array]));
        const feeds: Record<string, Ort.Tensor> = {};
        for (const { name, shape, dtype } of expected) {
          const array = arrays.get(name);
          if (!array) throw new Error(`input ${name.slice(3)} is missing`);
          sameShapes(name.slice(3), shape, array);
          feeds[name] = new Tensor(dtype as 'float32', array.data as Float32Array, shape);
        }
        const values = await session.run(feeds);
        return mapTree(result, ({ name }: { shape: number[]; name: string }) => {
          const { dims, data } = values[name];
          return { shape: dims, data } as NdArray;
        }) as ArraysOf<O>;
      },
      release: () => session.release(),
    };
  }
  return { name: 'native', compile };
}
