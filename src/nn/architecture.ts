// Target networks as plain data: a list of layers, and one forward pass that any kind of weights can go through.
import { tf } from '../engine/index.js';

export interface ConvLayer {
  kind: 'conv';
  name: string;
  /** [out, in, h, w] */
  shape: readonly [number, number, number, number];
  pad: 'valid' | 'same';
  /** Input channels that one kernel of its prior spans: consecutive ones of an output. 1 unless given. */
  span?: number;
  /** Height and width of its input, and of its output. */
  inputSize: readonly [number, number];
  outputSize: readonly [number, number];
  /** Whether a bias is added to each output channel; true where it is left out. */
  biased?: boolean;
}

export interface DenseLayer {
  kind: 'dense';
  name: string;
  /** [in, out] */
  shape: readonly [number, number];
  /** Its weights have a prior and a posterior, as those of convolutions do; else they are ordinary parameters. */
  random?: boolean;
  /** As of convolutions. */
  biased?: boolean;
}

/** A layer whose weights a posterior can have: a dense one counts as a convolution with kernels of 1×1. */
export type WeightLayer = ConvLayer | DenseLayer;

export type Layer =
  | ConvLayer
  | DenseLayer
  | { kind: 'leakyRelu'; slope: number }
  | { kind: 'maxPool'; size: number }
  | { kind: 'flatten' };

export interface ImageShape {
  height: number;
  width: number;
  channels: number;
}

export interface Architecture {
  name: string;
  input: ImageShape;
  classes: number;
  layers: readonly Layer[];
}

export const convLayers = ({ layers }: Architecture): ConvLayer[] =>
  layers.filter((layer) => layer.kind === 'conv');
export const denseLayers = ({ layers }: Architecture): DenseLayer[] =>
  layers.filter((layer) => layer.kind === 'dense');

/** Layers whose weights are random, in the order of the network. */
export const randomLayers = ({ layers }: Architecture): WeightLayer[] =>
  layers.filter((layer): layer is WeightLayer =>
    layer.kind === 'dense' ? layer.random === true : layer.kind === 'conv',
  );

/** The same network with random weights in its dense layers, too. */
export const withRandomDense = (architecture: Architecture): Architecture => ({
  ...architecture,
  layers: architecture.layers.map((layer) => (layer.kind === 'dense' ? { ...layer, random: true } : layer)),
});

export const isBiased = ({ biased }: WeightLayer): boolean => biased !== false;

/** Shape of a layer's weights as a posterior holds them, [out, in, h, w]. */
export const kernelShape = (layer: WeightLayer): readonly [number, number, number, number] =>
  layer.kind === 'conv' ? layer.shape : [layer.shape[1], layer.shape[0], 1, 1];

/**
 * How a layer's weights [out, in, h, w] are the kernels [n, d] of its prior: in rows of d = span·h·w numbers, since
 * consecutive input channels lie side by side (101).
 */
export function kernelLayout(layer: WeightLayer): { count: number; length: number } {
  const [out, inputs, h, w] = kernelShape(layer);
  const span = (layer.kind === 'conv' && layer.span) || 1;
  return { count: (out * inputs) / span, length: span * h * w };
}

/** The same network, in which kernels of the named layers span several input channels each. */
export const withSpans = (
  architecture: Architecture,
  spans: Readonly<Record<string, number | undefined>>,
): Architecture => ({
  ...architecture,
  layers: architecture.layers.map((layer) => {
    const span = layer.kind === 'conv' ? (spans[layer.name] ?? 1) : 1;
    return span > 1 ? { ...layer, span } : layer;
  }),
});

/** Shape of what a layer makes of one example: [h, w, out], or [out]. */
export const outputShape = (layer: WeightLayer): readonly number[] =>
  layer.kind === 'conv' ? [...layer.outputSize, layer.shape[0]] : [layer.shape[1]];

/** How the layers with weights act; a posterior says it for those that are random. */
export interface WeightedLayers {
  conv(layer: ConvLayer, x: tf.Tensor4D): tf.Tensor4D;
  dense(layer: DenseLayer, x: tf.Tensor2D): tf.Tensor2D;
}

/** Images [n, h, w, c] → logits [n, classes]. */
export function forward(
  { layers }: Architecture,
  images: tf.Tensor4D,
  weighted: WeightedLayers,
): tf.Tensor2D {
  const out = layers.reduce<tf.Tensor>((x, layer) => {
    switch (layer.kind) {
      case 'conv':
        return weighted.conv(layer, x as tf.Tensor4D);
      case 'dense':
        return weighted.dense(layer, x as tf.Tensor2D);
      case 'leakyRelu':
        return tf.leakyRelu(x, layer.slope);
      case 'maxPool':
        return tf.maxPool(x as tf.Tensor4D, layer.size, layer.size, 'valid');
      case 'flatten':
        return tf.reshape(x, [x.shape[0], -1]);
    }
    throw new Error(`unknown layer ${JSON.stringify(layer)}`);
  }, images);
  return out as tf.Tensor2D;
}

/** x through a layer with the given weights [out, in, h, w], without its bias. */
export function applyWeights(layer: WeightLayer, x: tf.Tensor, weights: tf.Tensor): tf.Tensor {
  if (layer.kind === 'conv') return convolve(layer, x as tf.Tensor4D, weights);
  const matrix = tf.reshape(weights, [layer.shape[1], layer.shape[0]]) as tf.Tensor2D;
  return tf.matMul(x as tf.Tensor2D, matrix, false, true);
}

/** x [n, h, w, in] ⋆ weights [out, in, kh, kw] → [n, h', w', out]. */
export function convolve({ pad }: ConvLayer, x: tf.Tensor4D, weights: tf.Tensor): tf.Tensor4D {
  return tf.conv2d(x, tf.transpose(weights as tf.Tensor4D, [2, 3, 1, 0]), 1, pad);
}
