// ONNX models: the weights of Conv and ConvTranspose nodes, wherever a constant for them is found.
import { fromBinary } from '@bufbuild/protobuf';
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type TensorProto,
} from 'onnx-buf';
import { inputError, messageOf } from '../errors.js';
import { readAll, shown } from '../formats/source.js';
import type { Importer } from './importer.js';
import { type ConvLayer, type ModelLayers, permuteAxes } from './layers.js';
import { type FloatTensor, readFloatTensor, readIntegers } from './tensor.js';

export const onnx: Importer = {
  format: 'onnx',
  extensions: ['.onnx'],
  // ONNX has no signature; files begin with field 1 (ir_version), a small number
  recognises: (head, path) =>
    path.toLowerCase().endsWith('.onnx') || (head[0] === 0x08 && head[1] < 0x20 && head[2] === 0x12),
  read: async (source) => readOnnx(readAll(source), source.path),
};

/** Where a value of a graph comes from: a stored tensor or a node; outer graphs are looked up after inner ones. */
interface Scope {
  values: Map<string, TensorProto | NodeProto>;
  outer?: Scope;
}

const QUANTISED = new Set(['QLinearConv', 'ConvInteger', 'DequantizeLinear']);
const DEEPEST = 16; // nodes between a constant and its convolution, and graphs inside graphs

/**
 * @param path names the file in errors
 * @throws DwpError INPUT when the bytes are not a complete ONNX model
 */
export function readOnnx(bytes: Uint8Array, path: string): ModelLayers {
  let model: ModelProto;
  try {
    model = fromBinary(ModelProtoSchema, bytes, { readUnknownFields: false });
  } catch (error) {
    throw inputError(
      `${path}: not a complete ONNX model (${messageOf(error)})`,
      'the file may be truncated; fetch or export it again',
      error,
    );
  }
  if (!model.graph)
    throw inputError(`${path}: not an ONNX model (it holds no graph)`, 'check that this is the right file');
  const found: Found = { path, layers: [], skipped: [], seen: new Set() };
  readGraph(model.graph, undefined, found, 0);
  for (const { name, node } of model.functions) readNodes(node, { values: producers(node) }, found, name, 0);
  const licence = model.metadataProps.find(({ key }) => /licen[cs]e/i.test(key))?.value;
  const producer = [model.producerName, model.producerVersion].filter(Boolean).join(' ');
  return {
    layers: found.layers,
    skipped: found.skipped,
    ...(producer && { producer }),
    ...(licence && { licence }),
  };
}

interface Found extends Pick<ModelLayers, 'layers' | 'skipped'> {
  path: string;
  /** Constants that some convolution has used already: shared weights count once. */
  seen: Set<TensorProto>;
}

function readGraph(graph: GraphProto, outer: Scope | undefined, found: Found, depth: number): void {
  const values = producers(graph.node);
  for (const tensor of graph.initializer) values.set(tensor.name, tensor);
  readNodes(graph.node, { values, outer }, found, graph.name, depth);
}

function producers(nodes: readonly NodeProto[]): Scope['values'] {
  const values: Scope['values'] = new Map();
  for (const node of nodes) for (const output of node.output) if (output) values.set(output, node);
  return values;
}

function readNodes(
  nodes: readonly NodeProto[],
  scope: Scope,
  found: Found,
  graphName: string,
  depth: number,
): void {
  nodes.forEach((node, i) => {
    for (const { g, graphs } of node.attribute)
      for (const inner of g ? [g, ...graphs] : graphs) {
        if (depth >= DEEPEST)
          throw inputError(`${found.path}: graphs are nested deeper than ${DEEPEST}`, 'export it again');
        readGraph(inner, scope, found, depth + 1);
      }
    const layer = node.name || node.output[0] || `${graphName}/${node.opType}_${i}`;
    if (node.opType === 'QLinearConv' || node.opType === 'ConvInteger')
      found.skipped.push({ layer, reason: `${node.opType}: quantised weights are not read` });
    if (node.opType !== 'Conv' && node.opType !== 'ConvTranspose') return;
    const weights = resolve(node.input[1] ?? '', scope, found.path, 0);
    if (typeof weights === 'string') found.skipped.push({ layer, reason: weights });
    else if (!found.seen.has(weights.source)) {
      found.seen.add(weights.source);
      const read = toLayer(layer, node, weights);
      if (typeof read === 'string') found.skipped.push({ layer, reason: read });
      else found.layers.push(read);
    }
  });
}

type Resolved = FloatTensor & { source: TensorProto };

/** Follows a value back to its constant through nodes that only rearrange it; a string says why not. */
function resolve(name: string, scope: Scope, path: string, depth: number): Resolved | string {
  const producer = lookUp(name, scope);
  if (!producer) return 'its weights are an input of the graph, not a constant';
  if (depth > DEEPEST) return `more than ${DEEPEST} nodes lie between its weights and their constant`;
  if (producer.$typeName === 'onnx.TensorProto') return stored(producer, path);
  const from = () => resolve(producer.input[0] ?? '', scope, path, depth + 1);
  switch (producer.opType) {
    case 'Constant': {
      const tensor = producer.attribute.find((a) => a.name === 'value')?.t;
      return tensor ? stored(tensor, path) : 'its weights are a Constant that is no dense tensor';
    }
    case 'Identity':
    case 'Cast': // to float of another width: the stored values are the best there are
      return from();
    case 'Transpose': {
      const weights = from();
      if (typeof weights === 'string') return weights;
      const perm = producer.attribute.find((a) => a.name === 'perm')?.ints.map(Number);
      const order = perm?.length ? perm : weights.shape.map((_, axis) => weights.shape.length - 1 - axis);
      if ([...order].sort((a, b) => a - b).join() !== weights.shape.map((_, axis) => axis).join())
        return `a Transpose with the axes [${order}] of weights [${weights.shape}]`;
      const shape = order.map((axis) => weights.shape[axis]);
      return { ...weights, shape, data: permuteAxes(weights.data, weights.shape, order) };
    }
    case 'Reshape': {
      const weights = from();
      if (typeof weights === 'string') return weights;
      const target = integersOf(producer.input[1] ?? '', scope);
      const shape = target && reshaped(weights.shape, target);
      return shape ? { ...weights, shape } : 'a Reshape of its weights to a shape that is not constant';
    }
    default:
      return QUANTISED.has(producer.opType)
        ? 'quantised weights are not read'
        : `its weights are computed (${shown(producer.opType)})`;
  }
}

function lookUp(name: string, scope: Scope | undefined): TensorProto | NodeProto | undefined {
  for (; scope && name; scope = scope.outer) {
    const producer = scope.values.get(name);
    if (producer) return producer;
  }
  return undefined;
}

function stored(tensor: TensorProto, path: string): Resolved | string {
  const read = readFloatTensor(tensor, path);
  return typeof read === 'string' ? read : { ...read, source: tensor };
}

function integersOf(name: string, scope: Scope): number[] | undefined {
  const producer = lookUp(name, scope);
  if (!producer) return undefined;
  const tensor =
    producer.$typeName === 'onnx.TensorProto'
      ? producer
      : producer.opType === 'Constant'
        ? producer.attribute.find((a) => a.name === 'value')?.t
        : undefined;
  return tensor && readIntegers(tensor);
}

/** ONNX's rule: 0 keeps a dimension, one −1 takes the rest. */
function reshaped(shape: readonly number[], target: readonly number[]): number[] | undefined {
  const count = shape.reduce((a, b) => a * b, 1);
  const wanted = target.map((n, axis) => (n === 0 ? shape[axis] : n));
  const known = wanted.reduce((a, n) => (n === -1 ? a : a * n), 1);
  const result = wanted.map((n) => (n === -1 ? count / known : n));
  const fits =
    result.every((n) => Number.isInteger(n) && n >= 0) && result.reduce((a, b) => a * b, 1) === count;
  return fits ? result : undefined;
}

function toLayer(name: string, node: NodeProto, { shape, data, dtype }: FloatTensor): ConvLayer | string {
  if (shape.length !== 4)
    return shape.length === 3 || shape.length === 5
      ? `a ${shape.length - 2}-D convolution`
      : `its weights have ${shape.length} dimensions`;
  const group = Number(node.attribute.find((a) => a.name === 'group')?.i ?? 1n) || 1;
  const [first, second, h, w] = shape;
  if (data.length === 0) return `its weights [${shape}] are empty`;
  if (group < 1 || first % group !== 0) return `${group} groups do not divide its ${first} channels`;
  if (node.opType === 'Conv')
    // second = inputs of a group, so 1 means that every group is one input channel
    return {
      name,
      kind: second === 1 && group > 1 ? 'depthwise' : 'conv',
      shape: [first, second, h, w],
      dtype,
      read: () => data,
    };
  // ConvTranspose: [in, out of a group, h, w] → [group · out of a group, in of a group, h, w]
  const inputs = first / group;
  return {
    name,
    kind: 'transposed',
    shape: [group * second, inputs, h, w],
    dtype,
    read: () => permuteAxes(data, [group, inputs, second, h * w], [0, 2, 1, 3]),
  };
}
