// Which of a Keras layer's weights are kernels, of what kind, and how Keras has laid them out.
// Keras 2 and 3: [h, w, in, out]; depthwise [h, w, channels, multiplier]; transposed [h, w, out, in]. Keras 1 with
// "tf" ordering the same, but transposed [h, w, in, out]; with "th" ordering [out, in, h, w], depthwise [multiplier,
// channels, h, w]. Where Theano computed, kernels are stored for a true convolution, turned by 180°.
import { shown } from '../formats/source.js';
import type { Hdf5Dataset } from './hdf5.js';
import type { KerasNode } from './keras-config.js';
import { isSpread, roleOf } from './keras-variables.js';
import { type ConvLayer, type LayerKind, type ModelLayers, permuteAxes } from './layers.js';

/** Everything that a file stores of one layer. */
export interface KerasOwner {
  /** Path of names, from the outermost model. */
  name: string;
  /** From the configuration, where there is one. */
  node: KerasNode | undefined;
  /** Whether it is a wrapper (TimeDistributed, SpectralNormalization): `node` is then the layer inside it. */
  wrapper?: boolean;
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

/** A layer with the dataset that its weights are in. */
export interface FoundLayer {
  layer: ConvLayer;
  owner: KerasOwner;
  dataset: Hdf5Dataset;
}

/**
 * @param read the values of a dataset, in its own shape
 * @returns the layers, and what they were found in
 */
export async function kerasLayers(
  owners: readonly KerasOwner[],
  origin: KerasOrigin,
  read: (dataset: Hdf5Dataset) => Promise<Float32Array>,
): Promise<{ model: ModelLayers; found: FoundLayer[] }> {
  const skipped: ModelLayers['skipped'] = [];
  const found: FoundLayer[] = [];
  const seen = new Set<string>();
  for (const owner of owners) {
    const weights = named(owner);
    for (const [weight, dataset] of weights) {
      if (!dataset) {
        if (roleOf(weight))
          skipped.push({ layer: owner.name, reason: `its weight "${weight}" is not in the file` });
        continue;
      }
      if (dataset.shape.length >= 3 && seen.has(dataset.identity)) continue; // shared weights
      seen.add(dataset.identity);
      const layer = toLayer(owner, weight, dataset, { weights, origin, read });
      if (typeof layer === 'string') skipped.push({ layer: owner.name, reason: layer });
      else if (layer) found.push({ layer, owner, dataset });
    }
  }
  const copies = await copiesOf(found, read);
  for (const [{ layer }, inside] of copies)
    skipped.push({
      layer: layer.name,
      reason: `a copy of the weights of ${inside.layer.name} that its wrapper keeps`,
    });
  const kept = found.filter((each) => !copies.has(each));
  const layers = kept.map(({ layer }) => layer);
  return {
    model: { layers, skipped, ...(layers.length === 0 && { advice: adviceFor(owners) }) },
    found: kept,
  };
}

/**
 * A wrapper may keep the kernel of the layer inside it as its own, too: the same shape, and of a wrapper without a
 * configuration the same numbers.
 *
 * @returns the copies, with the layers that they are copies of
 */
async function copiesOf(
  found: readonly FoundLayer[],
  read: (dataset: Hdf5Dataset) => Promise<Float32Array>,
): Promise<Map<FoundLayer, FoundLayer>> {
  const copies = new Map<FoundLayer, FoundLayer>();
  const byName = new Map<string, FoundLayer[]>();
  for (const each of found) {
    const { name } = each.owner;
    if (!byName.has(name)) byName.set(name, []);
    byName.get(name)?.push(each);
  }
  const tried = new Set<FoundLayer>();
  for (const inside of found) {
    const parts = inside.owner.name.split('/');
    for (let length = parts.length - 1; length > 0; length--)
      for (const outside of byName.get(parts.slice(0, length).join('/')) ?? []) {
        const alike = outside.dataset.shape.join() === inside.dataset.shape.join();
        if (!alike || outside === inside || tried.has(outside)) continue;
        tried.add(outside);
        if (outside.owner.wrapper || (await sameValues(outside.dataset, inside.dataset, read)))
          copies.set(outside, inside);
      }
  }
  return copies;
}

async function sameValues(
  first: Hdf5Dataset,
  second: Hdf5Dataset,
  read: (dataset: Hdf5Dataset) => Promise<Float32Array>,
): Promise<boolean> {
  const [a, b] = [await read(first), await read(second)];
  return a.every((x, i) => Object.is(x, b[i]));
}

/** Where there are no layers: what the file holds, and what to do. */
function adviceFor(owners: readonly KerasOwner[]): string {
  const shapes = owners.flatMap(({ name, weights }) =>
    [...weights].flatMap(([weight, dataset]) => (dataset ? [`${name}/${weight} [${dataset.shape}]`] : [])),
  );
  if (shapes.length === 0)
    return 'the file has no weights: save the model after it is built or trained, with model.save("name.keras")';
  const more = shapes.length > 4 ? `, … (${shapes.length} in all)` : '';
  return (
    `its weights: ${shapes
      .slice(0, 4)
      .map((shape) => shown(shape))
      .join(', ')}${more}; convolutions have 4-D weights called kernel. ` +
    'If it has convolutions of a class of your own, save it whole with Keras 3 (model.save("name.keras")), or export it as ONNX'
  );
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
  else if (/flipout|reparameteri[sz]ation|variational/i.test(told) && first.join() === second.join())
    order = ['kernel_posterior_loc', 'kernel_posterior_untransformed_scale'];
  return new Map(
    [...weights].map(([key, dataset]) => [
      typeof key === 'number' ? (order[key] ?? String(key)) : key,
      dataset,
    ]),
  );
}

/** What is known beside a weight itself: the weights of its layer, and the file. */
interface KerasFile {
  weights: Map<string, Hdf5Dataset | undefined>;
  origin: KerasOrigin;
  read(dataset: Hdf5Dataset): Promise<Float32Array>;
}

/** The layer, a reason why it is left out, or undefined for a weight that is no convolution's. */
function toLayer(
  owner: KerasOwner,
  weight: string,
  dataset: Hdf5Dataset,
  { weights, origin, read }: KerasFile,
): ConvLayer | string | undefined {
  const { name, node, hints } = owner;
  const { shape, dtype } = dataset;
  const convolution = /conv/i.test(node?.className ?? hints.join(' '));
  if (isSpread(weight))
    return shape.length === 4
      ? 'the spread of variational weights around their means, no kernels'
      : undefined;
  const role = roleOf(weight);
  if (!role) return shape.length === 4 ? `a 4-D weight "${weight}" that no known convolution has` : undefined;
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
  const kind = kindOf(role, shape, outputs, owner, one);
  const { order, result } = layoutOf(kind, shape, one, channelsFirst);
  const theano = origin.backend === undefined ? channelsFirst : origin.backend === 'theano';
  return {
    // a layer with two kernels tells them apart
    name: kernelsIn(weights) > 1 || role === 'recurrent_kernel' ? `${name}/${weight}` : name,
    kind,
    shape: result,
    dtype,
    read: async () => {
      const values = permuteAxes(await read(dataset), shape, order);
      return theano && kind !== 'depthwise' ? turned(values, result[2] * result[3]) : values;
    },
  };
}

const kernelsIn = (weights: ReadonlyMap<string, Hdf5Dataset | undefined>): number =>
  [...weights].filter(([weight, dataset]) => roleOf(weight) && dataset?.shape.length === 4).length;

function kindOf(
  role: string,
  [h, w, third, fourth]: readonly number[],
  outputs: number | undefined,
  { node, hints }: Pick<KerasOwner, 'node' | 'hints'>,
  one: boolean,
): LayerKind {
  if (role === 'depthwise_kernel') return 'depthwise';
  if (role === 'pointwise_kernel' || role === 'recurrent_kernel') return 'conv';
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
