// Operators that move elements: reshape, transpose, slice, concatenate, pad, tile; sequences of numbers.
import * as tf from '#tfjs';
import type { Graph, Value } from '../graph.js';
import { sizeOf } from '../tree.js';
import { where } from './elementwise.js';
import { type Lowerings, normalAxes } from './lowering.js';

export function slice(
  g: Graph,
  x: Value,
  begin: readonly number[],
  size: readonly number[],
  strides: readonly number[] = begin.map(() => 1),
): Value {
  const shape = size;
  const axes = begin
    .map((_, i) => i)
    .filter((i) => begin[i] !== 0 || strides[i] !== 1 || size[i] !== x.shape[i]);
  if (axes.length === 0) return x;
  if (x.uniform !== undefined) return g.uniform(x.uniform, shape, x.dtype);
  // ONNX clamps ends; one past the front is said by the smallest number.
  const end = axes.map((i) => {
    const last = begin[i] + strides[i] * (size[i] - 1);
    return strides[i] > 0 ? last + 1 : last === 0 ? -(2 ** 31) : last - 1;
  });
  return g.emit1(
    'Slice',
    [
      x,
      g.int64(axes.map((i) => begin[i])),
      g.int64(end),
      g.int64(axes),
      g.int64(axes.map((i) => strides[i])),
    ],
    shape,
  );
}

export function concat(g: Graph, values: readonly Value[], axis: number): Value {
  const parts = values.filter((v) => sizeOf(v.shape) > 0);
  if (parts.length === 1) return parts[0];
  const shape = parts[0].shape.map((n, i) =>
    i === axis ? parts.reduce((sum, v) => sum + v.shape[axis], 0) : n,
  );
  return g.emit1('Concat', parts, shape, { axis });
}

/** x[..., places[i], ...] along one axis, for places that are known. */
export function takeAlong(g: Graph, x: Value, axis: number, places: readonly number[]): Value {
  if (places.length === x.shape[axis] && places.every((place, i) => place === i)) return x;
  const indices = g.constant(Int32Array.from(places), [places.length], 'int32');
  const shape = x.shape.map((n, i) => (i === axis ? places.length : n));
  return g.emit1('Gather', [x, indices], shape, { axis });
}

/**
 * Which of n elements stand where when a sequence is continued by its mirror image on both sides.
 * @param mode whether the outermost element stands on the mirror (reflect) or before it (symmetric)
 */
export function mirrored(
  n: number,
  [before, after]: readonly [number, number],
  mode: 'reflect' | 'symmetric',
): number[] {
  const edge = mode === 'reflect' ? 0 : 1;
  return Array.from({ length: before + n + after }, (_, i) => {
    const at = i - before;
    return at < 0 ? -at - edge : at >= n ? 2 * (n - 1) - at + edge : at;
  });
}

export interface StridedSliceAttributes {
  begin: number[];
  end: number[];
  strides: number[];
  beginMask: number;
  endMask: number;
  ellipsisMask: number;
  newAxisMask: number;
  shrinkAxisMask: number;
}

/** What a strided slice takes along every axis, and the shape when axes are dropped and added. */
export function stridedRanges(shape: readonly number[], attrs: StridedSliceAttributes) {
  const { begin, end, strides, finalShape } = tf.slice_util.sliceInfo(
    [...shape],
    attrs.begin,
    attrs.end,
    attrs.strides,
    attrs.beginMask,
    attrs.endMask,
    attrs.ellipsisMask,
    attrs.newAxisMask,
    attrs.shrinkAxisMask,
  );
  const size = shape.map((_, i) => Math.max(0, Math.ceil((end[i] - begin[i]) / strides[i])));
  return { begin, size, strides, finalShape };
}

const unsqueeze = (shape: readonly number[], axis: number) => [
  ...shape.slice(0, axis),
  1,
  ...shape.slice(axis),
];

export const shapes: Lowerings = {
  Reshape: ({ g, inputs: { x }, attrs }) => {
    const known = (attrs.shape as number[]).reduce((a, n) => (n < 0 ? a : a * n), 1);
    return g.reshape(
      x,
      (attrs.shape as number[]).map((n) => (n < 0 ? sizeOf(x.shape) / known : n)),
    );
  },
  ExpandDims: ({ g, inputs: { input }, attrs }) => {
    const axis = attrs.dim < 0 ? attrs.dim + input.shape.length + 1 : attrs.dim;
    return g.reshape(input, unsqueeze(input.shape, axis));
  },
  Transpose: ({ g, inputs: { x }, attrs }) => g.transpose(x, attrs.perm),
  Slice: ({ g, inputs: { x }, attrs }) => {
    const tensor = { shape: x.shape, rank: x.shape.length } as unknown as tf.Tensor;
    const [begin, size] = tf.slice_util.parseSliceParams(tensor, attrs.begin, attrs.size);
    return slice(g, x, begin, size);
  },
  Concat: ({ g, list, attrs }) => concat(g, list, normalAxes(attrs.axis, list[0].shape.length)[0]),
  Pack: ({ g, list, attrs }) => {
    const axis = attrs.axis < 0 ? attrs.axis + list[0].shape.length + 1 : attrs.axis;
    return concat(
      g,
      list.map((v) => g.reshape(v, unsqueeze(v.shape, axis))),
      axis,
    );
  },
  Unpack: ({ g, inputs: { value }, attrs }) => {
    const [axis] = normalAxes(attrs.axis, value.shape.length);
    const shape = value.shape.filter((_, i) => i !== axis);
    return Array.from({ length: value.shape[axis] }, (_, k) =>
      g.reshape(
        slice(
          g,
          value,
          value.shape.map((_, i) => (i === axis ? k : 0)),
          value.shape.map((n, i) => (i === axis ? 1 : n)),
        ),
        shape,
      ),
    );
  },
  SplitV: ({ g, inputs: { x }, attrs }) => {
    const [axis] = normalAxes(attrs.axis, x.shape.length);
    const known = attrs.numOrSizeSplits as number | number[];
    const sizes = Array.isArray(known)
      ? [...known]
      : Array.from({ length: known }, () => x.shape[axis] / known);
    const rest = sizes.indexOf(-1);
    if (rest >= 0) sizes[rest] = x.shape[axis] - sizes.reduce((a, b) => a + Math.max(b, 0), 0);
    const shapeOf = (size: number) => x.shape.map((n, i) => (i === axis ? size : n));
    if (x.uniform !== undefined) return sizes.map((size) => g.uniform(x.uniform!, shapeOf(size), x.dtype));
    if (sizes.length === 1) return [x];
    return g.emit(
      'Split',
      [x, g.int64(sizes)],
      { axis },
      sizes.map((size) => ({ shape: shapeOf(size), dtype: x.dtype })),
    );
  },
  Tile: ({ g, inputs: { x }, attrs }) => {
    const reps = attrs.reps as number[];
    const shape = x.shape.map((n, i) => n * reps[i]);
    if (x.uniform !== undefined || reps.every((r, i) => r === 1 || x.shape[i] === 1))
      return g.broadcast(x, shape);
    return g.emit1('Tile', [x, g.int64(reps)], shape);
  },
  PadV2: ({ g, inputs: { x }, attrs }) => {
    const paddings = attrs.paddings as [number, number][];
    if (paddings.every(([before, after]) => before === 0 && after === 0)) return x;
    const shape = x.shape.map((n, i) => n + paddings[i][0] + paddings[i][1]);
    const pads = [...paddings.map((p) => p[0]), ...paddings.map((p) => p[1])];
    return g.emit1('Pad', [x, g.int64(pads), g.uniform(attrs.constantValue, [], x.dtype)], shape);
  },
  Reverse: ({ g, inputs: { x }, attrs }) => {
    const axes = normalAxes(attrs.dims, x.shape.length);
    const begin = x.shape.map((n, i) => (axes.includes(i) ? n - 1 : 0));
    const strides = x.shape.map((_, i) => (axes.includes(i) ? -1 : 1));
    return slice(g, x, begin, x.shape, strides);
  },
  MirrorPad: ({ g, inputs: { x }, attrs }) =>
    (attrs.paddings as [number, number][]).reduce(
      (y, paddings, axis) => takeAlong(g, y, axis, mirrored(x.shape[axis], paddings, attrs.mode)),
      x,
    ),
  StridedSlice: ({ g, inputs: { x }, attrs }) => {
    const { begin, size, strides, finalShape } = stridedRanges(x.shape, attrs);
    return g.reshape(slice(g, x, begin, size, strides), finalShape);
  },
  BroadcastTo: ({ g, inputs: { x }, attrs }) => g.broadcast(x, attrs.shape),
  Diag: ({ g, inputs: { x } }) => {
    const n = sizeOf(x.shape);
    const diagonal = g.constant(
      Uint8Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0)),
      [n, n],
      'bool',
    );
    const square = where(g, diagonal, g.reshape(x, [n, 1]), g.uniform(0, [], x.dtype));
    return g.reshape(square, [...x.shape, ...x.shape]);
  },
  LinSpace: ({ g, attrs: { start, stop, num } }) => {
    const step = num > 1 ? (stop - start) / (num - 1) : 0;
    return g.constant(
      Float32Array.from({ length: num }, (_, i) => start + i * step),
      [num],
      'float32',
    );
  },
  Range: ({ g, attrs: { start, stop, step, dtype } }) => {
    const length = Math.max(0, Math.ceil((stop - start) / step));
    const numbers = Array.from({ length }, (_, i) => start + i * step);
    return dtype === 'int32'
      ? g.constant(Int32Array.from(numbers), [length], 'int32')
      : g.constant(Float32Array.from(numbers), [length], 'float32');
  },
};
