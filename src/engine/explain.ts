// What a compiled step consists of, and where its time goes.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as Ort from '#onnxruntime';
import { lineOf } from './contract.js';
import type { ConstantData, Graph, Node, Value } from './graph.js';
import { encodeOnnx, liveNodes, nodeName } from './onnx.js';
import { onnxruntime } from './onnxruntime.js';
import type { Trace } from './trace.js';
import { sizeOf } from './tree.js';

export interface Explanation {
  /** Nodes of the graph by ONNX operator, most floating-point operations first. */
  nodes: { op: string; count: number; flops: number }[];
  nodeCount: number;
  inputBytes: number;
  outputBytes: number;
  /** Stored in the model; onnxruntime folds and pre-packs them. */
  constantBytes: number;
  /** Estimated floating-point operations of one run: two for each multiplication and addition of a product. */
  flops: number;
  /** Of runs with inputs of ones, by what was executed after onnxruntime's own rewrites, slowest first. */
  executed: { op: string; count: number; milliseconds: number }[];
  /** The same time by the line of code that called the operation, slowest first. Gradients count for their operation. */
  lines: { line: string; milliseconds: number }[];
  /** One run, median. */
  milliseconds: number;
  /** flops / milliseconds */
  gigaflopsPerSecond: number;
}

const bytes = (values: readonly Value[]) =>
  values.reduce(
    (sum, { shape, dtype }) => sum + sizeOf(shape) * (dtype === 'bool' ? 1 : dtype === 'int64' ? 8 : 4),
    0,
  );

/** The operator without its domain: blocked convolutions are convolutions. */
const nameOf = ({ op }: Node): string => op.slice(op.indexOf(':') + 1);

/** Estimated floating-point operations of a node. */
export function flopsOf(node: Node): number {
  const { inputs, outputs, attributes } = node;
  const op = nameOf(node);
  const out = sizeOf(outputs[0].shape);
  const size = (i: number) => (inputs[i] ? sizeOf(inputs[i].shape) : 0);
  switch (op) {
    case 'Conv': // out · (in / group) · kh · kw products
      return 2 * out * sizeOf(inputs[1]!.shape.slice(1));
    case 'ConvTranspose': // every input element meets (out / group) · kh · kw weights
      return 2 * size(0) * sizeOf(inputs[1]!.shape.slice(1));
    case 'MatMul':
      return 2 * out * inputs[0]!.shape.at(-1)!;
    case 'Gemm':
      return 2 * out * inputs[0]!.shape[attributes.transA ? 0 : 1];
    case 'Reshape':
    case 'Transpose':
    case 'Slice':
    case 'Concat':
    case 'Split':
    case 'Identity':
    case 'Expand':
    case 'Pad':
    case 'Tile':
    case 'Gather':
    case 'Cast':
    case 'ReorderInput':
    case 'ReorderOutput':
      return 0;
    case 'MaxPool':
    case 'AveragePool':
      return out * sizeOf(attributes.kernel_shape as readonly number[]);
    default:
      return op.startsWith('Reduce') || op.startsWith('Scatter') ? Math.max(out, size(0)) : out;
  }
}

/** The part of an explanation that needs no run. */
export function describeGraph(graph: Graph, outputs: readonly Value[]) {
  const live = liveNodes(graph, outputs);
  const byOp = new Map<string, { op: string; count: number; flops: number }>();
  for (const node of live) {
    const op = nameOf(node);
    const entry = byOp.get(op) ?? { op, count: 0, flops: 0 };
    byOp.set(op, { op, count: entry.count + 1, flops: entry.flops + flopsOf(node) });
  }
  const constants = new Set(
    live.flatMap(({ inputs }) => inputs).filter((v) => v && (v.constant || v.uniform !== undefined)),
  );
  const nodes = [...byOp.values()].sort((a, b) => b.flops - a.flops || b.count - a.count);
  return {
    nodes,
    nodeCount: live.length,
    inputBytes: bytes(graph.inputs),
    outputBytes: bytes(outputs),
    constantBytes: bytes([...constants] as Value[]),
    flops: nodes.reduce((sum, { flops }) => sum + flops, 0),
  };
}

/** Runs the graph under onnxruntime's profiler, after two runs that are not counted. */
export async function explainGraph(
  { graph, outputs }: Trace,
  options: Ort.InferenceSession.SessionOptions,
  runs: number,
): Promise<Explanation> {
  const description = describeGraph(
    graph,
    outputs.map(([, value]) => value),
  );
  const folder = mkdtempSync(join(tmpdir(), 'dwp-profile-'));
  try {
    const { InferenceSession, Tensor } = await onnxruntime();
    const session = await InferenceSession.create(encodeOnnx(graph, outputs), {
      ...options,
      enableProfiling: true,
      profileFilePrefix: join(folder, 'profile'),
    });
    const feeds = Object.fromEntries(
      graph.inputs.map(({ input, shape, dtype }) => {
        const data = onesOf(dtype, sizeOf(shape));
        return [input, new Tensor(dtype as 'float32', data as Float32Array, shape)];
      }),
    );
    try {
      for (let i = 0; i < runs + WARM_UP; i++) await session.run(feeds);
      session.endProfiling();
    } finally {
      await session.release();
    }
    const [file] = readdirSync(folder);
    const events = JSON.parse(readFileSync(join(folder, file), 'utf8')) as ProfileEvent[];
    const profile = summarise(events, graph, runs);
    return { ...description, ...profile, gigaflopsPerSecond: description.flops / profile.milliseconds / 1e6 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const WARM_UP = 2;

function onesOf(dtype: string, size: number): ConstantData {
  if (dtype === 'float32') return new Float32Array(size).fill(1);
  return dtype === 'int32' ? new Int32Array(size) : new Uint8Array(size);
}

interface ProfileEvent {
  cat: string;
  name: string;
  dur: number; // µs
  ts: number;
  args?: { op_name?: string };
}

function summarise(events: readonly ProfileEvent[], graph: Graph, runs: number) {
  const whole = events.filter(({ name }) => name === 'model_run').slice(WARM_UP);
  const start = whole[0]?.ts ?? 0;
  const kernels = events.filter(
    ({ cat, name, ts }) => cat === 'Node' && name.endsWith('_kernel_time') && ts >= start,
  );
  const siteOf = new Map(graph.nodes.map((node) => [nodeName(node), node.origin?.site]));
  const byOp = new Map<string, { count: number; microseconds: number }>();
  const byLine = new Map<string, number>();
  for (const { name, dur, args } of kernels) {
    const op = args?.op_name ?? name;
    const entry = byOp.get(op) ?? { count: 0, microseconds: 0 };
    byOp.set(op, { count: entry.count + 1, microseconds: entry.microseconds + dur });
    // Rewritten nodes keep the name of one they came from, with something before or after it.
    const ours = /node\d+/.exec(name)?.[0];
    const site = ours ? siteOf.get(ours) : undefined;
    const line = (site && lineOf(site)) ?? 'onnxruntime’s own rewrites';
    byLine.set(line, (byLine.get(line) ?? 0) + dur);
  }
  const times = whole.map(({ dur }) => dur / 1000).sort((a, b) => a - b);
  return {
    executed: [...byOp]
      .map(([op, { count, microseconds }]) => ({
        op,
        count: Math.round(count / runs),
        milliseconds: microseconds / 1000 / runs,
      }))
      .sort((a, b) => b.milliseconds - a.milliseconds),
    lines: [...byLine]
      .map(([line, microseconds]) => ({ line, milliseconds: microseconds / 1000 / runs }))
      .sort((a, b) => b.milliseconds - a.milliseconds),
    milliseconds: times[times.length >> 1] ?? Number.NaN,
  };
}
