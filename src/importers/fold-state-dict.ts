// --fold-bn for named tensors without a graph (PyTorch, safetensors, NumPy): batch norms are told from their running
// variance, and their convolutions from names and order.
import { type BatchNorm, DEFAULT_EPSILON, foldPairs, type Pair } from './fold-batch-norm.js';
import type { ModelLayers } from './layers.js';
import { type Part, pairByName } from './pair-by-name.js';
import type { NamedTensor } from './state-dict.js';

/** How frameworks call σ² and γ of a batch norm, and the ε they take by default. */
const NAMES = [
  { variance: 'running_var', gamma: 'weight', epsilon: DEFAULT_EPSILON.torch }, // MLX's, too
  { variance: 'moving_variance', gamma: 'gamma', epsilon: DEFAULT_EPSILON.keras },
  { variance: 'avg_var', gamma: 'gamma', epsilon: DEFAULT_EPSILON.chainer },
  { variance: 'var', gamma: 'scale', epsilon: DEFAULT_EPSILON.flax },
];

interface NamedPart extends Part {
  norm?: BatchNorm | string;
}

/**
 * @param tensors all of the file, in its order
 * @param ordered whether that is the order of the network's layers; false where a format sorts names
 */
export function foldNamedBatchNorms(
  model: ModelLayers,
  tensors: readonly NamedTensor[],
  ordered: boolean,
): ModelLayers {
  const byName = new Map(tensors.map((tensor) => [plain(tensor.name), tensor]));
  const layers = new Map(model.layers.map((layer) => [layer.name, layer]));
  const parts = new Map<string, NamedPart>();
  for (const { name } of tensors) {
    const owner = ownerOf(name);
    for (const candidate of [name, owner]) {
      const layer = layers.get(candidate);
      if (!layer || parts.has(candidate)) continue;
      const [channels, inputs] = layer.shape;
      parts.set(candidate, { name: candidate, kind: 'conv', channels, inputs });
    }
    const norm = batchNormAt(plain(name), byName);
    if (norm) parts.set(norm.name, { ...norm, kind: 'norm' });
  }
  const { pairs, left } = pairByName([...parts.values()], ordered);
  const notFolded = left.map(({ norm, reason }) => ({ batchNorm: norm.name, reason }));
  const known: Pair[] = [];
  for (const { conv, norm } of pairs)
    if (typeof norm.norm === 'object') known.push({ layer: layers.get(conv.name)!, norm: norm.norm });
    else notFolded.push({ batchNorm: norm.name, reason: norm.norm ?? '' });
  return foldPairs(model, known, notFolded);
}

/** Flax keeps statistics in a tree of their own, beside the parameters. */
const plain = (name: string) => name.replace(/^batch_stats(?=[./])/, 'params').replace(/:0$/, '');

const ownerOf = (name: string) => name.slice(0, Math.max(name.lastIndexOf('.'), name.lastIndexOf('/'), 0));

function batchNormAt(
  name: string,
  byName: ReadonlyMap<string, NamedTensor>,
): { name: string; channels: number; norm: BatchNorm | string } | undefined {
  const owner = ownerOf(name);
  const leaf = name.slice(owner.length).replace(/^[./]/, '');
  const names = NAMES.find(({ variance }) => variance === leaf);
  const variance = byName.get(name);
  if (!names || variance?.shape.length !== 1) return undefined;
  const gamma = byName.get(`${name.slice(0, name.length - leaf.length)}${names.gamma}`);
  // the mean and the variance of something else
  if (leaf === 'var' && !byName.has(`${name.slice(0, -leaf.length)}mean`)) return undefined;
  const [channels] = variance.shape;
  return {
    name: owner || leaf,
    channels,
    norm: numbersOf(owner || leaf, channels, names.epsilon, variance, gamma),
  };
}

function numbersOf(
  name: string,
  channels: number,
  epsilon: number,
  { values }: NamedTensor,
  gamma: NamedTensor | undefined,
): BatchNorm | string {
  if (typeof values === 'string') return values;
  if (typeof gamma?.values === 'string') return gamma.values;
  if (gamma && gamma.shape.join() !== `${channels}`)
    return `its scale γ [${gamma.shape}] does not fit its variance`;
  return { name, channels, epsilon, assumed: true, ...(gamma && { gamma: gamma.values }), variance: values };
}
