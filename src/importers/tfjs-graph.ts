// Graphs of TensorFlow as TensorFlow.js stores them: the weights of convolution nodes, followed to their constants.
import { shown } from '../formats/source.js';
import { fieldsOf, listOf } from '../formats/untyped.js';
import { foldPairs } from './fold-batch-norm.js';
import { type ConvLayer, type LayerKind, type ModelLayers, permuteAxes } from './layers.js';
import { type GraphConvolution, graphPairs } from './tfjs-graph-fold.js';
import {
  type GraphNode,
  type Nodes,
  type Resolved,
  readNodes,
  resolve,
  type TensorflowWeights,
} from './tfjs-nodes.js';
import type { StoredWeight } from './tfjs-weights.js';

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

/**
 * @param topology the parsed GraphDef: `{ node: […], library: { function: [{ nodeDef: […] }] } }`
 * @param foldBatchNorm whether batch norms are multiplied into the convolutions before them
 */
export function graphLayers(
  topology: unknown,
  weights: ReadonlyMap<string, StoredWeight>,
  foldBatchNorm = false,
): ModelLayers {
  const result: ModelLayers = { layers: [], skipped: [] };
  const layers = new Map<string, ConvLayer>(); // by their weight: one that nodes share counts once
  const convolutions: GraphConvolution[] = [];
  const graph = fieldsOf(topology);
  const functions = listOf(fieldsOf(graph.library).function).map((body) => fieldsOf(body).nodeDef);
  const bodies = [graph.node, ...functions].map(readNodes);
  for (const nodes of bodies)
    for (const node of nodes.values()) {
      const found = weightsOf(node, nodes, weights);
      if (found === undefined) continue;
      if (typeof found === 'string') {
        result.skipped.push({ layer: node.name, reason: found });
        continue;
      }
      convolutions.push({ node, source: found.source });
      if (layers.has(found.source)) continue;
      const layer = tensorflowLayer(node.name, CONVOLUTIONS[node.op], found);
      if (typeof layer === 'string') result.skipped.push({ layer: node.name, reason: layer });
      else {
        layers.set(found.source, layer);
        result.layers.push(layer);
      }
    }
  if (!foldBatchNorm) return result;
  const { pairs, left } = graphPairs(bodies, weights, convolutions, layers);
  return foldPairs(result, pairs, left);
}

/** The weights of a convolution, a reason why they cannot be had, or undefined for another node. */
function weightsOf(
  { op, inputs }: GraphNode,
  nodes: Nodes,
  weights: ReadonlyMap<string, StoredWeight>,
): Resolved | string | undefined {
  if (Object.hasOwn(OTHER_RANKS, op)) return `a ${OTHER_RANKS[op]}-D convolution`;
  if (Object.hasOwn(CONVOLUTIONS, op)) return resolve(inputs[1], nodes, weights, 0);
  return /conv(?!ert)/i.test(op) ? `nodes ${shown(op)} are not read` : undefined;
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
