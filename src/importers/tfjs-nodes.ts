// Nodes of TensorFlow graphs as TensorFlow.js stores them, and the constants that their inputs lead to.
import { sizeOf } from '../formats/shape.js';
import { shown } from '../formats/source.js';
import { fieldsOf, listOf, textOf } from '../formats/untyped.js';
import { permuteAxes } from './layers.js';
import type { StoredWeight } from './tfjs-weights.js';

export interface GraphNode {
  name: string;
  op: string;
  inputs: string[];
  attributes: Readonly<Record<string, unknown>>;
}

export type Nodes = Map<string, GraphNode>;

/** What only passes a value on, or rounds it. */
export const PASSES = new Set([
  'Identity',
  'ReadVariableOp',
  'Cast',
  'StopGradient',
  'Enter',
  'Snapshot',
  'CheckNumerics',
]);

const DEEPEST = 16; // nodes between a constant and its convolution

export function readNodes(list: unknown): Nodes {
  const nodes: Nodes = new Map();
  for (const entry of listOf(list)) {
    const { name, op, input, attr } = fieldsOf(entry);
    if (typeof name !== 'string' || typeof op !== 'string') continue;
    // 'node', 'node:1' or in a function 'node:output:0'; '^node', an order and no value, comes last
    const inputs = listOf(input).map((from) => (textOf(from) ?? '').split(':')[0]);
    nodes.set(name, { name, op, inputs, attributes: fieldsOf(attr) });
  }
  return nodes;
}

/** Weights in TensorFlow's layout. */
export interface TensorflowWeights {
  shape: number[];
  dtype: string;
  read(): Float32Array;
}

export type Resolved = TensorflowWeights & { source: string };

/** Follows a value back to its constant through nodes that only rearrange it; a string says why not. */
export function resolve(
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
  const count = sizeOf(shape);
  const known = numbers.reduce((a, n) => (n === -1 ? a : a * n), 1);
  const target = numbers.map((n) => (n === -1 ? count / known : n));
  const fits = target.every((n) => Number.isInteger(n) && n > 0) && sizeOf(target) === count;
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
