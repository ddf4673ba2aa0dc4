// A trained network as an ONNX model with its weights' posterior means: images [batch, c, h, w] in [0, 1] → logits.
// Of a posterior with components, the networks at their means predict together.
import { encodeOnnx, Graph, type Value } from '../engine/index.js';
import { type Architecture, IMAGES, kindOf } from '../network/index.js';
import type { PlainWeights } from './plain-weights.js';

/** @param components weights of each component m of (120) */
export function networkToOnnx(architecture: Architecture, components: PlainWeights[]): Uint8Array {
  const { name, input, classes } = architecture;
  const g = new Graph();
  const images = g.input(IMAGES, [-1, input.channels, input.height, input.width], 'float32');
  const logits = components.map((weights) => logitsOf(g, images, architecture, weights));
  if (logits.length === 1) return encodeOnnx(g, [['logits', logits[0]]], name);
  // log (1/M) Σ_m softmax(logits_m): its softmax are the mean probabilities
  const probabilities = logits.map((x) => g.emit1('Softmax', [x], x.shape, { axis: -1 }));
  const mean = g.emit1('Mean', probabilities, [-1, classes]);
  return encodeOnnx(g, [['logits', g.emit1('Log', [mean], [-1, classes])]], name);
}

function logitsOf(g: Graph, images: Value, { layers }: Architecture, weights: PlainWeights): Value {
  const made = new Map<string, Value>([[IMAGES, images]]);
  for (const layer of layers) {
    const inputs = layer.inputs.map((name) => made.get(name)!);
    made.set(layer.name, kindOf(layer).toOnnx(g, layer, inputs, weights[layer.name] ?? {}));
  }
  return made.get(layers.at(-1)!.name)!;
}
