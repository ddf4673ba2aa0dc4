// Images through a network, whatever its weights are: the one place where layers follow each other.
import { type Specs, type Tensors, tf } from '../engine/index.js';
import type { Architecture } from './architecture.js';
import { IMAGES, type Layer, type Mode } from './layer.js';
import { layerPart, parameterKey, withKeys } from './parameter-keys.js';
import { isBiased, kindOf } from './weights.js';

export interface ForwardContext {
  /** Ordinary parameters, `layer.part`: biases, weights [in, out] of dense layers that are not random, scales. */
  parameters: Tensors;
  /** Running averages, `layer.part`; they are among the parameters where nothing is said. */
  state?: Tensors;
  /** `prediction` where nothing is said. */
  mode?: Mode;
  /** Of training alone: standard normals of layers, `layer.part`. */
  noise?: Tensors;
  /** x through a layer with random weights, without its bias. */
  random(layer: Layer, x: tf.Tensor): tf.Tensor;
}

/**
 * @param images [n, h, w, c]
 * @returns outputs of the last layer [n, classes], and in training the next running averages, `layer.part`; in the mode
 *   `statistics` those of this batch
 */
export function forward(
  { layers }: Pick<Architecture, 'layers'>,
  images: tf.Tensor4D,
  { parameters, state = parameters, mode = 'prediction', noise = {}, random }: ForwardContext,
): { outputs: tf.Tensor2D; averages: Tensors } {
  const made = new Map<string, tf.Tensor>([[IMAGES, images]]);
  const next: Record<string, tf.Tensor> = {};
  for (const layer of layers) {
    const kind = kindOf(layer);
    const inputs = layer.inputs.map((name) => made.get(name)!);
    if (kind.weights) {
      const [x] = inputs;
      const out = layer.random
        ? random(layer, x)
        : tf.matMul(x as tf.Tensor2D, parameters[parameterKey(layer, 'kernel')] as tf.Tensor2D);
      made.set(layer.name, isBiased(layer) ? tf.add(out, parameters[parameterKey(layer, 'bias')]) : out);
      continue;
    }
    const result = kind.apply!(layer, inputs, {
      parameters: layerPart(parameters, layer),
      state: layerPart(state, layer),
      noise: layerPart(noise, layer),
      mode,
    });
    made.set(layer.name, result.output);
    Object.assign(next, withKeys(result.state ?? {}, layer));
  }
  return { outputs: made.get(layers.at(-1)!.name) as tf.Tensor2D, averages: next };
}

/** Outputs [n, classes] of a network that is not being trained. */
export const networkLogits = (
  architecture: Pick<Architecture, 'layers'>,
  context: Omit<ForwardContext, 'mode' | 'noise'>,
  images: tf.Tensor4D,
): tf.Tensor2D => forward(architecture, images, context).outputs;

/** Standard normals that layers without weights need for a batch of training, `layer.part`. */
export const layerNoise = ({ layers }: Architecture, batch: number): Specs =>
  Object.assign({}, ...layers.map((layer) => withKeys(kindOf(layer).noise?.(layer, batch) ?? {}, layer)));

/** Σ_b log p(y_b | x_b), nats, of logits [b, classes] and labels [b]. */
export function logLikelihood(logits: tf.Tensor2D, labels: tf.Tensor1D): tf.Scalar {
  return tf.sum(tf.mul(tf.logSoftmax(logits), tf.oneHot(labels, logits.shape[1]))) as tf.Scalar;
}
