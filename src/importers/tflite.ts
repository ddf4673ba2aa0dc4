// TensorFlow Lite models: the weights of CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV, float or quantised.
import { DwpError, inputError } from '../errors.js';
import { rootTable, type Table, type Vector } from '../formats/flatbuffers.js';
import { type ByteSource, partOf, shown } from '../formats/source.js';
import { foldPairs } from './fold-batch-norm.js';
import type { Importer, ReadOptions } from './importer.js';
import { type ConvLayer, type LayerKind, type ModelLayers, permuteAxes } from './layers.js';
import { seenTensors } from './seen-tensors.js';
import { type TfliteGraph, tflitePairs } from './tflite-fold.js';
import {
  BUFFER,
  dataOf,
  OPERATOR,
  resolve,
  type Storage,
  type Subgraph,
  shapeOf,
  TENSOR,
} from './tflite-tensors.js';

const SIGNATURE = 'TFL3'; // after the four bytes that lead to the root table

export const tflite: Importer = {
  format: 'tflite',
  title: 'TensorFlow Lite',
  extensions: ['.tflite'],
  sharedExtensions: ['.lite', '.tfl'],
  recognises: (head, path) =>
    new TextDecoder('latin1').decode(head.subarray(4, 8)) === SIGNATURE ||
    path.toLowerCase().endsWith('.tflite'),
  read: async (source, options) => readTflite(source, options),
};

// Numbers of fields in TensorFlow Lite's schema
const MODEL = { codes: 1, subgraphs: 2, description: 3, buffers: 4, metadata: 6 };
const CODE = { oldBuiltin: 0, custom: 1, builtin: 3 };
const SUBGRAPH = { tensors: 0, outputs: 2, operators: 3 };
const METADATA = { name: 0, buffer: 1 };

const OPERATORS: Readonly<Record<number, string>> = {
  0: 'ADD',
  1: 'AVERAGE_POOL_2D',
  2: 'CONCATENATION',
  3: 'CONV_2D',
  4: 'DEPTHWISE_CONV_2D',
  6: 'DEQUANTIZE',
  9: 'FULLY_CONNECTED',
  17: 'MAX_POOL_2D',
  18: 'MUL',
  19: 'RELU',
  21: 'RELU6',
  22: 'RESHAPE',
  34: 'PAD',
  37: 'BATCH_TO_SPACE_ND',
  39: 'TRANSPOSE',
  41: 'SUB',
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

const MOST_OPERATORS = 50_000;
const MOST_CODES = 10_000;

interface TfliteModel extends Storage {
  layers: ConvLayer[];
  skipped: ModelLayers['skipped'];
  /** Layers by where their weights lie in the file: shared weights count once. */
  seen: Map<number, ConvLayer>;
  bytes: number;
}

/** @throws DwpError INPUT when the file is no TensorFlow Lite model, or is damaged */
function readTflite(source: ByteSource, { foldBatchNorm }: ReadOptions = {}): ModelLayers {
  const { path } = source;
  if (source.size < 8 || new TextDecoder('latin1').decode(source.read(4, 4)) !== SIGNATURE)
    throw inputError(`${path}: not a TensorFlow Lite model`, 'check that this is the right file');
  const root = rootTable(source);
  const codes = operatorTypes(root.tables(MODEL.codes), path);
  const buffers = root.tables(MODEL.buffers);
  const model: TfliteModel = { source, buffers, layers: [], skipped: [], seen: new Map(), bytes: 0 };
  const subgraphs = root.tables(MODEL.subgraphs);
  const graphs: TfliteGraph[] = [];
  let operators = 0;
  for (let i = 0; i < subgraphs.length; i++) {
    const subgraph = subgraphs.at(i);
    const list = subgraph.tables(SUBGRAPH.operators);
    operators += list.length + 1;
    if (operators > MOST_OPERATORS)
      throw inputError(`${path}: more than ${MOST_OPERATORS} operators`, 'fetch or export it again');
    const outputs = subgraph.numbers(SUBGRAPH.outputs, 'i32');
    graphs.push({
      ...readSubgraph(model, subgraph.tables(SUBGRAPH.tensors), list, codes),
      outputs: Array.from({ length: Math.min(outputs.length, MOST_OPERATORS) }, (_, j) => outputs.at(j)),
    });
  }
  const { layers, skipped } = model;
  const read: ModelLayers = {
    ...{ layers, skipped },
    ...(layers.length === 0 && { advice: adviceFor(model, graphs) }),
    ...origin(root, model),
  };
  if (!foldBatchNorm) return read;
  const { pairs, left } = tflitePairs(model, graphs, model.seen);
  return foldPairs(read, pairs, left);
}

const MOST_TENSORS = 50_000;

/** Where there are no layers: the constants of the file, and what to do. */
function adviceFor(model: TfliteModel, graphs: readonly TfliteGraph[]): string {
  const constants: { name: string; shape: number[] }[] = [];
  for (const { subgraph } of graphs)
    for (let i = 0; i < Math.min(subgraph.tensors.length, MOST_TENSORS); i++) {
      const tensor = subgraph.tensors.at(i);
      const shape = dataOf(model, tensor).length > 0 ? shapeOf(tensor) : undefined;
      if (shape && constants.length < MOST_TENSORS)
        constants.push({ name: tensor.text(TENSOR.name) ?? '', shape });
    }
  const reasons = model.skipped.map(({ reason }) => reason);
  const some = (pattern: RegExp) => reasons.some((reason) => pattern.test(reason));
  const what = some(/sparse/)
    ? 'convert the model without sparsity'
    : some(/computed|input of the graph|without a scale|scales and/)
      ? 'convert the model again with its variables frozen (TFLiteConverter of a SavedModel), in float32'
      : some(/3-D|dimensions|are not read/)
        ? 'use the model that it was converted from, or one with 2-D convolutions'
        : 'none is the weights of CONV_2D, DEPTHWISE_CONV_2D or TRANSPOSE_CONV: use a model with 2-D convolutions, or the one that this was converted from';
  return `${seenTensors(constants)}; ${what}`;
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

function readSubgraph(
  model: TfliteModel,
  tensors: Vector<Table>,
  operators: Vector<Table>,
  codes: string[],
): Omit<TfliteGraph, 'outputs'> {
  const subgraph: Subgraph = { tensors, producers: new Map() };
  const convolutions: { operator: Table; type: string; index: number }[] = [];
  const all: TfliteGraph['operators'] = [];
  for (let index = 0; index < operators.length; index++) {
    const operator = operators.at(index);
    const type = codes[operator.number(OPERATOR.code, 'u32')];
    if (type === undefined)
      throw inputError(`${model.source.path}: damaged: operator ${index} is of no kind`, 'fetch it again');
    all.push({ operator, type });
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
  return { subgraph, operators: all };
}

/** The layer, a reason why it cannot be had, or undefined when its weights are in the list already. */
function readConvolution(
  model: TfliteModel,
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
  model.bytes += length;
  if (model.bytes > model.source.size)
    throw inputError(
      `${model.source.path}: damaged: the weights of its layers overlap`,
      'fetch or export it again',
    );
  // a grouped convolution has fewer inputs per filter than its input has channels
  const channels = type === 'CONV_2D' ? shapeOf(subgraph.tensors.at(inputs.at(0)))?.[3] : undefined;
  const layer: ConvLayer = {
    name,
    kind: kind === 'conv' && shape[3] === 1 && channels !== undefined && channels > 1 ? 'depthwise' : kind,
    shape: order.map((axis) => shape[axis]) as ConvLayer['shape'],
    dtype,
    read: () => permuteAxes(read(), shape, order),
  };
  model.seen.set(offset, layer);
  return layer;
}

/** What wrote the file, and the licence it states, where it says so. Damage here costs nothing but these. */
function origin(root: Table, model: TfliteModel): Pick<ModelLayers, 'producer' | 'licence'> {
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
