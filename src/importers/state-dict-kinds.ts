// Ordinary, depthwise or transposed: told from shapes, the bias and names; and weights brought to [out, in, h, w].
import { type ConvLayer, type LayerKind, permuteAxes } from './layers.js';
import { AXES, IMAGE_CHANNELS, sidesIn } from './state-dict-axes.js';
import {
  type AxisOrder,
  biasLength,
  partsOf,
  type TensorsByName,
  type Weight,
} from './state-dict-tensors.js';

const TRANSPOSED = /deconv|transpose|conv_?tr(ans)?(_?\d+)?$|^t_?conv|^ct\d*$/i;
/** Part of a name that says that a layer enlarges; many of them do so before an ordinary convolution. */
const ENLARGES = /(^|_)up(_|\d|$|conv|samp|scal)/i;
const DEPTHWISE = /depth_?wise|(^|_)dw(_|\d|$|conv)/i;

/**
 * - Transposed or not: the bias beside a weight has the length of the layer's output, which tells where inputs and
 *   outputs differ in number. Where it does not, names do: `deconv`, `ConvTranspose`, … and, for kernels with an even
 *   side, `up…`, because an ordinary convolution after an upsampling has odd sides as a rule.
 * - Depthwise: one input channel and several outputs, but see {@link greyStem}.
 *
 * @param flax whether transposed convolutions are [h, w, in, out], turned by 180°
 */
export function layerOf(weight: Weight, order: AxisOrder, byName: TensorsByName, flax = false): ConvLayer {
  const { layer: name, role, shape, dtype, read } = weight;
  const [out, inputs, h, w] = sidesIn(order, weight);
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
  if (!isTransposed(name, order, [out, inputs, h, w], bias))
    return layer(inputs === 1 && out > 1 ? 'depthwise' : 'conv', [out, inputs, h, w], permuted(AXES[order]));
  if (order === 'oihw') {
    // [in, out of a group, h, w] → [group · out of a group, in of a group, h, w]; no bias, no groups to be told
    const groups =
      bias !== undefined && bias % inputs === 0 && out % (bias / inputs) === 0 ? bias / inputs : 1;
    const outputs = out / groups;
    const split = [groups, outputs, inputs, h * w];
    return layer('transposed', [groups * inputs, outputs, h, w], () =>
      permuteAxes(read(), split, [0, 2, 1, 3]),
    );
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
  const parts = partsOf(name);
  if (parts.some((part) => TRANSPOSED.test(part))) return true;
  return h % 2 === 0 && w % 2 === 0 && parts.some((part) => ENLARGES.test(part));
}

/**
 * Makes one depthwise layer an ordinary one where images seem to be grey: where no layer takes images of 2 to 4
 * channels, the layer that sees them is one of one channel that is not called `depthwise` or `dw`. Of several it is
 * one whose outputs no other layer gives as its input, else one that is called a stem, else the first.
 */
export function greyStem(layers: readonly ConvLayer[]): void {
  const single = layers.filter(
    ({ name, kind }) => kind === 'depthwise' && !partsOf(name).some((part) => DEPTHWISE.test(part)),
  );
  if (single.length === 0 || layers.some((layer) => seesColours(layer, layers, single))) return;
  const gives = (count: number, except: ConvLayer) =>
    layers.some(({ kind, shape: [out] }, i) => kind !== 'depthwise' && out === count && layers[i] !== except);
  const stem =
    single.find((layer) => !gives(layer.shape[0], layer)) ??
    single.find(({ name }) => /stem|(^|[./])(conv|features?|layers?|block)?[._]?[01]$/i.test(name)) ??
    single[0];
  stem.kind = 'conv';
}

/**
 * Whether a layer of 2 to 4 inputs takes images. It does not where it sees maxima and means of an attention (two
 * inputs, no more outputs), where it widens the few channels of a squeeze, or where it comes after a layer of one
 * input that has as many outputs as it has inputs.
 */
function seesColours(
  { name, kind, shape }: ConvLayer,
  layers: readonly ConvLayer[],
  single: readonly ConvLayer[],
): boolean {
  const [out, inputs, h, w] = shape;
  if (kind !== 'conv' || inputs < 2 || inputs > IMAGE_CHANNELS || out <= inputs) return false;
  if (inputs !== 3 && single.some((layer) => layer.shape[0] === inputs)) return false;
  if (h > 1 || w > 1) return true;
  const block = partsOf(name).slice(0, -1).join();
  return !layers.some(
    (layer) => layer.shape[0] === inputs && block !== '' && partsOf(layer.name).slice(0, -1).join() === block,
  );
}
