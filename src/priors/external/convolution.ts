// Convolutions of [n, c, h, w] with [out, in / groups, h, w], and what transposes them, as ONNX has them.
import { groupedConv2d, tf } from '../../engine/index.js';
import { attribute, type Call, list, type Operator, refuse, tensor } from './call.js';
import type { Value } from './values.js';

interface Window {
  strides: [number, number];
  dilations: [number, number];
  /** Top, left, bottom, right; or as small as a result of the image's size needs. */
  pads: readonly number[] | 'same';
  group: number;
}
function windowOf(call: Call, x: tf.Tensor, filter: tf.Tensor): Window {
  if (x.rank !== 4 || filter.rank !== 4)
    return refuse(`only 2-D convolutions are read, not [${filter.shape}]`);
  const two = (name: string): [number, number] => {
    const [a = 1, b = 1, ...more] = list(call, name) ?? [];
    return more.length === 0 && a >= 1 && b >= 1 ? [a, b] : refuse(`attribute ${name}`);
  };
  const auto = attribute(call, 'auto_pad', 'NOTSET');
  const pads = list(call, 'pads') ?? [0, 0, 0, 0];
  if (!['NOTSET', 'VALID', 'SAME_UPPER', ''].includes(auto)) return refuse(`auto_pad ${auto}`);
  if (pads.length !== 4 || pads.some((p) => !(p >= 0))) return refuse(`pads ${pads}`);
  return {
    strides: two('strides'),
    dilations: two('dilations'),
    pads: auto === 'SAME_UPPER' ? 'same' : auto === 'VALID' ? [0, 0, 0, 0] : pads,
    group: attribute(call, 'group', 1),
  };
}
const nhwc = (x: tf.Tensor) => tf.transpose(x, [0, 2, 3, 1]) as tf.Tensor4D;
const nchw = (x: tf.Tensor) => tf.transpose(x, [0, 3, 1, 2]);
export const withBias = (y: tf.Tensor, bias: Value | undefined) => (bias ? tf.add(y, tensor(bias)) : y);

export const convolution: Operator = (call) => {
  const [x, filter] = [tensor(call.inputs[0]), tensor(call.inputs[1])];
  const { strides, dilations, pads, group } = windowOf(call, x, filter);
  if (x.shape[1] !== filter.shape[1]! * group) return refuse(`${group} groups of ${x.shape[1]} channels`);
  const hwio = tf.transpose(filter, [2, 3, 1, 0]) as tf.Tensor4D;
  const image = pads === 'same' ? nhwc(x) : (tf.pad(nhwc(x), margins(pads)) as tf.Tensor4D);
  const y = groupedConv2d(image, hwio, strides, pads === 'same' ? 'same' : 'valid', dilations);
  return [nchw(withBias(y, call.inputs[2]))];
};
const margins = ([top, left, bottom, right]: readonly number[]): [number, number][] => [
  [0, 0],
  [top, bottom],
  [left, right],
  [0, 0],
];

/** All that filters paint, cut by the pads; what `output_padding` adds beyond it is empty. */
export const transposedConvolution: Operator = (call) => {
  const [x, filter] = [tensor(call.inputs[0]), tensor(call.inputs[1])];
  const { strides, dilations, pads, group } = windowOf(call, x, filter);
  if (group !== 1 || dilations.some((d) => d !== 1) || pads === 'same' || list(call, 'output_shape'))
    return refuse('groups, dilations, auto_pad and output_shape are not read');
  const [m, , h, w] = x.shape;
  const [, out, kh, kw] = filter.shape as number[];
  const whole = [(h! - 1) * strides[0] + kh, (w! - 1) * strides[1] + kw];
  const [top, left, bottom, right] = pads;
  const [extraH = 0, extraW = 0] = list(call, 'output_padding') ?? [];
  const full = tf.conv2dTranspose(
    nhwc(x),
    tf.transpose(filter, [2, 3, 1, 0]) as tf.Tensor4D,
    [m, whole[0], whole[1], out],
    strides,
    'valid',
  );
  const grown = extraH || extraW ? tf.pad(full, margins([0, 0, extraH, extraW])) : full;
  const size = [m, whole[0] - top - bottom + extraH, whole[1] - left - right + extraW, out];
  return [nchw(withBias(tf.slice(grown, [0, top, left, 0], size), call.inputs[2]))];
};
