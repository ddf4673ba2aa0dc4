// Graphs of TensorFlow as TensorFlow.js stores them: the weights of convolution nodes, followed to their constants.
import { shown } from '../formats/source.js';
import { fieldsOf, listOf, textOf } from '../formats/untyped.js';
import { type ConvLayer, type LayerKind, type ModelLayers, permuteAxes } from './layers.js';
import type { StoredWeight } from './tfjs-weights.js';

interface GraphNode {
  name: string;
  op: string;
  inputs: string[];
}

type Nodes = Map<string, GraphNode>;

/** How the weights of a node, always its second input, are laid out. */
const CONVOLUTIONS: Readonly<Record<string, LayerKind>> = {
  Conv2D: 'conv',
  FusedConv2D: 'conv',
  _FusedConv2D: 'conv',
  DepthwiseConv2d: 'depthwise',
  DepthwiseConv2dNative: 'depthwise',
  FusedDepthwiseConv2dNative: 'depthwise',
  Conv2DBackpropInput: 'transposed',
};

const OTHER_RANKS: Readonly<Record<string, number>> = {
  Conv1D: 1,
  Conv3D: 3,
  Conv3DBackpropInput: 3,
  Conv3DBackpropInputV2: 3,
};

/** What only passes a value on, or rounds it. */
const PASSES = new Set([
  'Identity',
  'ReadVariableOp',
  'Cast',
  'StopGradient',
  'Enter',
  'Snapshot',
  'CheckNumerics',
]);

const DEEPEST = 16; // nodes between a constant and its convolution

/** @param topology the parsed GraphDef: `{ node: […], library: { function: [{ nodeDef: […] }] } }` */
export function graphLayers(topology: unknown, weights: ReadonlyMap<string, StoredWeight>): ModelLayers {
  const result: ModelLayers = { layers: [], skipped: [] };
  const seen = new Set<string>();
  const graph = fieldsOf(topology);
  const bodies = listOf(fieldsOf(graph.library).function).map((body) => fieldsOf(body).nodeDef);
  for (const body of [graph.node, ...bodies]) {
    const nodes = readNodes(body);
    for (const node of nodes.values()) {
      const layer = readConvolution(node, nodes, weights, seen);
      if (typeof layer === 'string') result.skipped.push({ layer: node.name, reason: layer });
      else if (layer) result.layers.push(layer);
    }
  }
  return result;
}

/** The layer, a reason why it cannot be had, or undefined when there is none, or its weights are in the list already. */
function readConvolution(
  { name, op, inputs }: GraphNode,
  nodes: Nodes,
  weights: ReadonlyMap<string, StoredWeight>,
  seen: Set<string>,
): ConvLayer | string | undefined {
  if (Object.hasOwn(OTHER_RANKS, op)) return `a ${OTHER_RANKS[op]}-D convolution`;
  if (!Object.hasOwn(CONVOLUTIONS, op))
    return /conv(?!ert)/i.test(op) ? `nodes ${shown(op)} are not read` : undefined;
  const found = resolve(inputs[1], nodes, weights, 0);
  if (typeof found === 'string') return found;
  if (seen.has(found.source)) return undefined;
  seen.add(found.source);
  return tensorflowLayer(name, CONVOLUTIONS[op], found);
}

function readNodes(list: unknown): Nodes {
  const nodes: Nodes = new Map();
  for (const entry of listOf(list)) {
    const { name, op, input } = fieldsOf(entry);
    if (typeof name !== 'string' || typeof op !== 'string') continue;
    // 'node', 'node:1' or in a function 'node:output:0'; '^node', an order and no value, comes last
    const inputs = listOf(input).map((from) => (textOf(from) ?? '').split(':')[0]);
    nodes.set(name, { name, op, inputs });
  }
  return nodes;
}

/** Weights in TensorFlow's layout. */
export interface TensorflowWeights {
  shape: number[];
  dtype: string;
  read(): Float32Array;
}

type Resolved = TensorflowWeights & { source: string };

/** Follows a value back to its constant through nodes that only rearrange it; a string says why not. */
function resolve(
  name: string | undefined,
  nodes: Nodes,
  weights: ReadonlyMap<string, StoredWeight>,
  depth: number,
): Resolved | string {
  if (name === undefined) return 'it has no weights';
  if (depth > DEEPEST) return `more than ${DEEPEST} nodes lie between its weights and their constant`;
  const weight = weights.get(name);
  if (weight) return stored(weight);
  const node = nodes.get(name);
  if (!node || node.op.startsWith('Placeholder')) return 'its weights are an input of the graph';
  if (node.op === 'Const') return `the manifest has no weights ${shown(name)}`;
  const from = () => resolve(node.inputs[0], nodes, weights, depth + 1);
  if (PASSES.has(node.op)) return from();
  if (!['Reshape', 'Transpose', 'ExpandDims'].includes(node.op))
    return `its weights are computed (${shown(node.op)})`;
  const value = from();
  if (typeof value === 'string') return value;
  const { shape } = value;
  if (node.op === 'ExpandDims')
    return shape.length === 3 ? 'a 1-D convolution' : `an ExpandDims of its weights [${shape}]`;
  const numbers = integers(node.inputs[1], nodes, weights);
  if (!numbers) return `a ${node.op} of its weights by what is not constant`;
  if (node.op === 'Transpose') {
    if ([...numbers].sort((a, b) => a - b).join() !== shape.map((_, axis) => axis).join())
      return `a Transpose with the axes [${numbers}] of weights [${shape}]`;
    return {
      ...value,
      shape: numbers.map((axis) => shape[axis]),
      read: () => permuteAxes(value.read(), shape, numbers),
    };
  }
  const count = shape.reduce((a, b) => a * b, 1);
  const known = numbers.reduce((a, n) => (n === -1 ? a : a * n), 1);
  const target = numbers.map((n) => (n === -1 ? count / known : n));
  const fits =
    target.every((n) => Number.isInteger(n) && n > 0) && target.reduce((a, b) => a * b, 1) === count;
  return fits ? { ...value, shape: target } : `a Reshape of its weights [${shape}] to [${numbers}]`;
}

/** A weight to be read later; its file is looked at now. */
export function stored(weight: StoredWeight): Resolved | string {
  if (weight.type !== 'float32') return `its weights are ${shown(weight.type)}, not float`;
  const read = weight.open();
  return { ...weight, source: weight.name, read: () => weight.decode(read()) };
}

/** A small constant of int32: axes, or a shape. */
function integers(
  name: string | undefined,
  nodes: Nodes,
  weights: ReadonlyMap<string, StoredWeight>,
): number[] | undefined {
  const node = nodes.get(name ?? '');
  const weight = weights.get((node?.op === 'Identity' ? node.inputs[0] : name) ?? '');
  if (weight?.dtype !== 'int32' || weight.shape.length !== 1 || weight.shape[0] > 8) return undefined;
  return [...new Int32Array(weight.open()().buffer)];
}

/** TensorFlow's [h, w, in, out], transposed [h, w, out, in], depthwise [h, w, channels, multiplier]. */
export function tensorflowLayer(
  name: string,
  kind: LayerKind,
  weights: TensorflowWeights,
): ConvLayer | string {
  const { shape, dtype, read } = weights;
  if (shape.length !== 4) return `its weights have ${shape.length} dimensions`;
  if (shape.includes(0)) return `its weights [${shape}] are empty`;
  const [h, w, third, fourth] = shape;
  const order = kind === 'conv' ? [3, 2, 0, 1] : [2, 3, 0, 1];
  return {
    name,
    kind,
    shape:
      kind === 'conv'
        ? [fourth, third, h, w]
        : kind === 'depthwise'
          ? [third * fourth, 1, h, w]
          : [third, fourth, h, w],
    dtype,
    read: () => permuteAxes(read(), shape, order),
  };
}
