// Operators that look elements up or put them somewhere by index: gather, scatter, one-hot, top k, counts.
import type { Graph, Value } from '../graph.js';
import { type Dtype, sizeOf } from '../tree.js';
import { add, binary, mul, where } from './elementwise.js';
import { type Lowerings, normalAxes } from './lowering.js';
import { reduce } from './reduce.js';
import { slice } from './shape.js';

const counting = (g: Graph, length: number, step = 1) =>
  g.constant(
    Int32Array.from({ length }, (_, i) => i * step),
    [length],
    'int32',
  );

/** Sizes of what stands before the batch's end, between it and the gathered axis, at that axis, and behind it. */
function gatherSizes(shape: readonly number[], axis: number, batchDims: number) {
  return {
    batch: sizeOf(shape.slice(0, batchDims)),
    outer: sizeOf(shape.slice(batchDims, axis)),
    length: shape[axis],
    inner: sizeOf(shape.slice(axis + 1)),
  };
}

/** Indices along an axis of x as row numbers of x seen as a matrix [batch · outer · length, inner]: [batch, outer, k]. */
function rowNumbers(g: Graph, indices: Value, sizes: ReturnType<typeof gatherSizes>): Value {
  const { batch, outer, length } = sizes;
  const k = sizeOf(indices.shape) / batch;
  const start = g.reshape(counting(g, batch * outer, length), [batch, outer, 1]);
  return add(g, g.reshape(indices, [batch, 1, k]), start);
}

function gather(g: Graph, x: Value, indices: Value, axis: number, batchDims: number): Value {
  const shape = [...x.shape.slice(0, axis), ...indices.shape.slice(batchDims), ...x.shape.slice(axis + 1)];
  if (batchDims === 0) return g.emit1('Gather', [x, indices], shape, { axis });
  const sizes = gatherSizes(x.shape, axis, batchDims);
  const { batch, outer, length, inner } = sizes;
  const rows = g.reshape(x, [batch * outer * length, inner]);
  const numbers = rowNumbers(g, indices, sizes);
  return g.reshape(g.emit1('Gather', [rows, numbers], [...numbers.shape, inner], { axis: 0 }), shape);
}

/** Adds [.., k, inner] to the rows of zeros that `numbers`, [.., k], name. */
function addRows(g: Graph, rows: number, numbers: Value, values: Value): Value {
  const count = sizeOf(numbers.shape);
  const inner = sizeOf(values.shape) / count;
  const zeros = g.uniform(0, [rows, inner], values.dtype);
  const places = g.cast(g.reshape(numbers, [count, 1]), 'int64');
  const updates = g.reshape(values, [count, inner]);
  return g.emit1('ScatterND', [zeros, places, updates], [rows, inner], { reduction: 'add' });
}

/** ScatterND with indices of any rank: places are [.., depth], updates [.., rest of the shape]. */
function scatterNd(
  g: Graph,
  target: Value,
  indices: Value,
  updates: Value,
  attributes: Record<string, string> = {},
): Value {
  return g.emit1('ScatterND', [target, g.cast(indices, 'int64'), updates], target.shape, attributes);
}

/** Indices equal to 0, …, depth − 1, along a new last axis. */
const oneHot = (g: Graph, indices: Value, depth: number) =>
  binary(g, 'Equal', g.reshape(indices, [...indices.shape, 1]), counting(g, depth), undefined, 'bool');

/** How often, or with which total weight, 0, …, size − 1 occur along the last axis. */
function count(g: Graph, x: Value, weights: Value, size: number, binaryOutput: boolean): Value {
  const axis = x.shape.length - 1;
  const found = g.cast(oneHot(g, x, size), weights.dtype); // [.., n, size]
  if (binaryOutput) return reduce(g, 'ReduceMax', found, [axis], false);
  const weighted =
    sizeOf(weights.shape) === 0 ? found : mul(g, found, g.reshape(weights, [...weights.shape, 1]));
  return reduce(g, 'ReduceSum', weighted, [axis], false);
}

export const indexing: Lowerings = {
  GatherV2: ({ g, inputs: { x, indices }, attrs }) =>
    gather(g, x, indices, normalAxes(attrs.axis, x.shape.length)[0], attrs.batchDims ?? 0),
  // A kernel of the tracing backend alone, called by the gradient of GatherV2.
  GatherV2Grad: ({ g, inputs: { dy, indices }, attrs }) => {
    const shape = attrs.shape as number[];
    const sizes = gatherSizes(shape, attrs.axis, attrs.batchDims);
    const { batch, outer, length } = sizes;
    return g.reshape(addRows(g, batch * outer * length, rowNumbers(g, indices, sizes), dy), shape);
  },
  GatherNd: ({ g, inputs: { params, indices } }) => {
    const depth = indices.shape.at(-1)!;
    const shape = [...indices.shape.slice(0, -1), ...params.shape.slice(depth)];
    return g.emit1('GatherND', [params, g.cast(indices, 'int64')], shape);
  },
  ScatterNd: ({ g, inputs: { indices, updates }, attrs }) =>
    scatterNd(g, g.uniform(0, attrs.shape, updates.dtype), indices, updates, { reduction: 'add' }),
  TensorScatterUpdate: ({ g, inputs: { tensor, indices, updates } }) =>
    scatterNd(g, tensor, indices, updates),
  SparseToDense: ({ g, inputs: { sparseIndices, sparseValues, defaultValue }, attrs }) => {
    const shape = attrs.outputShape as number[];
    const depth = sparseIndices.shape.length === 2 ? sparseIndices.shape[1] : 1;
    const places = g.reshape(sparseIndices, [sizeOf(sparseIndices.shape) / depth, depth]);
    const values = g.broadcast(sparseValues, [places.shape[0]]);
    return scatterNd(g, g.broadcast(defaultValue, shape), places, values);
  },
  UnsortedSegmentSum: ({ g, inputs: { x, segmentIds }, attrs }) => {
    const rows = attrs.numSegments as number;
    // Rows without a segment have a negative number: they go to one behind the last.
    const negative = binary(g, 'Less', segmentIds, g.uniform(0, [], 'int32'), undefined, 'bool');
    const numbers = where(g, negative, g.uniform(rows, [], 'int32'), segmentIds);
    const sums = addRows(g, rows + 1, numbers, x);
    const inner = sums.shape[1];
    return g.reshape(slice(g, sums, [0, 0], [rows, inner]), [
      rows,
      ...x.shape.slice(segmentIds.shape.length),
    ]);
  },
  OneHot: ({ g, inputs: { indices }, attrs }) => {
    const dtype: Dtype = attrs.dtype ?? 'float32';
    const found = oneHot(g, indices, attrs.depth);
    return where(g, found, g.uniform(attrs.onValue, [], dtype), g.uniform(attrs.offValue, [], dtype));
  },
  TopK: ({ g, inputs: { x }, attrs }) => {
    const shape = [...x.shape.slice(0, -1), attrs.k];
    const [values, places] = g.emit('TopK', [x, g.int64([attrs.k])], { axis: -1, sorted: 1 }, [
      { shape, dtype: x.dtype },
      { shape, dtype: 'int64' },
    ]);
    return [values, g.cast(places, 'int32')];
  },
  SearchSorted: ({ g, inputs: { sortedSequence, values }, attrs }) => {
    const [rows, length] = sortedSequence.shape;
    const sequence = g.reshape(sortedSequence, [rows, 1, length]);
    const wanted = g.reshape(values, [rows, values.shape[1], 1]);
    const op = attrs.side === 'right' ? 'LessOrEqual' : 'Less';
    const before = g.cast(binary(g, op, sequence, wanted, undefined, 'bool'), 'int32');
    return reduce(g, 'ReduceSum', before, [2], false);
  },
  Bincount: ({ g, inputs: { x, weights }, attrs }) => count(g, x, weights, attrs.size, false),
  DenseBincount: ({ g, inputs: { x, weights }, attrs }) =>
    count(g, x, weights, attrs.size, Boolean(attrs.binaryOutput)),
};
