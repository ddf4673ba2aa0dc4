// What every importer returns: the weights of 2-D convolutions in one layout, and what was left out and why.
import { sizeOf } from '../formats/shape.js';

/** `transposed` covers every transposed (fractionally strided) convolution, depthwise or not. */
export type LayerKind = 'conv' | 'depthwise' | 'transposed';

export interface ConvLayer {
  name: string;
  kind: LayerKind;
  /** [out, in, h, w]; `in` counts the inputs of one group. A depthwise layer is [channels · multiplier, 1, h, w]. */
  shape: [number, number, number, number];
  /** How the numbers are stored in the file: `float32`, `float16`, `int8`, … */
  dtype: string;
  /**
   * The weights, row-major in `shape`: slice (o, i) is at `(o · in + i) · h · w`. Only this call reads them, so that
   * one tensor at a time is in memory; the array is the caller's to read, not to change. While the model is open.
   *
   * @throws DwpError INPUT when the stored values are damaged
   */
  read(): Float32Array | Promise<Float32Array>;
}

export interface BatchNormRecord {
  /** Multiplied into the kernels before them. */
  folded: number;
  notFolded: { batchNorm: string; reason: string }[];
}

export interface ModelLayers {
  layers: ConvLayer[];
  /** Layers that are convolutions or look like one, but are not in `layers`. */
  skipped: { layer: string; reason: string }[];
  /** What was assumed or done where the file leaves it open: one sentence each, the same for the same cause. */
  notes?: string[];
  /** Where there are no layers: what the owner of the file can do. */
  advice?: string;
  /** What became of its batch norms, where they were to be folded into the convolutions. */
  batchNorms?: BatchNormRecord;
  /** What wrote the file, when it says so. */
  producer?: string;
  /** The licence the file itself states, when it does. */
  licence?: string;
  /** Frees what the importer holds besides the source (a worker); the layers cannot be read afterwards. */
  close?(): void;
}

/**
 * Swaps axes of a row-major array.
 *
 * @param shape the array's own shape
 * @param order the result's axis `a` is the array's axis `order[a]`
 * @returns a new array of shape `order.map((axis) => shape[axis])`
 */
export function permuteAxes(
  data: Float32Array,
  shape: readonly number[],
  order: readonly number[],
): Float32Array {
  const out = new Float32Array(data.length);
  if (data.length === 0) return out;
  const axes = mergedAxes(shape, order);
  const writes = axes.at(-1); // its items are neighbours in `out`
  const reads = axes.find(({ from }) => from === 1); // and of this in `data`
  if (!writes || !reads || writes === reads) {
    copyRows(data, out, axes, 0, 0, 0);
    return out;
  }
  const others = axes.filter((axis) => axis !== writes && axis !== reads);
  // block by block, so that what is read and what is written both stay in the cache
  const block = (from: number, to: number) => {
    for (let r0 = 0; r0 < reads.size; r0 += BLOCK)
      for (let w0 = 0; w0 < writes.size; w0 += BLOCK) {
        const [r1, w1] = [Math.min(reads.size, r0 + BLOCK), Math.min(writes.size, w0 + BLOCK)];
        for (let r = r0; r < r1; r++)
          for (let w = w0; w < w1; w++) out[to + r * reads.to + w] = data[from + r + w * writes.from];
      }
  };
  const visit = (axis: number, from: number, to: number): void => {
    if (axis === others.length) block(from, to);
    else
      for (let i = 0; i < others[axis].size; i++)
        visit(axis + 1, from + i * others[axis].from, to + i * others[axis].to);
  };
  visit(0, 0, 0);
  return out;
}

const BLOCK = 32;

/** An axis of the result, with its strides in the array and in the result. */
interface Axis {
  size: number;
  from: number;
  to: number;
}

/** The result's axes from the outermost in; those that stay neighbours are one, those of one item none. */
function mergedAxes(shape: readonly number[], order: readonly number[]): Axis[] {
  const axes: Axis[] = [];
  let to = 1;
  for (const axis of [...order].reverse()) {
    const size = shape[axis];
    const from = sizeOf(shape.slice(axis + 1));
    const inner = axes[0];
    if (inner && from === inner.from * inner.size) inner.size *= size;
    else if (size > 1) axes.unshift({ size, from, to });
    to *= size;
  }
  return axes;
}

/** For axes of which the last is the last of both: rows are copied as they are. */
function copyRows(
  data: Float32Array,
  out: Float32Array,
  axes: readonly Axis[],
  axis: number,
  from: number,
  to: number,
): void {
  if (axis >= axes.length - 1) {
    const size = axes.at(-1)?.size ?? 1;
    for (let i = 0; i < size; i++) out[to + i] = data[from + i];
  } else
    for (let i = 0; i < axes[axis].size; i++)
      copyRows(data, out, axes, axis + 1, from + i * axes[axis].from, to + i * axes[axis].to);
}
