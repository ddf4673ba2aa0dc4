// --fold-bn for graph models of TensorFlow.js: FusedBatchNorm nodes, and Mul nodes by a constant for each channel.
import { sizeOf } from '../formats/shape.js';
import { fieldsOf, listOf, textOf } from '../formats/untyped.js';
import { type BatchNorm, DEFAULT_EPSILON } from './fold-batch-norm.js';
import { type GraphPairs, type GraphStep, pairsInGraph } from './graph-fold.js';
import type { ConvLayer } from './layers.js';
import { type GraphNode, type Nodes, PASSES, type Resolved, resolve } from './tfjs-nodes.js';
import type { StoredWeight } from './tfjs-weights.js';

/** A convolution node with the weight that its kernels are stored as. */
export interface GraphConvolution {
  node: GraphNode;
  source: string;
}

const ADDS = new Set(['BiasAdd', 'Add', 'AddV2', 'Sub']);

/**
 * @param bodies the graph, and the functions beside it
 * @param convolutions of all of them
 * @param layers by the weight that they were read from
 */
export function graphPairs(
  bodies: readonly Nodes[],
  weights: ReadonlyMap<string, StoredWeight>,
  convolutions: readonly GraphConvolution[],
  layers: ReadonlyMap<string, ConvLayer>,
): GraphPairs {
  const uses = new Map<string, number>();
  for (const { source } of convolutions) uses.set(source, (uses.get(source) ?? 0) + 1);
  const shared = new Set([...uses].flatMap(([source, count]) => (count > 1 ? [source] : [])));
  const sources = new Map(convolutions.map(({ node, source }) => [node, source]));
  const each = bodies.map((nodes) => {
    const readers = new Map<string, number>();
    for (const { inputs } of nodes.values())
      for (const input of new Set(inputs)) readers.set(input, (readers.get(input) ?? 0) + 1);
    const shifted = new Set(
      [...nodes.values()].flatMap((node) => {
        const shift = ADDS.has(node.op) ? eachChannel(node, nodes, weights) : undefined;
        return shift ? [shift.input] : [];
      }),
    );
    const steps = [...nodes.values()].map((node) =>
      stepOf(node, { nodes, weights, sources, layers, shifted }),
    );
    return pairsInGraph(steps, readers, shared);
  });
  return { pairs: each.flatMap(({ pairs }) => pairs), left: each.flatMap(({ left }) => left) };
}

interface StepContext {
  nodes: Nodes;
  weights: ReadonlyMap<string, StoredWeight>;
  /** Names of the weights of convolutions. */
  sources: ReadonlyMap<GraphNode, string>;
  layers: ReadonlyMap<string, ConvLayer>;
  /** Names of nodes to which a value for each channel is added. */
  shifted: ReadonlySet<string>;
}

function stepOf(node: GraphNode, { nodes, weights, sources, layers, shifted }: StepContext): GraphStep {
  const { name, op, inputs } = node;
  const step: GraphStep = { input: inputs[0] ?? '', output: name, type: op };
  if (/conv(?!ert)/i.test(op)) {
    const source = sources.get(node) ?? '';
    const input = op.startsWith('Conv2DBackprop') ? (inputs[2] ?? '') : step.input;
    const convolution = { layer: layers.get(source), weights: source, activated: isActivated(node) };
    return { ...step, input, convolution };
  }
  if (/^_?FusedBatchNorm/.test(op)) return { ...step, norm: fusedNorm(node, nodes, weights) };
  if (PASSES.has(op) || op === 'BatchToSpaceND') return { ...step, passes: true };
  if (op !== 'Mul' && !ADDS.has(op)) return step;
  const factor = eachChannel(node, nodes, weights);
  if (!factor) return step;
  if (op !== 'Mul') return { ...step, input: factor.input, passes: true };
  const { constant, input } = factor;
  const norm: BatchNorm = { name, channels: constant.shape.at(-1)!, epsilon: 0, gamma: constant.read };
  return { ...step, input, norm, uncertain: !shifted.has(name) };
}

/** Whether a fused convolution ends in anything but an added bias. */
function isActivated({ op, attributes }: GraphNode): boolean {
  if (!/fused/i.test(op)) return false;
  const operations = listOf(fieldsOf(fieldsOf(attributes.fused_ops).list).s);
  return operations.some((encoded) => Buffer.from(textOf(encoded) ?? '', 'base64').toString() !== 'BiasAdd');
}

/** A constant for each channel, and the other input, which it acts on. */
function eachChannel(
  { inputs }: GraphNode,
  nodes: Nodes,
  weights: ReadonlyMap<string, StoredWeight>,
): { constant: Resolved; input: string } | undefined {
  const [left, right] = inputs.filter((input) => !input.startsWith('^'));
  if (left === undefined || right === undefined) return undefined;
  for (const [which, input] of [
    [right, left],
    [left, right],
  ]) {
    const constant = resolve(which, nodes, weights, 0);
    if (typeof constant === 'string') continue;
    const { shape } = constant;
    if (shape.length > 0 && sizeOf(shape) === shape.at(-1)) return { constant, input };
  }
  return undefined;
}

/** Of its inputs x, γ, β, μ and σ²; in a graph that is run it never takes the statistics of the batch. */
function fusedNorm(
  { name, op, inputs, attributes }: GraphNode,
  nodes: Nodes,
  weights: ReadonlyMap<string, StoredWeight>,
): BatchNorm | { name: string; reason: string } {
  const activation = textOf(fieldsOf(attributes.activation_mode).s);
  if (op.startsWith('_') && inputs.length > 5)
    return { name, reason: `it adds another value${activation ? ' before an activation' : ''}` };
  if (fieldsOf(attributes.is_training).b === true)
    return { name, reason: 'it takes the statistics of each batch (is_training)' };
  const [gamma, variance] = [inputs[1], inputs[4]].map((input) => resolve(input, nodes, weights, 0));
  if (typeof gamma === 'string' || typeof variance === 'string')
    return { name, reason: 'its γ or its variance is not constant' };
  const channels = variance.shape[0];
  if (variance.shape.length !== 1 || gamma.shape.join() !== `${channels}`)
    return { name, reason: `γ [${gamma.shape}] and variance [${variance.shape}] do not fit each other` };
  const epsilon = fieldsOf(attributes.epsilon).f;
  const given = typeof epsilon === 'number';
  return {
    ...{ name, channels, gamma: gamma.read, variance: variance.read },
    epsilon: given ? epsilon : DEFAULT_EPSILON.tfjs,
    ...(!given && { assumed: true }),
  };
}
