// What an operator file gives: for each TensorFlow.js kernel, how it is said in ONNX.
import type { Graph, Value } from '../graph.js';

/** The name under which the tracing backend is registered with TensorFlow.js. */
export const TRACING_BACKEND = 'dwp-trace';

export interface LoweringArguments {
  g: Graph;
  /** Inputs by the kernel's names for them. */
  inputs: Readonly<Record<string, Value>>;
  /** The same in order, for kernels that take a list. */
  list: readonly Value[];
  // biome-ignore lint/suspicious/noExplicitAny: the attributes of each kernel are those that TensorFlow.js documents
  attrs: any;
}

export type Lowering = (call: LoweringArguments) => Value | Value[];
export type Lowerings = Readonly<Record<string, Lowering>>;

/** Negative axes counted from the end; a single axis as a list. */
export function normalAxes(axis: number | readonly number[] | null | undefined, rank: number): number[] {
  const axes =
    axis === null || axis === undefined ? Array.from({ length: rank }, (_, i) => i) : [axis].flat();
  return axes.map((a) => (a < 0 ? a + rank : a)).sort((a, b) => a - b);
}
