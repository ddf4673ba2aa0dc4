// Named tensors without a graph (safetensors, PyTorch, NumPy) → convolutions. What a graph would say is told from
// names and shapes here: which tensors are weights of convolutions, the order of their axes, and their kind.
import { shown } from '../formats/source.js';
import { type ConvLayer, type LayerKind, type ModelLayers, permuteAxes } from './layers.js';

/**
 * Order of the axes of a convolution's weights: `oihw` of PyTorch and Chainer, `hwio` of Flax and TensorFlow,
 * `ohwi` of MLX.
 */
export type AxisOrder = 'oihw' | 'hwio' | 'ohwi';

export interface NamedTensor {
  /** Path of the weight, with `.` or `/` between the parts: untrusted. */
  name: string;
  shape: readonly number[];
  /** Equal for tensors that are the same numbers in the file. */
  identity?: string;
  dtype: string;
  /** Row-major values in `shape`, or why they cannot be had as float32. */
  values: (() => Float32Array) | string;
}

export interface StateDictHints {
  /** Of every tensor, when the file says so. */
  order?: AxisOrder;
  /** Whether the file was written by Flax, whose transposed convolutions are [h, w, in, out], turned by 180°. */
  flax?: boolean;
  /** Takes 4-D tensors of any name for weights, but for those of {@link NO_WEIGHT}. */
  anyName?: boolean;
}

/** Last part of the name of a weight. */
const WEIGHT = /^(weights?|kernels?|filters?|w|[a-z]+_(weights?|kernel))(:\d+)?$/i;
/** 4-D tensors of other uses: tables of positions, statistics, scales, masks, optimisers' moments. */
const NO_WEIGHT =
  /pos(ition)?(al)?_?(emb|enc|bias)|embed|bias|mean|std|var(iance)?$|running_|gamma|beta|scale|mask|grid|anchor|token|buffer|exp_avg|moment/i;
/** Part of the path of an optimiser's state. */
const OPTIMISER = /(^|[_:])optim(i[sz]ers?)?([_:]|$)|optimi[sz]er/i;
/** Part of the path of a running average of the weights. */
const AVERAGED = /^(ema|swa|shadow|averaged?)(_|$)|_(ema|averaged?)$/i;
const TRANSPOSED = /deconv|transpose|conv_?tr(ans)?(_?\d+)?$|^t_?conv|^ct\d*$/i;
/** Part of a name that says that a layer enlarges; many of them do so before an ordinary convolution. */
const ENLARGES = /(^|_)up(_|\d|$|conv|samp|scal)/i;
const DEPTHWISE = /depth_?wise|(^|_)dw(_|\d|$|conv)/i;
/** A tensor without a weight's name is none when its sides are larger. */
const LARGEST_SIDE = 32;
const LONGEST_NAME = 1024;

/**
 * What can be told is told as follows.
 *
 * - A weight is a 4-D tensor whose name ends in `weight`, `kernel`, … Other 4-D tensors are skipped with a reason,
 *   weights of 1-D and 3-D convolutions too; parts of an optimiser's state are no layers. Averages of the weights
 *   (`ema…`) are skipped where the weights themselves are in the file.
 * - Order of axes: what the file says; else by name (`kernel`: hwio, `weight`: oihw); else by shape, the pair of axes
 *   with the smaller sides being h and w, and where a shape does not tell, as the others of the file do.
 * - Transposed or not: the bias beside a weight has the length of the layer's output, which tells where inputs and
 *   outputs differ in number. Where it does not, names do: `deconv`, `ConvTranspose`, … and, for kernels with an even
 *   side, `up…`, because an ordinary convolution after an upsampling has odd sides as a rule.
 * - Depthwise: one input channel and several outputs. Where no layer takes images of 2 to 4 channels, the first layer
 *   of one channel is taken for one that sees grey images, unless it is called `depthwise` or `dw`.
 * - Weights under weight normalisation (`weight_g`, `weight_v`) are multiplied out.
 */
export function convolutionsOf(tensors: readonly NamedTensor[], hints: StateDictHints = {}): ModelLayers {
  const result: ModelLayers = { layers: [], skipped: [] };
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const seen = new Set<string>();
  const skip = (layer: string, reason: string) => result.skipped.push({ layer, reason });
  const weights: Weight[] = [];
  for (const tensor of tensors) {
    const { name, shape, identity, values } = tensor;
    if (name.length > LONGEST_NAME) {
      skip(`${name.slice(0, 80)}…`, `a name of ${name.length} characters`);
      continue;
    }
    const parts = name.split(/[./]/);
    if (parts.some((part) => OPTIMISER.test(part))) continue;
    const weight = weightOf(tensor, byName, hints);
    if (typeof weight === 'string') skip(name, weight);
    if (typeof weight !== 'object') continue;
    if (identity !== undefined && seen.has(identity)) continue;
    if (identity !== undefined) seen.add(identity);
    if (typeof values === 'string') skip(weight.layer, values);
    else if (shape.includes(0)) skip(weight.layer, `its weights [${shape}] are empty`);
    else weights.push(weight);
  }
  const isAverage = ({ layer }: Weight) => layer.split(/[./]/).some((part) => AVERAGED.test(part));
  const own = weights.filter((weight) => !isAverage(weight));
  if (own.length > 0)
    for (const { layer } of weights.filter(isAverage))
      skip(layer, 'a running average of weights of this file');
  const chosen = own.length > 0 ? own : weights;
  const common = commonOrder(chosen);
  for (const weight of chosen) {
    const order = weight.order ?? orderByShape(weight.shape) ?? common;
    const layer = toLayer(weight, order, byName, hints);
    if (typeof layer === 'string') skip(weight.layer, layer);
    else result.layers.push(layer);
  }
  greyStem(result.layers);
  return result;
}

/** Makes the first depthwise layer an ordinary one where the images seem to be grey. */
function greyStem(layers: readonly ConvLayer[]): void {
  if (layers.some(({ kind, shape: [, inputs] }) => kind === 'conv' && inputs >= 2 && inputs <= 4)) return;
  const first = layers.find(
    ({ name, kind }) => kind === 'depthwise' && !name.split(/[./]/).some((part) => DEPTHWISE.test(part)),
  );
  if (first) first.kind = 'conv';
}

/** A 4-D tensor that is taken for a convolution's weights. */
interface Weight {
  /** The name without its last part. */
  layer: string;
  /** The last part: `weight`, `depthwise_kernel`. */
  role: string;
  shape: readonly [number, number, number, number];
  dtype: string;
  order?: AxisOrder;
  read(): Float32Array;
}

/** The weight; why a tensor that may be one is left out; or undefined for what is nothing to do with kernels. */
function weightOf(
  { name, shape, dtype, values }: NamedTensor,
  byName: ReadonlyMap<string, NamedTensor>,
  { order, anyName }: StateDictHints,
): Weight | string | undefined {
  const cut = Math.max(name.lastIndexOf('.'), name.lastIndexOf('/'));
  let [layer, role] = [name.slice(0, Math.max(cut, 0)), name.slice(cut + 1)];
  if (!WEIGHT.test(role) && /_v$|^original1$|_orig$|^original$/.test(role)) {
    const normalised = namesOfNormalised(name);
    if (!normalised) {
      if (shape.length !== 4 || !/(weight|kernel)/.test(name)) return undefined;
      return 'its weights are kept with a constraint (spectral normalisation, pruning), which is not applied';
    }
    ({ layer, role } = normalised);
    const magnitude = byName.get(normalised.magnitude);
    if (!magnitude || shape.length !== 4) return undefined;
    const read = normalised4d(shape, values, magnitude);
    if (typeof read === 'string') return read;
    return { layer, role, shape: shape as Weight['shape'], dtype, order: order ?? 'oihw', read };
  }
  if (/weight_g$|\.original0$/.test(name) && byName.has(name.replace(/g$/, 'v').replace(/0$/, '1')))
    return undefined;
  if (shape.length === 3 || shape.length === 5) {
    const conv =
      WEIGHT.test(role) && (/conv/i.test(layer) || (shape.length === 5 && /^(weight|kernel)$/.test(role)));
    return conv ? `a ${shape.length - 2}-D convolution` : undefined;
  }
  if (shape.length !== 4) return undefined;
  if (NO_WEIGHT.test(role)) return `a 4-D tensor called ${shown(role)}, which is no convolution's weights`;
  if (!WEIGHT.test(role)) {
    if (typeof values === 'string') return values;
    if (!anyName) return `a 4-D tensor called ${shown(role)}, which no known convolution has`;
    layer = name;
  }
  const named = /^(depthwise_|pointwise_)?kernel(:\d+)?$/.test(role)
    ? 'hwio'
    : role === 'weight'
      ? 'oihw'
      : undefined;
  return {
    layer: layer || name,
    role,
    shape: shape as Weight['shape'],
    dtype,
    order: order ?? named,
    read: typeof values === 'string' ? () => new Float32Array() : values,
  };
}

/** `a.weight_v` → layer `a`, magnitudes in `a.weight_g`; `a.parametrizations.weight.original1` likewise. */
function namesOfNormalised(name: string): { layer: string; role: string; magnitude: string } | undefined {
  const old = /^(.*?)\.?weight_v$/.exec(name);
  if (old) return { layer: old[1] || 'weight', role: 'weight', magnitude: name.replace(/v$/, 'g') };
  const parametrized = /^(.*?)\.?parametrizations\.weight\.original1$/.exec(name);
  if (!parametrized) return undefined;
  return { layer: parametrized[1] || 'weight', role: 'weight', magnitude: name.replace(/1$/, '0') };
}

/** weight = g · v / ‖v‖, with one g and one norm for every index of the first axis. */
function normalised4d(
  shape: readonly number[],
  direction: NamedTensor['values'],
  { shape: gShape, values: magnitude }: NamedTensor,
): (() => Float32Array) | string {
  if (typeof direction === 'string') return direction;
  if (typeof magnitude === 'string') return magnitude;
  if (gShape[0] !== shape[0] || gShape.some((n, axis) => axis > 0 && n !== 1))
    return `weight normalisation with magnitudes [${gShape}] for weights [${shape}]`;
  return () => {
    const g = magnitude();
    const weights = Float32Array.from(direction());
    const size = weights.length / g.length;
    for (let o = 0; o < g.length; o++) {
      const row = weights.subarray(o * size, (o + 1) * size);
      const factor = g[o] / Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
      for (let i = 0; i < size; i++) row[i] *= factor;
    }
    return weights;
  };
}

/** By the pair of axes whose sides are smaller, or square where the other is not; undefined where neither tells. */
function orderByShape([a, b, c, d]: Weight['shape']): AxisOrder | undefined {
  const small = 11;
  const [first, last] = [Math.max(a, b) <= small, Math.max(c, d) <= small];
  if (first !== last) return last ? 'oihw' : 'hwio';
  if ((a === b) !== (c === d)) return c === d ? 'oihw' : 'hwio';
  return undefined;
}

function commonOrder(weights: readonly Weight[]): AxisOrder {
  const votes = weights.map(({ order, shape }) => order ?? orderByShape(shape));
  const count = (order: AxisOrder) => votes.filter((vote) => vote === order).length;
  return count('hwio') > count('oihw') ? 'hwio' : 'oihw';
}

/** Axes [out, in, h, w] in each order. */
const AXES: Record<AxisOrder, readonly [number, number, number, number]> = {
  oihw: [0, 1, 2, 3],
  hwio: [3, 2, 0, 1],
  ohwi: [0, 3, 1, 2],
};

function toLayer(
  { layer: name, role, shape, dtype, read }: Weight,
  order: AxisOrder,
  byName: ReadonlyMap<string, NamedTensor>,
  { flax }: StateDictHints,
): ConvLayer | string {
  const [out, inputs, h, w] = AXES[order].map((axis) => shape[axis]);
  if (Math.max(h, w) > LARGEST_SIDE && !WEIGHT.test(role))
    return `its weights [${shape}] are no kernels (sides of ${h}x${w})`;
  const layer = (kind: LayerKind, to: ConvLayer['shape'], data: ConvLayer['read']): ConvLayer => ({
    // a separable layer has a depthwise_kernel and a pointwise_kernel
    name: /_(weights?|kernel)/i.test(role) ? `${name}/${role}` : name,
    kind,
    shape: to,
    dtype,
    read: data,
  });
  const permuted = (axes: readonly number[]) =>
    axes.every((axis, i) => axis === i) ? read : () => permuteAxes(read(), shape, axes);

  // TensorFlow's [h, w, channels, multiplier]
  if (/^depthwise/.test(role) && order === 'hwio')
    return layer('depthwise', [out * inputs, 1, h, w], permuted([2, 3, 0, 1]));

  const bias = biasLength(name, byName);
  const transposed = isTransposed(name, order, [out, inputs, h, w], bias);
  if (!transposed) {
    return layer(inputs === 1 && out > 1 ? 'depthwise' : 'conv', [out, inputs, h, w], permuted(AXES[order]));
  }
  if (order === 'oihw') {
    // [in, out of a group, h, w] → [group · out of a group, in of a group, h, w]; no bias, no groups to be told
    const groups =
      bias !== undefined && bias % inputs === 0 && out % (bias / inputs) === 0 ? bias / inputs : 1;
    const of = out / groups;
    const split = [groups, of, inputs, h * w];
    return layer('transposed', [groups * inputs, of, h, w], () => permuteAxes(read(), split, [0, 2, 1, 3]));
  }
  if (order === 'ohwi') return layer('transposed', [out, inputs, h, w], permuted(AXES.ohwi));
  // TensorFlow's [h, w, out, in], or Flax's [h, w, in, out], which slides over the input where others paint
  if (!flax && !/ConvTranspose/.test(name))
    return layer('transposed', [inputs, out, h, w], permuted([2, 3, 0, 1]));
  return layer('transposed', [out, inputs, h, w], () => turned(permuteAxes(read(), shape, AXES.hwio), h * w));
}

/** Every kernel of `size` values by 180°. */
function turned(data: Float32Array, size: number): Float32Array {
  for (let at = 0; at < data.length; at += size) data.subarray(at, at + size).reverse();
  return data;
}

function biasLength(layer: string, byName: ReadonlyMap<string, NamedTensor>): number | undefined {
  for (const name of [`${layer}.bias`, `${layer}/bias`, `${layer}/bias:0`, `${layer}/b`]) {
    const bias = byName.get(name);
    if (bias?.shape.length === 1) return bias.shape[0];
  }
  return undefined;
}

/** @param shape as an ordinary convolution's [out, in, h, w] */
function isTransposed(
  name: string,
  order: AxisOrder,
  [out, inputs, h, w]: readonly number[],
  bias: number | undefined,
): boolean {
  if (order === 'oihw' && bias !== undefined && out !== inputs) {
    if (bias !== out) return bias % inputs === 0;
    if (inputs > 1) return false; // with one input: depthwise, of either kind
  }
  const parts = name.split(/[./]/);
  if (parts.some((part) => TRANSPOSED.test(part))) return true;
  return h % 2 === 0 && w % 2 === 0 && parts.some((part) => ENLARGES.test(part));
}
