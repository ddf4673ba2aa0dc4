// Two-dimensional convolutions and their gradients, with any stride, padding, dilation and number of groups.
// TensorFlow.js lays images out as [n, h, w, c] and filters as [kh, kw, in / groups, out]; ONNX as [n, c, h, w] and
// [out, in / groups, kh, kw]. Plain transpositions are emitted on either side: onnxruntime removes those that meet.
import * as tf from '#tfjs';
import { type Graph, sameShape, type Value } from '../graph.js';
import { convolveInBlocks, correlateInBlocks, growTo, paysInBlocks } from './blocked.js';
import { matMul } from './linear.js';
import type { Lowerings } from './lowering.js';
import { slice } from './shape.js';

export const toNchw = (g: Graph, x: Value) => g.transpose(x, [0, 3, 1, 2]);
export const toNhwc = (g: Graph, x: Value) => g.transpose(x, [0, 2, 3, 1]);
const filterToOihw = (g: Graph, filter: Value) => g.transpose(filter, [3, 2, 0, 1]);

export type ConvInfo = ReturnType<typeof tf.backend_util.computeConv2DInfo>;

export interface ConvAttributes {
  strides: number | [number, number];
  pad: 'valid' | 'same' | number | [[number, number], [number, number], [number, number], [number, number]];
  dataFormat?: 'NHWC' | 'NCHW';
  dilations?: number | [number, number];
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

/** Sizes, strides and paddings of a convolution; `depthwise` filters are [kh, kw, in, multiplier]. */
export function convInfo(
  inputShape: readonly number[],
  filterShape: readonly number[],
  attrs: ConvAttributes,
  depthwise = false,
): ConvInfo {
  if (attrs.dataFormat === 'NCHW')
    throw new Error('convolutions of NCHW images are not supported; transpose to NHWC');
  const info = tf.backend_util.computeConv2DInfo(
    inputShape as [number, number, number, number],
    filterShape as [number, number, number, number],
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
    attrs.dimRoundingMode,
    depthwise,
  );
  checkWidth(info, attrs);
  return info;
}

/**
 * Padding that is one number makes TensorFlow.js compute the number of columns with the height of the window and the
 * stride between rows.
 * @throws Error where that leaves columns out, or invents some
 */
export function checkWidth(
  info: WindowInfo,
  { pad, dimRoundingMode }: Omit<ConvAttributes, 'strides'>,
): void {
  if (typeof pad !== 'number') return;
  const last = (info.inWidth - info.effectiveFilterWidth + 2 * pad) / info.strideWidth;
  const columns = Math[dimRoundingMode ?? 'floor'](last + 1);
  if (columns !== info.outWidth)
    throw new Error(
      `TensorFlow.js makes ${info.outWidth} columns of ${columns} where windows or strides are not square and padding ` +
        `is a number: give it as ${pad === 0 ? '"valid"' : `[[0, 0], [${pad}, ${pad}], [${pad}, ${pad}], [0, 0]]`}`,
    );
}

type WindowInfo = Pick<
  ConvInfo,
  | 'padInfo'
  | 'inHeight'
  | 'inWidth'
  | 'outHeight'
  | 'outWidth'
  | 'strideHeight'
  | 'strideWidth'
  | 'effectiveFilterHeight'
  | 'effectiveFilterWidth'
>;

/** Rows and columns from the first window's start to the last one's end. */
const reach = (info: WindowInfo) => ({
  height: (info.outHeight - 1) * info.strideHeight + info.effectiveFilterHeight,
  width: (info.outWidth - 1) * info.strideWidth + info.effectiveFilterWidth,
});

/** ONNX's pads. Where the number of windows was rounded up, the last one ends behind the padded image: pad up to it. */
export function pads(info: WindowInfo): [top: number, left: number, bottom: number, right: number] {
  const { top, left, bottom, right } = info.padInfo;
  const { height, width } = reach(info);
  return [
    top,
    left,
    Math.max(bottom, height - top - info.inHeight),
    Math.max(right, width - left - info.inWidth),
  ];
}

/** Grows (zeros) or crops the end of axes 2 and 3 of [n, c, h, w] to the given size. */
export function resizeEnd(g: Graph, x: Value, height: number, width: number): Value {
  const [n, c, h, w] = x.shape;
  const grown = growTo(g, x, [n, c, Math.max(h, height), Math.max(w, width)]);
  return slice(g, grown, [0, 0, 0, 0], [n, c, height, width]);
}

const windows = (info: ConvInfo) => ({
  kernel_shape: [info.filterHeight, info.filterWidth],
  strides: [info.strideHeight, info.strideWidth],
  dilations: [info.dilationHeight, info.dilationWidth],
});

/** @param bias [out], added to every pixel */
export function convolution(
  g: Graph,
  x: Value,
  filterOihw: Value,
  info: ConvInfo,
  group: number,
  bias?: Value,
): Value {
  if (group === 1 && !bias && paysInBlocks(g, info.inChannels, info.outChannels, filterOihw))
    return convolveInBlocks(g, x, filterOihw, info.outShape, { ...windows(info), pads: pads(info) });
  const y = g.emit1(
    'Conv',
    [toNchw(g, x), filterOihw, ...(bias ? [bias] : [])],
    [info.batchSize, info.outChannels, info.outHeight, info.outWidth],
    { ...windows(info), pads: pads(info), group },
  );
  return toNhwc(g, y);
}

/** Gradient with respect to the image: a transposed convolution with the same filter, [out, in / groups, kh, kw]. */
export function inputGradient(g: Graph, dy: Value, filterOihw: Value, info: ConvInfo, group: number): Value {
  const [n, h, w, c] = info.inShape;
  const flipped = group === 1 && filterForInput(g, filterOihw, info);
  // It has a window for each pixel of the image, the transposed convolution one for each of the output.
  const moreWindows = (h * w) / (info.outHeight * info.outWidth);
  if (flipped && moreWindows <= 2 && paysInBlocks(g, info.outChannels, c, flipped.filter))
    return convolveInBlocks(g, dy, flipped.filter, info.inShape, flipped.window);
  const { top, left } = info.padInfo;
  const { height, width } = reach(info);
  const full = g.emit1(
    'ConvTranspose',
    [toNchw(g, dy), filterOihw],
    [n, c, Math.min(height - top, h), Math.min(width - left, w)],
    {
      ...windows(info),
      pads: [top, left, Math.max(height - top - h, 0), Math.max(width - left - w, 0)],
      group,
    },
  );
  return toNhwc(g, resizeEnd(g, full, h, w)); // rows that no window reached have no gradient
}

/** Where windows are one pixel apart, that transposed convolution is one with the filter turned round and transposed. */
function filterForInput(g: Graph, filterOihw: Value, info: ConvInfo) {
  const [top, left, bottom, right] = pads(info);
  const height = info.effectiveFilterHeight - 1;
  const width = info.effectiveFilterWidth - 1;
  const window = {
    ...windows(info),
    pads: [height - top, width - left, height - bottom, width - right] as const,
  };
  if (info.strideHeight > 1 || info.strideWidth > 1 || Math.min(...window.pads) < 0) return undefined;
  const turned = g.transpose(filterOihw, [1, 0, 2, 3]); // [in, out, kh, kw]
  const [, , kh, kw] = turned.shape;
  return { window, filter: slice(g, turned, [0, 0, kh - 1, kw - 1], turned.shape, [1, 1, -1, -1]) };
}

/**
 * Gradient with respect to the filter, [kh, kw, in / groups, out]: the image's channels convolved with the output's
 * gradient, with the batch as depth. Input channels of a group become the batch: [in / groups, groups · n, h, w].
 */
export function filterGradient(g: Graph, x: Value, dy: Value, info: ConvInfo, group: number): Value {
  const { batchSize: n, inHeight: h, inWidth: w, inChannels, outChannels } = info;
  const perGroup = inChannels / group;
  const [top, left, bottom, right] = pads(info);
  // Strides of the forward pass space the gradient's samples: here they are dilations, and dilations strides.
  const size = (padded: number, out: number, stride: number, dilation: number) =>
    Math.floor((padded - (out - 1) * stride - 1) / dilation) + 1;
  const height = size(h + top + bottom, info.outHeight, info.strideHeight, info.dilationHeight);
  const width = size(w + left + right, info.outWidth, info.strideWidth, info.dilationWidth);
  const window = {
    kernel_shape: [info.outHeight, info.outWidth],
    strides: [info.dilationHeight, info.dilationWidth],
    dilations: [info.strideHeight, info.strideWidth],
    pads: [top, left, bottom, right] as const,
  };
  let full: Value; // [in / groups, out, height, width]
  if (group === 1 && n >= g.channelBlock && paysInBlocks(g, n, outChannels, dy))
    full = correlateInBlocks(g, x, dy, window, [height, width]);
  else {
    const image = g.reshape(g.transpose(g.reshape(x, [n, h, w, group, perGroup]), [4, 3, 0, 1, 2]), [
      perGroup,
      group * n,
      h,
      w,
    ]);
    const gradient = g.transpose(dy, [3, 0, 1, 2]); // [out, n, oh, ow]
    full = g.emit1('Conv', [image, gradient], [perGroup, outChannels, height, width], { ...window, group });
  }
  const filter = resizeEnd(g, full, info.filterHeight, info.filterWidth); // rows that no window used are cut
  return g.transpose(filter, [2, 3, 0, 1]);
}

/** A 1×1 convolution of stride 1, without padding or groups, is a matrix product over channels. */
const isPointwise = (info: ConvInfo, group: number) =>
  group === 1 &&
  info.filterHeight === 1 &&
  info.filterWidth === 1 &&
  info.padInfo.top === 0 &&
  info.padInfo.left === 0 &&
  sameShape(info.outShape.slice(0, 3), info.inShape.slice(0, 3));

/** [n, h, w, c] as [n · h · w, c]. */
const pixels = (g: Graph, x: Value) => g.reshape(x, [x.shape[0] * x.shape[1] * x.shape[2], x.shape[3]]);
const asMatrix = (g: Graph, filter: Value) => g.reshape(filter, filter.shape.slice(2));

/** The convolution of an image with a filter whose third axis is the image's channels, or a divisor of them. */
export function conv2d(g: Graph, x: Value, filter: Value, attrs: ConvAttributes, bias?: Value): Value {
  const info = convInfo(x.shape, filter.shape, attrs);
  const group = info.inChannels / filter.shape[2];
  if (isPointwise(info, group) && !bias)
    return g.reshape(matMul(g, pixels(g, x), asMatrix(g, filter)), info.outShape);
  return convolution(g, x, filterToOihw(g, filter), info, group, bias);
}

export const convolutions: Lowerings = {
  Conv2D: ({ g, inputs: { x, filter }, attrs }) => conv2d(g, x, filter, attrs),
  Conv2DBackpropInput: ({ g, inputs: { dy, filter }, attrs }) => {
    const info = convInfo(attrs.inputShape, filter.shape, attrs);
    const group = info.inChannels / filter.shape[2];
    if (isPointwise(info, group))
      return g.reshape(matMul(g, pixels(g, dy), asMatrix(g, filter), false, true), info.inShape);
    return inputGradient(g, dy, filterToOihw(g, filter), info, group);
  },
  Conv2DBackpropFilter: ({ g, inputs: { x, dy }, attrs }) => {
    const info = convInfo(x.shape, attrs.filterShape, attrs);
    const group = info.inChannels / attrs.filterShape[2];
    if (isPointwise(info, group))
      return g.reshape(matMul(g, pixels(g, x), pixels(g, dy), true, false), attrs.filterShape);
    return filterGradient(g, x, dy, info, group);
  },
};
