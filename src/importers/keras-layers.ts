// Which of a Keras layer's weights are kernels, of what kind, and how Keras has laid them out.
// Keras 2 and 3: [h, w, in, out]; depthwise [h, w, channels, multiplier]; transposed [h, w, out, in]. Keras 1 with
// "tf" ordering the same, but transposed [h, w, in, out]; with "th" ordering [out, in, h, w], depthwise [multiplier,
// channels, h, w]. Where Theano computed, kernels are stored for a true convolution, turned by 180°.
import type { Hdf5Dataset } from './hdf5.js';
import type { KerasNode } from './keras-config.js';
import { type ConvLayer, type LayerKind, type ModelLayers, permuteAxes } from './layers.js';

/** Everything that a file stores of one layer. */
export interface KerasOwner {
  /** Path of names, from the outermost model. */
  name: string;
  /** From the configuration, where there is one. */
  node: KerasNode | undefined;
  /** Names that may tell the class when there is no configuration. */
  hints: readonly string[];
  /** By name, or by number in Keras 3; undefined where the file names a weight that is not in it. */
  weights: Map<string | number, Hdf5Dataset | undefined>;
}

export interface KerasOrigin {
  version: string | undefined;
  /** `tensorflow`, `theano`, …; Keras 1 does not record it. */
  backend: string | undefined;
}

/** Weights that a Keras convolution can have besides its bias. */
const KERNELS = /^(kernel|depthwise_kernel|pointwise_kernel|recurrent_kernel|W)$/;

/** @param read the values of a dataset, in its own shape */
export function kerasLayers(
  owners: readonly KerasOwner[],
  origin: KerasOrigin,
  read: (dataset: Hdf5Dataset) => Promise<Float32Array>,
): ModelLayers {
  const result: ModelLayers = { layers: [], skipped: [] };
  const seen = new Set<string>();
  for (const owner of owners) {
    const weights = named(owner);
    for (const [weight, dataset] of weights) {
      if (!dataset) {
        if (KERNELS.test(weight))
          result.skipped.push({ layer: owner.name, reason: `its weight "${weight}" is not in the file` });
        continue;
      }
      if (dataset.shape.length >= 3 && seen.has(dataset.identity)) continue; // shared weights
      seen.add(dataset.identity);
      const layer = toLayer(owner, weight, dataset, weights, origin, read);
      if (typeof layer === 'string') result.skipped.push({ layer: owner.name, reason: layer });
      else if (layer) result.layers.push(layer);
    }
  }
  return result;
}

/** Keras 3 numbers the weights of a layer in the order in which it makes them. */
function named({ weights, node, hints }: KerasOwner): Map<string, Hdf5Dataset | undefined> {
  const told = node?.className ?? hints.join(' ');
  const [first, second] = [weights.get(0)?.shape ?? [], weights.get(1)?.shape ?? []];
  const looksSeparable =
    first.length === 4 &&
    second.length === 4 &&
    second[0] * second[1] === 1 &&
    second[2] === first[2] * first[3];
  let order = ['kernel', 'bias'];
  if (/conv_?lstm/i.test(told)) order = ['kernel', 'recurrent_kernel', 'bias'];
  else if (/separable/i.test(told) || (!node && looksSeparable))
    order = ['depthwise_kernel', 'pointwise_kernel', 'bias'];
  return new Map(
    [...weights].map(([key, dataset]) => [
      typeof key === 'number' ? (order[key] ?? String(key)) : key,
      dataset,
    ]),
  );
}

/** The layer, a reason why it is left out, or undefined for a weight that is no convolution's. */
function toLayer(
  owner: KerasOwner,
  weight: string,
  dataset: Hdf5Dataset,
  weights: Map<string, Hdf5Dataset | undefined>,
  origin: KerasOrigin,
  read: (dataset: Hdf5Dataset) => Promise<Float32Array>,
): ConvLayer | string | undefined {
  const { name, node, hints } = owner;
  const { shape, dtype } = dataset;
  const convolution = /conv/i.test(node?.className ?? hints.join(' '));
  if (!KERNELS.test(weight))
    return shape.length === 4 ? `a 4-D weight "${weight}" that no known convolution has` : undefined;
  if (shape.length === 3 || shape.length === 5)
    return convolution ? `a ${shape.length - 2}-D convolution` : undefined;
  if (shape.length !== 4) return undefined;
  if (node && !convolution) return `a layer of class ${node.className}`;
  const bias = weights.get('bias') ?? weights.get('b');
  const outputs = bias?.shape.length === 1 ? bias.shape[0] : undefined;
  // a class of somebody's own: only its bias tells a convolution from an attention's or an embedding's weight
  const numbered = owner.weights.has(0);
  if (numbered && !node && !convolution && (outputs === undefined || !shape.slice(2).includes(outputs)))
    return 'a 4-D weight of a layer of unknown class';
  const one = /^1\./.test(origin.version ?? '') || weight === 'W' || weights.has('b');
  const channelsFirst = one && (node?.ordering ?? guessedOrdering(shape, outputs)) === 'th';
  if (Math.min(...shape) === 0) return `its weights [${shape}] are empty`;
  if (dataset.oversized) return `it claims ${shape.join(' · ')} values, more than the file can hold`;
  if (!dtype) return 'its weights are not float, or not in this file';
  const kind = kindOf(weight, shape, outputs, node, hints, one);
  const { order, result } = layoutOf(kind, shape, one, channelsFirst);
  const theano = origin.backend === undefined ? channelsFirst : origin.backend === 'theano';
  return {
    // a layer with two kernels tells them apart
    name: weight === 'recurrent_kernel' || weights.has('pointwise_kernel') ? `${name}/${weight}` : name,
    kind,
    shape: result,
    dtype,
    read: async () => {
      const values = permuteAxes(await read(dataset), shape, order);
      return theano && kind !== 'depthwise' ? turned(values, result[2] * result[3]) : values;
    },
  };
}

function kindOf(
  weight: string,
  [h, w, third, fourth]: readonly number[],
  outputs: number | undefined,
  node: KerasNode | undefined,
  hints: readonly string[],
  one: boolean,
): LayerKind {
  if (weight === 'depthwise_kernel') return 'depthwise';
  if (weight === 'pointwise_kernel' || weight === 'recurrent_kernel') return 'conv';
  const told = node?.className ?? hints.join(' ');
  if (/transpose|deconv/i.test(told)) return 'transposed';
  if (/depthwise/i.test(told)) return 'depthwise';
  // no configuration, and a name of somebody's own: the bias has one value for each output
  if (node || one || outputs === undefined || outputs === fourth || h * w === 1) return 'conv';
  if (outputs === third * fourth) return 'depthwise';
  return outputs === third ? 'transposed' : 'conv';
}

/** Of a Keras 1 kernel without configuration: by its bias, else by which end looks like the size of a kernel. */
function guessedOrdering(shape: readonly number[], outputs: number | undefined): 'th' | 'tf' {
  const [first, last] = [shape[0] === outputs, shape[3] === outputs];
  if (first !== last) return first ? 'th' : 'tf';
  return shape[2] * shape[3] < shape[0] * shape[1] ? 'th' : 'tf';
}

function layoutOf(
  kind: LayerKind,
  [a, b, c, d]: readonly number[],
  one: boolean,
  channelsFirst: boolean,
): { order: number[]; result: ConvLayer['shape'] } {
  if (channelsFirst)
    return kind === 'depthwise'
      ? { order: [1, 0, 2, 3], result: [a * b, 1, c, d] }
      : { order: [0, 1, 2, 3], result: [a, b, c, d] };
  if (kind === 'depthwise') return { order: [2, 3, 0, 1], result: [c * d, 1, a, b] };
  return kind === 'transposed' && !one
    ? { order: [2, 3, 0, 1], result: [c, d, a, b] }
    : { order: [3, 2, 0, 1], result: [d, c, a, b] };
}

/** Every slice turned by 180°, in place. */
function turned(values: Float32Array, slice: number): Float32Array {
  for (let at = 0; at < values.length; at += slice) values.subarray(at, at + slice).reverse();
  return values;
}
