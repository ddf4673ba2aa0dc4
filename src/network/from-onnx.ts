// A classifier of an ONNX graph → the description of a network, and the graph's own weights by the names of its layers.
// Pure: constants have been read before.
import { type Arrays, f32, type NdArray } from '../engine/index.js';
import { usageError } from '../errors.js';
import type { OnnxNode } from '../importers/onnx-file.js';
import type { Architecture } from './architecture.js';
import type { Layer } from './layer.js';
import { operators } from './onnx-operators.js';
import { type ClassifierGraph, type OnnxNetwork, Reader } from './onnx-reader.js';

import { kindOf } from './weights.js';

/**
 * @param file its name, for messages
 * @throws DwpError USAGE for an operator that is not known, with its node, and for what is no classifier
 */
export function networkFromOnnx(graph: ClassifierGraph, file: string): OnnxNetwork {
  const reader = new Reader(graph, file, operators);
  const last = graph.nodes.at(-1);
  for (const node of graph.nodes) {
    if (
      /Softmax$/.test(node.type) &&
      !(node === last || graph.outputs.includes(node.outputs[0]) || isRenamed(graph, node))
    )
      throw usageError(
        `${file}: node ${node.name} (${node.type}): it is not the end of the network`,
        'give a classifier',
      );
    reader.node(node);
  }
  return reader.result();
}

/** Whether nothing is done with a node's output but giving it the name of an output of the graph. */
const isRenamed = ({ nodes, outputs }: ClassifierGraph, { outputs: [made] }: OnnxNode): boolean =>
  nodes
    .filter(({ inputs }) => inputs.includes(made))
    .every(({ type, outputs: [name] }) => type === 'Identity' && outputs.includes(name));

/**
 * The graph's own arrays for a network made of it. Features of flattened images may be [c, h, w] in the graph, and are
 * [h, w, c] here; a number that stands for all channels is repeated.
 * @returns `layer.part`; shapes differ where the network is for other images or classes
 */
export function graphArrays(
  architecture: Architecture,
  { arrays, channelsFirst }: Pick<OnnxNetwork, 'arrays' | 'channelsFirst'>,
): Arrays {
  const result: Record<string, NdArray> = {};
  for (const layer of architecture.layers) {
    const shapes = kindOf(layer).parameters(layer);
    for (const [name, array] of Object.entries(arrays)) {
      if (!name.startsWith(`${layer.name}.`)) continue;
      const shape = shapes[name.slice(layer.name.length + 1)]?.shape ?? array.shape;
      result[name] = orderedFeatures(architecture, layer, repeated(array, shape), channelsFirst);
    }
  }
  return result;
}

/** One number as an array of a shape; other arrays as they are. */
function repeated(array: NdArray, shape: readonly number[]): NdArray {
  if (array.data.length !== 1 || shape.length !== 1) return array;
  return f32(shape, new Float32Array(shape[0]).fill(array.data[0]));
}

function orderedFeatures(
  architecture: Architecture,
  layer: Layer,
  array: NdArray,
  channelsFirst: ReadonlySet<string>,
): NdArray {
  const image = flattened(architecture, layer, channelsFirst);
  const axis = layer.kind === 'dense' ? 1 : 0;
  if (!image || (layer.kind === 'dense' && array.shape.length < 2)) return array;
  const [h, w, c] = image;
  const features = h * w * c;
  if (array.shape[axis] !== features) return array;
  const data = Float32Array.from(array.data, (_, i) => {
    const feature = i % features; // (row · w + column) · c + channel
    const channel = feature % c;
    return array.data[i - feature + channel * h * w + (feature - channel) / c];
  });
  return f32(array.shape, data);
}

/** The image that a layer's input is a vector of, where its features are in another order in the graph. */
function flattened(
  { layers }: Architecture,
  layer: Layer,
  channelsFirst: ReadonlySet<string>,
): readonly number[] | undefined {
  const byName = new Map(layers.map((each) => [each.name, each]));
  for (let at = byName.get(layer.inputs[0]); at; at = byName.get(at.inputs[0])) {
    if (at.kind === 'flatten')
      return channelsFirst.has(at.name) && at.inputShapes[0].length === 3 ? at.inputShapes[0] : undefined;
    if (at.inputShapes[0].length !== 1 || at.kind === 'dense' || at.kind === 'concat') return undefined;
  }
  return undefined;
}
