// Target networks as plain data: a list of layers, and one forward pass that any kind of weights can go through.
import { tf } from '../engine/index.js';

export interface ConvLayer {
  kind: 'conv';
  name: string;
  /** [out, in, h, w] */
  shape: readonly [number, number, number, number];
  pad: 'valid' | 'same';
  /** Height and width of its input, and of its output. */
  inputSize: readonly [number, number];
  outputSize: readonly [number, number];
}

export interface DenseLayer {
  kind: 'dense';
  name: string;
  /** [in, out] */
  shape: readonly [number, number];
}

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

/** How the layers with weights act; a posterior says it for convolutions. */
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

/** x [n, h, w, in] ⋆ weights [out, in, kh, kw] → [n, h', w', out]. */
export function convolve({ pad }: ConvLayer, x: tf.Tensor4D, weights: tf.Tensor): tf.Tensor4D {
  return tf.conv2d(x, tf.transpose(weights as tf.Tensor4D, [2, 3, 1, 0]), 1, pad);
}
