// TensorFlow Lite models: the weights of CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV, float or quantised.
import { DwpError, inputError } from '../errors.js';
import { rootTable, type Table, type Vector } from '../formats/flatbuffers.js';
import { type FloatType, toFloat32 } from '../formats/floats.js';
import { type ByteSource, partOf, shown } from '../formats/source.js';
import type { Importer } from './importer.js';
import { type ConvLayer, type LayerKind, type ModelLayers, permuteAxes } from './layers.js';

const SIGNATURE = 'TFL3'; // after the four bytes that lead to the root table

export const tflite: Importer = {
  format: 'tflite',
  extensions: ['.tflite'],
  sharedExtensions: ['.lite', '.tfl'],
  recognises: (head, path) =>
    new TextDecoder('latin1').decode(head.subarray(4, 8)) === SIGNATURE ||
    path.toLowerCase().endsWith('.tflite'),
  read: async (source) => readTflite(source),
};

// Numbers of fields in TensorFlow Lite's schema
const MODEL = { codes: 1, subgraphs: 2, description: 3, buffers: 4, metadata: 6 };
const CODE = { oldBuiltin: 0, custom: 1, builtin: 3 };
const SUBGRAPH = { tensors: 0, operators: 3 };
const TENSOR = { shape: 0, type: 1, buffer: 2, name: 3, quantization: 4, sparsity: 6 };
const QUANTIZATION = { scale: 2, zeroPoint: 3, dimension: 6 };
const OPERATOR = { code: 0, inputs: 1, outputs: 2 };
const BUFFER = { data: 0, offset: 1, size: 2 };
const METADATA = { name: 0, buffer: 1 };

const OPERATORS: Readonly<Record<number, string>> = {
  3: 'CONV_2D',
  4: 'DEPTHWISE_CONV_2D',
  6: 'DEQUANTIZE',
  22: 'RESHAPE',
  39: 'TRANSPOSE',
  67: 'TRANSPOSE_CONV',
  124: 'DENSIFY',
  132: 'CONV_3D',
  141: 'CONV_3D_TRANSPOSE',
  171: 'STABLEHLO_CONVOLUTION',
};
const CUSTOM = 32;

/** MediaPipe's own operator: TRANSPOSE_CONV with a bias, its weights laid out alike. */
const MEDIAPIPE_TRANSPOSED = 'Convolution2DTransposeBias';

/** How the weights of an operator, always its second input, become [out, in, h, w]. */
const CONVOLUTIONS: Readonly<Record<string, { kind: LayerKind; order: number[] }>> = {
  CONV_2D: { kind: 'conv', order: [0, 3, 1, 2] }, // [out, h, w, in]
  DEPTHWISE_CONV_2D: { kind: 'depthwise', order: [3, 0, 1, 2] }, // [1, h, w, channels · multiplier]
  TRANSPOSE_CONV: { kind: 'transposed', order: [0, 3, 1, 2] }, // [out, h, w, in]
  [MEDIAPIPE_TRANSPOSED]: { kind: 'transposed', order: [0, 3, 1, 2] },
};

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
const MOST_OPERATORS = 50_000;
const MOST_CODES = 10_000;

interface Model {
  source: ByteSource;
  buffers: Vector<Table>;
  layers: ConvLayer[];
  skipped: ModelLayers['skipped'];
  /** Where the weights lie that some convolution has used already: shared weights count once. */
  seen: Set<number>;
  bytes: number;
}

interface Subgraph {
  tensors: Vector<Table>;
  /** The operator that a tensor comes from, of those that weights may come through. */
  producers: Map<number, { operator: Table; type: string }>;
}

interface Weights {
  shape: number[];
  dtype: string;
  /** Where they lie in the file, in bytes. */
  offset: number;
  length: number;
  name: string;
  read(): Float32Array;
}

/** @throws DwpError INPUT when the file is no TensorFlow Lite model, or is damaged */
export function readTflite(source: ByteSource): ModelLayers {
  const { path } = source;
  if (source.size < 8 || new TextDecoder('latin1').decode(source.read(4, 4)) !== SIGNATURE)
    throw inputError(`${path}: not a TensorFlow Lite model`, 'check that this is the right file');
  const root = rootTable(source);
  const codes = operatorTypes(root.tables(MODEL.codes), path);
  const buffers = root.tables(MODEL.buffers);
  const model: Model = { source, buffers, layers: [], skipped: [], seen: new Set(), bytes: 0 };
  const subgraphs = root.tables(MODEL.subgraphs);
  let operators = 0;
  for (let i = 0; i < subgraphs.length; i++) {
    const subgraph = subgraphs.at(i);
    const list = subgraph.tables(SUBGRAPH.operators);
    operators += list.length + 1;
    if (operators > MOST_OPERATORS)
      throw inputError(`${path}: more than ${MOST_OPERATORS} operators`, 'fetch or export it again');
    readSubgraph(model, subgraph.tables(SUBGRAPH.tensors), list, codes);
  }
  const { layers, skipped } = model;
  return { layers, skipped, ...origin(root, model) };
}

function operatorTypes(codes: Vector<Table>, path: string): string[] {
  if (codes.length > MOST_CODES)
    throw inputError(`${path}: more than ${MOST_CODES} kinds of operators`, 'fetch or export it again');
  return Array.from({ length: codes.length }, (_, i) => {
    const code = codes.at(i);
    // new numbers did not fit into the old field; a file has one of the two, or both
    const builtin = Math.max(code.number(CODE.oldBuiltin, 'i8'), code.number(CODE.builtin, 'i32'));
    return builtin === CUSTOM
      ? (code.text(CODE.custom) ?? '')
      : (OPERATORS[builtin] ?? `operator ${builtin}`);
  });
}

function readSubgraph(model: Model, tensors: Vector<Table>, operators: Vector<Table>, codes: string[]): void {
  const subgraph: Subgraph = { tensors, producers: new Map() };
  const convolutions: { operator: Table; type: string; index: number }[] = [];
  for (let index = 0; index < operators.length; index++) {
    const operator = operators.at(index);
    const type = codes[operator.number(OPERATOR.code, 'u32')];
    if (type === undefined)
      throw inputError(`${model.source.path}: damaged: operator ${index} is of no kind`, 'fetch it again');
    if (/conv(?!ert)/i.test(type)) convolutions.push({ operator, type, index });
    else if (operator.numbers(OPERATOR.outputs, 'i32').length > 0)
      subgraph.producers.set(operator.numbers(OPERATOR.outputs, 'i32').at(0), { operator, type });
  }
  for (const { operator, type, index } of convolutions) {
    const outputs = operator.numbers(OPERATOR.outputs, 'i32');
    const output = outputs.length > 0 ? tensors.at(outputs.at(0)).text(TENSOR.name) : undefined;
    const layer = output?.split(';')[0] || `${type}_${index}`;
    const read = readConvolution(model, subgraph, operator, type, layer);
    if (typeof read === 'string') model.skipped.push({ layer, reason: read });
    else if (read) model.layers.push(read);
  }
}

/** The layer, a reason why it cannot be had, or undefined when its weights are in the list already. */
function readConvolution(
  model: Model,
  subgraph: Subgraph,
  operator: Table,
  type: string,
  name: string,
): ConvLayer | string | undefined {
  if (type.startsWith('CONV_3D')) return 'a 3-D convolution';
  if (!Object.hasOwn(CONVOLUTIONS, type)) return `operators ${shown(type)} are not read`;
  const inputs = operator.numbers(OPERATOR.inputs, 'i32');
  if (inputs.length < 2) return 'it has no weights';
  const weights = resolve(model, subgraph, inputs.at(1), 0);
  if (typeof weights === 'string') return weights;
  const { shape, dtype, offset, length, read } = weights;
  if (shape.length !== 4) return `its weights have ${shape.length} dimensions`;
  const { kind, order } = CONVOLUTIONS[type];
  if (kind === 'depthwise' && shape[0] !== 1) return `its weights [${shape}] are not those of ${type}`;
  if (model.seen.has(offset)) return undefined;
  model.seen.add(offset);
  model.bytes += length;
  if (model.bytes > model.source.size)
    throw inputError(
      `${model.source.path}: damaged: the weights of its layers overlap`,
      'fetch or export it again',
    );
  // a grouped convolution has fewer inputs per filter than its input has channels
  const channels = type === 'CONV_2D' ? shapeOf(subgraph.tensors.at(inputs.at(0)))?.[3] : undefined;
  return {
    name,
    kind: kind === 'conv' && shape[3] === 1 && channels !== undefined && channels > 1 ? 'depthwise' : kind,
    shape: order.map((axis) => shape[axis]) as ConvLayer['shape'],
    dtype,
    read: () => permuteAxes(read(), shape, order),
  };
}

/** Follows a tensor back to its constant through operators that only rearrange it; a string says why not. */
function resolve(model: Model, subgraph: Subgraph, index: number, depth: number): Weights | string {
  if (index < 0) return 'it has no weights';
  if (depth > DEEPEST) return `more than ${DEEPEST} operators lie between its weights and their constant`;
  const tensor = subgraph.tensors.at(index);
  const data = dataOf(model, tensor);
  if (data.length > 0) return constant(model, tensor, data);
  const producer = subgraph.producers.get(index);
  if (!producer) return 'its weights are an input of the graph, not a constant';
  if (producer.type === 'DENSIFY') return 'sparse weights are not read';
  if (!['DEQUANTIZE', 'RESHAPE', 'TRANSPOSE'].includes(producer.type))
    return `its weights are computed (${shown(producer.type)})`;
  const inputs = producer.operator.numbers(OPERATOR.inputs, 'i32');
  if (inputs.length === 0) return `its weights are computed (${producer.type} of nothing)`;
  const from = resolve(model, subgraph, inputs.at(0), depth + 1);
  if (typeof from === 'string' || producer.type === 'DEQUANTIZE') return from;
  const count = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  if (producer.type === 'RESHAPE') {
    const shape = shapeOf(tensor);
    if (!shape || count(shape) !== count(from.shape)) return `a Reshape of [${from.shape}] to [${shape}]`;
    return { ...from, shape };
  }
  const order = inputs.length > 1 ? axesOf(model, subgraph.tensors.at(inputs.at(1))) : undefined;
  if (!order || [...order].sort((a, b) => a - b).join() !== from.shape.map((_, axis) => axis).join())
    return `a Transpose of [${from.shape}] whose axes are not constant`;
  return {
    ...from,
    shape: order.map((axis) => from.shape[axis]),
    read: () => permuteAxes(from.read(), from.shape, order),
  };
}

/** Undefined when it cannot be a shape of weights. */
function shapeOf(tensor: Table): number[] | undefined {
  const shape = tensor.numbers(TENSOR.shape, 'i32');
  if (shape.length > 8) return undefined;
  const sizes = Array.from({ length: shape.length }, (_, axis) => shape.at(axis));
  const fits = sizes.every((n) => n > 0) && Number.isSafeInteger(sizes.reduce((a, b) => a * b, 1));
  return fits ? sizes : undefined;
}

/** Where the data of a tensor lie; of no length where it has none. */
function dataOf({ buffers, source }: Model, tensor: Table): { offset: number; length: number } {
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
  { source }: Model,
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
  const count = shape.reduce((a, b) => a * b, 1);
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
    const inner = shape.slice(dimension + 1).reduce((a, b) => a * b, 1);
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
function axesOf(model: Model, tensor: Table): number[] | undefined {
  const { offset, length } = dataOf(model, tensor);
  if (tensor.number(TENSOR.type, 'i8') !== 2 || length === 0 || length > 32 || length % 4 !== 0)
    return undefined;
  return [...new Int32Array(model.source.read(offset, length).buffer)];
}

/** What wrote the file, and the licence it states, where it says so. Damage here costs nothing but these. */
function origin(root: Table, model: Model): Pick<ModelLayers, 'producer' | 'licence'> {
  try {
    const inside = (name: string): Table | undefined => {
      const entries = root.tables(MODEL.metadata);
      for (let i = 0; i < Math.min(entries.length, 64); i++) {
        if (entries.at(i).text(METADATA.name) !== name) continue;
        const { data } = BUFFER;
        const { offset, length } = model.buffers.at(entries.at(i).number(METADATA.buffer, 'u32')).bytes(data);
        return rootTable(partOf(model.source, offset, length));
      }
      return undefined;
    };
    const version = inside('CONVERSION_METADATA')?.table(0)?.text(0);
    const producer = version ? `TensorFlow ${version}` : root.text(MODEL.description);
    const licence = inside('TFLITE_METADATA')?.text(5, 20_000);
    return { ...(producer && { producer }), ...(licence && { licence }) };
  } catch (error) {
    if (error instanceof DwpError) return {};
    throw error;
  }
}
