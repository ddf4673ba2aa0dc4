// Which layers of a network have weights, and how these are the kernels of a prior.
import type { Architecture } from './architecture.js';
import { layerKinds } from './kinds/index.js';
import type { Layer, LayerKind, Weighted, WeightShape } from './layer.js';

/** @throws TypeError for a layer that is of no known kind */
export function kindOf(layer: Layer): LayerKind {
  const kind = layerKinds.get(layer.kind);
  if (!kind) throw new TypeError(`layer ${layer.name} is of no known kind: ${layer.kind}`);
  return kind;
}

const weightsOf = (layer: Layer): Weighted<unknown> => {
  const { weights } = kindOf(layer);
  if (!weights) throw new TypeError(`layer ${layer.name} (${layer.kind}) has no weights`);
  return weights;
};

/** Layers with weights, in the order of the network. */
export const weightLayers = ({ layers }: Architecture): Layer[] =>
  layers.filter((layer) => kindOf(layer).weights !== undefined);

/** Whether the layer is a convolution: its weights are kernels wherever it stands. */
export const isConvolution = (layer: Layer): boolean => kindOf(layer).weights?.random === true;

export const convLayers = (architecture: Architecture): Layer[] => architecture.layers.filter(isConvolution);

/** Layers with weights that are no convolutions. */
export const denseLayers = (architecture: Architecture): Layer[] =>
  weightLayers(architecture).filter((layer) => !isConvolution(layer));

/** Layers whose weights are random, in the order of the network. */
export const randomLayers = ({ layers }: Architecture): Layer[] =>
  layers.filter(({ random }) => random === true);

/** The same network with random weights in its dense layers, too. */
export const withRandomDense = (architecture: Architecture): Architecture => ({
  ...architecture,
  layers: architecture.layers.map((layer) => (kindOf(layer).weights ? { ...layer, random: true } : layer)),
});

/** Shape of a layer's weights as a posterior holds them, [out, in of a group, h, w]; of a dense layer [out, in, 1, 1]. */
export const weightShape = (layer: Layer): WeightShape => weightsOf(layer).shape(layer);

/** Channels, or features, that a layer sees. */
export const inputChannels = ({ inputShapes: [input] }: Layer): number => input.at(-1)!;

export const isBiased = (layer: Layer): boolean => 'bias' in kindOf(layer).parameters(layer);

/**
 * How a layer's weights [out, in, h, w] are the kernels [n, d] of its prior: in rows of d = span·h·w numbers, since
 * consecutive input channels lie side by side (101).
 */
export function kernelLayout(layer: Layer): { count: number; length: number } {
  const [out, inputs, h, w] = weightShape(layer);
  const { span = 1 } = layer;
  return { count: (out * inputs) / span, length: span * h * w };
}

/** Kernels of a layer; in a dense one every weight is a kernel of 1×1 (35). */
export const kernelCount = (layer: Layer): number => kernelLayout(layer).count;

/** The same network, in which kernels of the named layers span several input channels each. */
export const withSpans = (
  architecture: Architecture,
  spans: Readonly<Record<string, number | undefined>>,
): Architecture => ({
  ...architecture,
  layers: architecture.layers.map((layer) => {
    const span = isConvolution(layer) ? (spans[layer.name] ?? 1) : 1;
    return span > 1 ? { ...layer, span } : layer;
  }),
});

/** x through a layer with the given weights [out, in, h, w], without its bias. */
export const applyWeights: Weighted<unknown>['apply'] = (layer, x, weights) =>
  weightsOf(layer).apply(layer, x, weights);
