// Named tensors without a graph (safetensors, PyTorch, NumPy) → convolutions. What a graph would say is told from
// names, shapes and, in a few cases, values; each question is a file beside this one.
import { DwpError } from '../errors.js';
import { sizeOf } from '../formats/shape.js';
import type { ModelLayers } from './layers.js';
import { ordersOf } from './state-dict-axes.js';
import { computedWeights } from './state-dict-computed.js';
import { copiesOf } from './state-dict-copies.js';
import { greyStem, layerOf } from './state-dict-kinds.js';
import { isOptimisers, meaningOf } from './state-dict-names.js';
import { explainNothing, MASKS } from './state-dict-refusal.js';
import { shapeJudge } from './state-dict-shapes.js';
import {
  type AxisOrder,
  type NamedTensor,
  partsOf,
  type TensorsByName,
  type Weight,
} from './state-dict-tensors.js';

export type { AxisOrder, NamedTensor } from './state-dict-tensors.js';

export interface StateDictHints {
  /** Of every tensor, when the file says so. */
  order?: AxisOrder;
  /** Whether the order is the format's, not a label in the file that may be wrong. */
  certain?: boolean;
  /** Whether the file was written by Flax, whose transposed convolutions are [h, w, in, out], turned by 180°. */
  flax?: boolean;
  /** Takes 4-D tensors of any name for weights, but for those whose names say that they are something else. */
  anyName?: boolean;
}

const LONGEST_NAME = 1024;

/**
 * 1. Weights are 4-D tensors whose name ends in `weight`, `kernel`, …, means of Bayesian layers, and weights computed of
 *    their parts. What may look like one is skipped with a reason; an optimiser's state is not mentioned.
 * 2. Of a network and its copies in the file one is taken.
 * 3. Order of the axes: what the file says, names, and shapes, which may overrule both.
 * 4. Kind: shapes, biases, names.
 *
 * What was assumed is in `notes`. Values of a few small weights are read at once, all others later.
 */
export function convolutionsOf(tensors: readonly NamedTensor[], hints: StateDictHints = {}): ModelLayers {
  const result: ModelLayers = { layers: [], skipped: [] };
  const skip = (layer: string, reason: string) => result.skipped.push({ layer, reason });
  const named = tensors.filter(({ name }) => {
    if (name.length <= LONGEST_NAME) return !isOptimisers(name);
    skip(`${name.slice(0, 80)}…`, `a name of ${name.length} characters`);
    return false;
  });
  const byName: TensorsByName = new Map(named.map((tensor) => [tensor.name, tensor]));
  const { weights: found, notes } = weightsOf(named, byName, hints, skip);

  const isMask = maskJudge(found);
  const copies = copiesOf(found, named);
  const chosen = found.filter((weight) => {
    const reason = isMask(weight) ? MASKS : copies.get(weight.tensor);
    if (reason) skip(weight.layer, reason);
    return !reason;
  });
  const orders = ordersOf(chosen, byName, hints.order, hints.certain);
  const whyNot = shapeJudge(chosen, orders, byName);
  for (const weight of chosen) {
    const reason = whyNot(weight);
    if (reason) skip(weight.tensor, reason);
    else result.layers.push(layerOf(weight, orders.orderOf(weight), byName, hints.flax));
  }
  greyStem(result.layers);
  const told = [...notes, ...orders.notes];
  if (told.length > 0) result.notes = told;
  if (result.layers.length === 0) explainNothing(result, tensors);
  return result;
}

/** All that may be weights of convolutions, with readable values and each once. */
function weightsOf(
  tensors: readonly NamedTensor[],
  byName: TensorsByName,
  { anyName = false }: StateDictHints,
  skip: (layer: string, reason: string) => void,
): { weights: Weight[]; notes: string[] } {
  const computed = computedWeights(byName);
  const seen = new Set<string>();
  const weights: Weight[] = [];
  const notes = new Set<string>();
  const means = new Set<string>();
  for (const tensor of tensors) {
    const { name, shape, identity, dtype } = tensor;
    if (computed.parts.has(name)) continue;
    const made = computed.weights.get(name);
    const meaning = made
      ? { kind: 'weight' as const, ...made, mean: false }
      : meaningOf(tensor, byName, anyName);
    if (meaning.kind === 'other') skip(name, meaning.reason);
    if (meaning.kind !== 'weight') continue;
    const { layer, role, mean } = meaning;
    if (shape.length !== 4) {
      const reason = otherAxes(shape, layer, role);
      if (reason) skip(name, reason);
      continue;
    }
    if (mean && means.has(layer)) continue; // a sampler's view of the layer's own mean
    if (mean) means.add(layer);
    if (identity !== undefined && seen.has(identity)) continue;
    if (identity !== undefined) seen.add(identity);
    const { values } = made ?? tensor;
    if (typeof values === 'string') skip(layer, values);
    else if (shape.includes(0)) skip(layer, `its weights [${shape}] are empty`);
    else weights.push({ tensor: name, layer, role, shape: shape as Weight['shape'], dtype, read: values });
    if (mean) notes.add('kernels of Bayesian layers are the means of their weights');
    if (/(^|[./])base_layer$/.test(layer)) notes.add('layers with an adapter are taken without it');
  }
  return { weights, notes: [...notes] };
}

/** Why a weight without four axes is left out, where it belongs to a convolution of another kind. */
function otherAxes(shape: readonly number[], layer: string, role: string): string | undefined {
  if (shape.length !== 3 && shape.length !== 5) return undefined;
  const called = /conv/i.test(layer);
  if (!called && (shape.length === 3 || !/^(weight|kernel)$/.test(role))) return undefined;
  const [first, , ...sides] = shape;
  if (
    shape.length === 5 &&
    ((first === 1 && new Set(sides).size > 1) || Math.max(...sides) > 32 || /caps/i.test(layer))
  )
    return `a weight of five axes [${shape}], which no 2-D convolution has`;
  return `a ${shape.length - 2}-D convolution`;
}

/** Weights are masks where they are called so, or where all of the file are: if they are nothing but zeros and ones. */
function maskJudge(weights: readonly Weight[]): (weight: Weight) => boolean {
  const smallest = [...weights].sort((a, b) => sizeOf(a.shape) - sizeOf(b.shape));
  const all = smallest.every(isBinary);
  return (weight) =>
    all || (partsOf(weight.layer).some((part) => /^masks?$|_masks?$/i.test(part)) && isBinary(weight));
}

function isBinary({ read }: Weight): boolean {
  try {
    const data = read();
    return data.every((x) => x === 0 || x === 1) && data.includes(1);
  } catch (error) {
    if (error instanceof DwpError) return false; // damaged, which is said when the layer is read
    throw error;
  }
}
