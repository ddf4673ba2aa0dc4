// Constants of TensorFlow Lite models, float or quantised, followed to where they lie in the file.
import { inputError } from '../errors.js';
import type { Table, Vector } from '../formats/flatbuffers.js';
import { type FloatType, toFloat32 } from '../formats/floats.js';
import { sizeOf } from '../formats/shape.js';
import { type ByteSource, partOf, shown } from '../formats/source.js';
import { permuteAxes } from './layers.js';

// Numbers of fields in TensorFlow Lite's schema
export const TENSOR = { shape: 0, type: 1, buffer: 2, name: 3, quantization: 4, sparsity: 6 };
export const OPERATOR = { code: 0, inputs: 1, outputs: 2, options: 4 };
export const BUFFER = { data: 0, offset: 1, size: 2 };
const QUANTIZATION = { scale: 2, zeroPoint: 3, dimension: 6 };

const FLOATS: Readonly<Record<number, FloatType>> = {
  0: 'float32',
  1: 'float16',
  10: 'float64',
  18: 'bfloat16',
};
const INTEGERS: Readonly<Record<number, string>> = { 3: 'uint8', 7: 'int16', 9: 'int8', 17: 'int4' };
const BITS: Readonly<Record<string, number>> = {
  ...{ int4: 4, int8: 8, uint8: 8, int16: 16 },
  ...{ float16: 16, bfloat16: 16, float32: 32, float64: 64 },
};

const DEEPEST = 16; // operators between a constant and its convolution

/** What constants are read from. */
export interface Storage {
  source: ByteSource;
  buffers: Vector<Table>;
}

export interface Subgraph {
  tensors: Vector<Table>;
  /** The operator that a tensor comes from, of those that weights may come through. */
  producers: Map<number, { operator: Table; type: string }>;
}

export interface Weights {
  shape: number[];
  dtype: string;
  /** Where they lie in the file, in bytes. */
  offset: number;
  length: number;
  name: string;
  read(): Float32Array;
}

/** Follows a tensor back to its constant through operators that only rearrange it; a string says why not. */
export function resolve(
  storage: Storage,
  subgraph: Subgraph,
  index: number,
  depth: number,
): Weights | string {
  if (index < 0) return 'it has no weights';
  if (depth > DEEPEST) return `more than ${DEEPEST} operators lie between its weights and their constant`;
  const tensor = subgraph.tensors.at(index);
  const data = dataOf(storage, tensor);
  if (data.length > 0) return constant(storage, tensor, data);
  const producer = subgraph.producers.get(index);
  if (!producer) return 'its weights are an input of the graph, not a constant';
  if (producer.type === 'DENSIFY') return 'sparse weights are not read';
  if (!['DEQUANTIZE', 'RESHAPE', 'TRANSPOSE'].includes(producer.type))
    return `its weights are computed (${shown(producer.type)})`;
  const inputs = producer.operator.numbers(OPERATOR.inputs, 'i32');
  if (inputs.length === 0) return `its weights are computed (${producer.type} of nothing)`;
  const from = resolve(storage, subgraph, inputs.at(0), depth + 1);
  if (typeof from === 'string' || producer.type === 'DEQUANTIZE') return from;
  const count = (shape: readonly number[]) => sizeOf(shape);
  if (producer.type === 'RESHAPE') {
    const shape = shapeOf(tensor);
    if (!shape || count(shape) !== count(from.shape)) return `a Reshape of [${from.shape}] to [${shape}]`;
    return { ...from, shape };
  }
  const order = inputs.length > 1 ? axesOf(storage, subgraph.tensors.at(inputs.at(1))) : undefined;
  if (!order || [...order].sort((a, b) => a - b).join() !== from.shape.map((_, axis) => axis).join())
    return `a Transpose of [${from.shape}] whose axes are not constant`;
  return {
    ...from,
    shape: order.map((axis) => from.shape[axis]),
    read: () => permuteAxes(from.read(), from.shape, order),
  };
}

/** Undefined when it cannot be a shape of weights. */
export function shapeOf(tensor: Table): number[] | undefined {
  const shape = tensor.numbers(TENSOR.shape, 'i32');
  if (shape.length > 8) return undefined;
  const sizes = Array.from({ length: shape.length }, (_, axis) => shape.at(axis));
  const fits = sizes.every((n) => n > 0) && Number.isSafeInteger(sizeOf(sizes));
  return fits ? sizes : undefined;
}

/** Where the data of a tensor lie; of no length where it has none. */
export function dataOf({ buffers, source }: Storage, tensor: Table): { offset: number; length: number } {
  const buffer = buffers.at(tensor.number(TENSOR.buffer, 'u32'));
  const inside = buffer.bytes(BUFFER.data);
  if (inside.length > 0) return inside;
  // files over 2 GB keep their data behind the FlatBuffer
  const offset = buffer.number(BUFFER.offset, 'u64');
  const length = buffer.number(BUFFER.size, 'u64');
  if (offset <= 1 || length === 0) return { offset: 0, length: 0 };
  partOf(source, offset, length);
  return { offset, length };
}

function constant(
  { source }: Storage,
  tensor: Table,
  { offset, length }: { offset: number; length: number },
): Weights | string {
  const name = tensor.text(TENSOR.name) ?? '';
  if (tensor.table(TENSOR.sparsity)) return 'sparse weights are not read';
  const type = tensor.number(TENSOR.type, 'i8');
  const shape = shapeOf(tensor);
  if (!shape) return 'its weights have no fixed shape';
  const dtype = FLOATS[type] ?? INTEGERS[type];
  if (!dtype) return `its weights are of type ${type}, neither float nor quantised`;
  const count = sizeOf(shape);
  if (length !== Math.ceil((count * BITS[dtype]) / 8))
    throw inputError(
      `${source.path}: tensor ${shown(name)} is damaged: ${length} bytes for [${shape}] of ${dtype}`,
      'fetch or export it again',
    );
  const weights = { shape, dtype, offset, length, name };
  if (FLOATS[type]) return { ...weights, read: () => toFloat32(source.read(offset, length), FLOATS[type]) };
  const quantization = tensor.table(TENSOR.quantization);
  const scales = quantization?.numbers(QUANTIZATION.scale, 'f32');
  const zeroPoints = quantization?.numbers(QUANTIZATION.zeroPoint, 'i64');
  if (!quantization || !scales || !zeroPoints || scales.length === 0)
    return `its weights are ${dtype} without a scale`;
  const dimension = quantization.number(QUANTIZATION.dimension, 'i32');
  const fits = (length: number) => length === 1 || length === shape[dimension];
  if (!fits(scales.length) || !(zeroPoints.length === 0 || fits(zeroPoints.length)))
    return `${scales.length} scales and ${zeroPoints.length} zero points for weights [${shape}]`;
  const read = () => {
    const values = integers(source.read(offset, length), dtype, count);
    const channels = shape[dimension] ?? 1;
    const inner = sizeOf(shape.slice(dimension + 1));
    const result = new Float32Array(count);
    const channelOf = (vector: Vector<number>, channel: number, otherwise: number) =>
      vector.length === 0 ? otherwise : vector.at(vector.length === 1 ? 0 : channel);
    const scale = Float32Array.from({ length: channels }, (_, i) => channelOf(scales, i, 1));
    const zero = Float64Array.from({ length: channels }, (_, i) => channelOf(zeroPoints, i, 0));
    for (let start = 0, channel = 0; start < count; start += inner, channel = (channel + 1) % channels)
      for (let i = start; i < start + inner; i++) result[i] = scale[channel] * (values[i] - zero[channel]);
    return result;
  };
  return { ...weights, read };
}

function integers(bytes: Uint8Array<ArrayBuffer>, dtype: string, count: number): ArrayLike<number> {
  if (dtype === 'uint8') return bytes;
  if (dtype === 'int8') return new Int8Array(bytes.buffer);
  if (dtype === 'int16') return new Int16Array(bytes.buffer);
  // int4: two's complement, the first of two in the lower half
  return Int8Array.from({ length: count }, (_, i) => ((bytes[i >> 1] >> (4 * (i & 1))) << 28) >> 28);
}

/** The axes of a Transpose: a small constant of int32. */
function axesOf(storage: Storage, tensor: Table): number[] | undefined {
  const { offset, length } = dataOf(storage, tensor);
  if (tensor.number(TENSOR.type, 'i8') !== 2 || length === 0 || length > 32 || length % 4 !== 0)
    return undefined;
  return [...new Int32Array(storage.source.read(offset, length).buffer)];
}
