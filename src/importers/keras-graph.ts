// Which batch norm follows which convolution in a Keras configuration, of files of Keras and of TensorFlow.js.
import { fieldsOf, listOf } from '../formats/untyped.js';
import type { KerasNode } from './keras-config.js';

export interface KerasPairs {
  /** By the convolution: the batch norm that alone reads its result. Wrappers stand for what they wrap. */
  after: Map<KerasNode, KerasNode>;
  /** Batch norms that follow no convolution directly, with the reason. */
  left: Map<KerasNode, string>;
}

/** What changes nothing when a network predicts. */
const PASSES =
  /^(Dropout|SpatialDropout2D|AlphaDropout|Gaussian(Noise|Dropout)|Identity|ActivityRegularization)$/;
const CONVOLUTION = /Conv2D|Convolution2D|Deconvolution2D/;
const BATCH_NORM = /^(Sync)?BatchNormalization(V[12])?$/;

export const isBatchNorm = (node: KerasNode | undefined): boolean =>
  node !== undefined && BATCH_NORM.test(node.className);

export function kerasPairs(model: KerasNode): KerasPairs {
  const pairs: KerasPairs = { after: new Map(), left: new Map() };
  const visit = (node: KerasNode): void => {
    if (node.layers.length > 0) pairModel(node, pairs);
    for (const child of [...node.layers, ...(node.inner ? [node.inner] : [])]) visit(child);
  };
  visit(model);
  return pairs;
}

/** The layers of one model; those of a model inside it are of that one. */
function pairModel(model: KerasNode, { after, left }: KerasPairs): void {
  const byName = new Map(model.layers.map((layer) => [layer.name, layer]));
  const functional = model.layers.some(({ inbound }) => inbound !== undefined);
  /** By the name of a layer: which layers read its result, `undefined` for the end of the model. */
  const readers = new Map<string, Set<KerasNode | undefined>>();
  const reads = (name: string, reader: KerasNode | undefined) => {
    if (!readers.has(name)) readers.set(name, new Set());
    readers.get(name)?.add(reader);
  };
  /** By a layer: what it reads. */
  const sources = new Map<KerasNode, string[]>();
  if (functional) {
    for (const layer of model.layers) {
      sources.set(layer, [...new Set((layer.inbound ?? []).flat())]);
      for (const name of sources.get(layer) ?? []) reads(name, layer);
    }
    for (const name of outputsOf(model)) reads(name, undefined);
  } else
    for (const [i, layer] of model.layers.entries()) {
      const before = model.layers[i - 1];
      sources.set(layer, before ? [before.name] : []);
      if (before) reads(before.name, layer);
    }

  for (const layer of model.layers) {
    const norm = unwrapped(layer);
    if (!isBatchNorm(norm)) continue;
    const found = convolutionBefore(layer);
    if (typeof found === 'string') left.set(norm, found);
    else if (after.has(found)) left.set(norm, `${found.name} is followed by several batch norms`);
    else after.set(found, norm);
  }

  function convolutionBefore(norm: KerasNode): KerasNode | string {
    if (unwrapped(norm).config.mode === 1) return 'it normalises by the values of each image';
    let reader = norm;
    for (let step = 0; step < 8; step++) {
      const from = sources.get(reader) ?? [];
      if (from.length !== 1)
        return from.length === 0 ? 'it reads the images' : `it reads ${from.length} layers`;
      const layer = byName.get(from[0]);
      if (!layer) return 'the layer before it is not in the configuration';
      if ((readers.get(layer.name)?.size ?? 0) !== 1)
        return `other layers read the result of ${layer.name}, too`;
      const source = unwrapped(layer);
      if (PASSES.test(source.className) || isLinear(source)) {
        reader = layer;
        continue;
      }
      if (!CONVOLUTION.test(source.className))
        return `it follows a layer of class ${source.className}, no convolution`;
      if (!isNothing(source.config.activation)) return `an activation lies between it and ${layer.name}`;
      return isOverChannels(unwrapped(norm), source) ? source : 'it does not normalise the channels';
    }
    return 'no convolution stands before it';
  }
}

/** Whether an activation is none: absent, `linear`, or that function as Keras 3 may write it. */
const isNothing = (activation: unknown): boolean =>
  activation === undefined ||
  activation === null ||
  activation === 'linear' ||
  fieldsOf(activation).config === 'linear';

/** By its axis, one number or a list of one; of a layer in a TimeDistributed there is one more. */
function isOverChannels({ config }: KerasNode, { config: convolution, ordering }: KerasNode): boolean {
  const axis = Array.isArray(config.axis) && config.axis.length === 1 ? config.axis[0] : config.axis;
  if (axis === undefined) return true;
  const first = convolution.data_format === 'channels_first' || ordering === 'th';
  return (first ? [1, 2, -3] : [-1, 3, 4]).includes(axis as number);
}

const isLinear = ({ className, config }: KerasNode) =>
  className === 'Activation' && config.activation === 'linear';

const unwrapped = (node: KerasNode): KerasNode =>
  node.inner && node.layers.length === 0 ? unwrapped(node.inner) : node;

/** `[["name", 0, 0], …]`, or one of them alone as Keras 3 writes it. */
function outputsOf({ config }: KerasNode): string[] {
  const list = listOf(config.output_layers);
  const single = typeof list[0] === 'string' ? [list] : list;
  return single.flatMap((entry) => {
    const [name] = listOf(entry);
    return typeof name === 'string' ? [name] : [];
  });
}
