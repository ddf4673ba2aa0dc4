// What a network's arrays are before training: random weights by Glorot's rule, running averages, other parameters.
import { type Arrays, f32, foldIn, type Key, type NdArray, RandomStream } from '../engine/index.js';
import type { Architecture } from './architecture.js';
import type { Filled, Layer } from './layer.js';
import { parameterKey } from './parameter-keys.js';
import { inputChannels, kindOf, weightShape } from './weights.js';

const filled = ({ shape, start }: Filled): NdArray => {
  const array = f32(shape);
  return { shape, data: start === 0 ? array.data : array.data.fill(start) };
};

/**
 * Trained parameters of a layer beside its weights, by their own names.
 * @param stored what starts otherwise than its kind does, `layer.part`
 */
export const ordinaryParameters = (layer: Layer, stored: Arrays = {}): Arrays =>
  Object.fromEntries(
    Object.entries(kindOf(layer).parameters(layer)).map(([name, array]) => [
      name,
      stored[parameterKey(layer, name)] ?? filled(array),
    ]),
  );

/**
 * Running averages of a network before training, `layer.part`.
 * @param stored as of {@link ordinaryParameters}
 */
export const initialAverages = ({ layers }: Architecture, stored: Arrays = {}): Arrays =>
  Object.fromEntries(
    layers.flatMap((layer) =>
      Object.entries(kindOf(layer).state(layer)).map(([part, array]) => {
        const name = parameterKey(layer, part);
        return [name, stored[name] ?? filled(array)];
      }),
    ),
  );

/** Glorot's normal initialisation of a convolution, [out, in, h, w] (Glorot & Bengio 2010). */
export function xavier(layer: Layer, key: Key): NdArray {
  const shape = weightShape(layer);
  const [out, inputs, h, w] = shape;
  const weights = f32(shape);
  new RandomStream(foldIn(key, layer.name)).fillNormal(weights.data);
  const std = Math.sqrt(2 / ((inputs + out) * h * w));
  for (let i = 0; i < weights.data.length; i++) weights.data[i] *= std;
  return weights;
}

/** `factor` times Glorot's normal initialisation of a dense layer, [in, out]. */
export function glorotDense(layer: Layer, factor: number, key: Key): NdArray {
  const [out] = weightShape(layer);
  const shape = [inputChannels(layer), out];
  const kernel = f32(shape);
  new RandomStream(key).fillNormal(kernel.data);
  const std = factor * Math.sqrt(2 / (shape[0] + shape[1]));
  for (let i = 0; i < kernel.data.length; i++) kernel.data[i] *= std;
  return kernel;
}
