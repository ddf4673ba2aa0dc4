// Results that are not numbers: seen cheaply, and traced to the operation where they began.
import type * as Ort from '#onnxruntime';
import { lineOf, notFinite, StepError } from './contract.js';
import type { Node, Value } from './graph.js';
import { encodeOnnx, liveNodes } from './onnx.js';
import type { Trace } from './trace.js';
import { type NdArray, sizeOf } from './tree.js';

/** Name of the output with the sums of the large results. */
export const SUMS = 'check.sums';
/** Results of fewer elements are looked through here; of larger ones the graph says whether there is need to. */
export const SUMMED_FROM = 256;

/** The sum of each large result, [k]: NaN where the result holds NaN. */
export function sumsOf({ graph, outputs }: Trace): Value | undefined {
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
export async function firstNotFinite(
  { graph, outputs }: Trace,
  path: string,
  arrays: ReadonlyMap<string, NdArray>,
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
