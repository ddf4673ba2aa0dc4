// --fold-bn for Keras files: pairs by the configuration's connections; of a file of weights alone by the layers' names.
import { type BatchNorm, DEFAULT_EPSILON, foldPairs, type Pair } from './fold-batch-norm.js';
import type { Hdf5Dataset } from './hdf5.js';
import type { KerasNode } from './keras-config.js';
import { isBatchNorm, kerasPairs } from './keras-graph.js';
import type { FoundLayer, KerasOwner } from './keras-layers.js';
import type { ConvLayer, ModelLayers } from './layers.js';
import { type Part, pairByName } from './pair-by-name.js';

interface Parsed {
  owners: readonly KerasOwner[];
  found: readonly FoundLayer[];
  config: KerasNode | undefined;
  /** Of all layers in their order, those without weights too; of Keras 1 and 2. */
  names: readonly string[] | undefined;
  read: (dataset: Hdf5Dataset) => Promise<Float32Array>;
}

const ACTIVATION = /act|relu|elu|swish|silu|sigmoid|tanh|mish/i;
const WHOLE = 'save the whole model (model.save("name.keras")), whose configuration tells';

export function foldKeras(model: ModelLayers, parsed: Parsed): ModelLayers {
  const { owners, found, config, read } = parsed;
  const norms = owners.filter(({ node, weights, hints }) =>
    node
      ? isBatchNorm(node)
      : (weights.get('moving_variance') ?? weights.get('running_std') ?? looksLikeNorm(weights, hints)),
  );
  const left: { batchNorm: string; reason: string }[] = [];
  const pairs: Pair[] = [];
  const pair = (layer: ConvLayer, owner: KerasOwner) => {
    const norm = batchNormOf(owner, read);
    if (typeof norm === 'string') left.push({ batchNorm: owner.name, reason: norm });
    else pairs.push({ layer, norm });
  };
  /** The kernel whose outputs are those of the layer: of a separable one the second. */
  const layersOf = new Map(found.map(({ owner, layer }) => [owner, layer]));
  if (config && norms.some(({ node }) => node)) {
    const { after, left: alone } = kerasPairs(config);
    const byNode = new Map([...layersOf].map(([{ node }, layer]) => [node, layer]));
    const convolutionOf = new Map([...after].map(([conv, norm]) => [norm, byNode.get(conv)]));
    for (const owner of norms) {
      const layer = owner.node && convolutionOf.get(owner.node);
      if (layer) pair(layer, owner);
      else {
        const reason =
          (owner.node && alone.get(owner.node)) ?? 'the weights of the convolution before it are not read';
        left.push({ batchNorm: owner.name, reason });
      }
    }
    return foldPairs(model, pairs, left);
  }
  byNames(parsed, norms, layersOf, pair, left);
  return foldPairs(model, pairs, left);
}

/** Without a configuration: names tell pairs, but not whether a convolution has an activation of its own. */
function byNames(
  { owners, names }: Parsed,
  norms: readonly KerasOwner[],
  layersOf: ReadonlyMap<KerasOwner, ConvLayer>,
  pair: (layer: ConvLayer, owner: KerasOwner) => void,
  left: { batchNorm: string; reason: string }[],
): void {
  const parts = owners.flatMap((owner): (Part & { owner: KerasOwner })[] => {
    const layer = layersOf.get(owner);
    const { name } = owner;
    if (layer) return [{ owner, name, kind: 'conv', channels: layer.shape[0], inputs: layer.shape[1] }];
    if (!norms.includes(owner)) return [];
    return [{ owner, name, kind: 'norm', channels: [...owner.weights.values()][0]?.shape[0] ?? 0 }];
  });
  const separate = names?.some((name) => ACTIVATION.test(name)) ?? false;
  const { pairs, left: alone } = pairByName(parts, names !== undefined);
  for (const { norm, reason } of alone) left.push({ batchNorm: norm.name, reason: `${reason}; ${WHOLE}` });
  for (const { conv, norm } of pairs) {
    const { weights } = conv.owner;
    const bias =
      weights.get('bias') ?? weights.get('b') ?? [...weights.values()].find((w) => w?.shape.length === 1);
    if (bias && !separate)
      left.push({
        batchNorm: norm.name,
        reason: `the file does not tell whether an activation lies between it and ${conv.name}; ${WHOLE}`,
      });
    else pair(layersOf.get(conv.owner)!, norm.owner);
  }
}

/** Keras 3 without a configuration: four vectors of one length; fewer may be of another kind of layer. */
function looksLikeNorm(weights: KerasOwner['weights'], hints: readonly string[]): boolean {
  const all = [...weights];
  const named = /batch_?norm|(^|_)bn/i.test(hints.join(' '));
  return (
    (all.length === 4 || (named && (all.length === 2 || all.length === 3))) &&
    all.every(
      ([key, w]) => typeof key === 'number' && w?.shape.length === 1 && w.shape[0] === all[0][1]?.shape[0],
    )
  );
}

/** The layer's numbers, or why they are not known. */
function batchNormOf(
  { name, node, weights }: KerasOwner,
  read: (dataset: Hdf5Dataset) => Promise<Float32Array>,
): BatchNorm | string {
  const { epsilon, scale, center } = node?.config ?? {};
  const numbers = [...weights.keys()].filter((key) => typeof key === 'number');
  let [gamma, variance] = [
    weights.get('gamma'),
    weights.get('moving_variance') ?? weights.get('running_std'), // Keras 1 calls the variance so
  ];
  if (numbers.length > 0) {
    if (!node && numbers.length === 3)
      return 'it has three vectors, and the file does not tell whether γ is one of them';
    const scaled = node ? scale !== false : numbers.length === 4;
    const shifted = node ? center !== false : numbers.length === 4;
    gamma = scaled ? weights.get(0) : undefined;
    variance = weights.get(Number(scaled) + Number(shifted) + 1);
  }
  if (!variance?.dtype || variance.shape.length !== 1) return 'its variance is not in the file';
  const [channels] = variance.shape;
  if (!gamma && node && scale !== false) return 'its scale γ is not in the file';
  if (gamma && (!gamma.dtype || gamma.shape.join() !== `${channels}`))
    return 'its scale γ does not fit its variance';
  if (variance.oversized || gamma?.oversized) return 'it claims more values than the file can hold';
  const given = typeof epsilon === 'number';
  return {
    name,
    channels,
    epsilon: given ? epsilon : DEFAULT_EPSILON.keras,
    ...(!given && { assumed: true }),
    ...(gamma && { gamma: () => read(gamma) }),
    variance: () => read(variance),
  };
}
