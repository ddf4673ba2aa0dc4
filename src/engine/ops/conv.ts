// Two-dimensional convolutions and their gradients. TensorFlow.js lays images out as [n, h, w, c] and filters as
// [kh, kw, in, out]; ONNX as [n, c, h, w] and [out, in, kh, kw]. Plain transpositions are emitted on either side:
// onnxruntime removes those that meet.
import * as tf from '#tfjs';
import { type Graph, sameShape, type Value } from '../graph.js';
import { matMul } from './linear.js';
import type { Lowerings } from './lowering.js';
import { slice } from './shape.js';

export const toNchw = (g: Graph, x: Value) => g.transpose(x, [0, 3, 1, 2]);
export const toNhwc = (g: Graph, x: Value) => g.transpose(x, [0, 2, 3, 1]);
const filterToOihw = (g: Graph, filter: Value) => g.transpose(filter, [3, 2, 0, 1]);

type Conv2DInfo = ReturnType<typeof tf.backend_util.computeConv2DInfo>;

interface ConvAttributes {
  strides: number | [number, number];
  pad: 'valid' | 'same' | number | [[number, number], [number, number], [number, number], [number, number]];
  dataFormat?: 'NHWC' | 'NCHW';
  dilations?: number | [number, number];
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

function convInfo(
  inputShape: readonly number[],
  filterShape: readonly number[],
  attrs: ConvAttributes,
  depthwise = false,
): Conv2DInfo {
  if (attrs.dataFormat === 'NCHW')
    throw new Error('convolutions of NCHW images are not supported; transpose to NHWC');
  return tf.backend_util.computeConv2DInfo(
    inputShape as [number, number, number, number],
    filterShape as [number, number, number, number],
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
    attrs.dimRoundingMode,
    depthwise,
  );
}

const pads = ({ padInfo: p }: Conv2DInfo) => [p.top, p.left, p.bottom, p.right];

/** Grows (zeros) or crops the end of axes 2 and 3 of [n, c, h, w] to the given size. */
function resizeEnd(g: Graph, x: Value, height: number, width: number): Value {
  const [n, c, h, w] = x.shape;
  let y = x;
  if (height > h || width > w) {
    const shape = [n, c, Math.max(h, height), Math.max(w, width)];
    const padding = g.int64([0, 0, 0, 0, 0, 0, shape[2] - h, shape[3] - w]);
    y = g.emit1('Pad', [x, padding, g.uniform(0, [], x.dtype)], shape);
  }
  return slice(g, y, [0, 0, 0, 0], [n, c, height, width]);
}

function convolution(g: Graph, x: Value, filterOihw: Value, info: Conv2DInfo, group: number): Value {
  const { outShape } = info; // [n, h, w, c]
  const y = g.emit1(
    'Conv',
    [toNchw(g, x), filterOihw],
    [outShape[0], outShape[3], outShape[1], outShape[2]],
    {
      kernel_shape: [info.filterHeight, info.filterWidth],
      strides: [info.strideHeight, info.strideWidth],
      dilations: [info.dilationHeight, info.dilationWidth],
      pads: pads(info),
      group,
    },
  );
  return toNhwc(g, y);
}

/** Gradient with respect to the image: a transposed convolution with the same filter, [out, in, kh, kw]. */
function inputGradient(g: Graph, dy: Value, filterOihw: Value, info: Conv2DInfo, group: number): Value {
  const [n, h, w, c] = info.inShape;
  // Rows of the input that no window reached get a zero gradient: that is what output_padding adds.
  const reach = (out: number, stride: number, k: number, dilation: number) =>
    (out - 1) * stride + (k - 1) * dilation + 1;
  const { top, left } = info.padInfo;
  const fullHeight = reach(info.outHeight, info.strideHeight, info.filterHeight, info.dilationHeight);
  const fullWidth = reach(info.outWidth, info.strideWidth, info.filterWidth, info.dilationWidth);
  const full = g.emit1(
    'ConvTranspose',
    [toNchw(g, dy), filterOihw],
    [n, c, Math.min(fullHeight - top, h), Math.min(fullWidth - left, w)],
    {
      kernel_shape: [info.filterHeight, info.filterWidth],
      strides: [info.strideHeight, info.strideWidth],
      dilations: [info.dilationHeight, info.dilationWidth],
      pads: [top, left, Math.max(fullHeight - top - h, 0), Math.max(fullWidth - left - w, 0)],
      group,
    },
  );
  return toNhwc(g, resizeEnd(g, full, h, w));
}

/** Gradient with respect to the filter: the image's channels convolved with the output's gradient, batch as depth. */
function filterGradient(g: Graph, x: Value, dy: Value, info: Conv2DInfo): Value {
  const { filterHeight, filterWidth, strideHeight, strideWidth, dilationHeight, dilationWidth } = info;
  const [, , , channels] = info.inShape;
  const image = g.transpose(x, [3, 0, 1, 2]); // [c, n, h, w]
  const gradient = g.transpose(dy, [3, 0, 1, 2]); // [o, n, oh, ow]
  // Strides of the forward pass space the gradient's samples: here they are dilations, and dilations strides.
  const size = (
    image: number,
    out: number,
    stride: number,
    dilation: number,
    before: number,
    after: number,
  ) => Math.floor((image + before + after - (out - 1) * stride - 1) / dilation) + 1;
  const p = info.padInfo;
  const height = size(info.inHeight, info.outHeight, strideHeight, dilationHeight, p.top, p.bottom);
  const width = size(info.inWidth, info.outWidth, strideWidth, dilationWidth, p.left, p.right);
  const full = g.emit1('Conv', [image, gradient], [channels, info.outChannels, height, width], {
    kernel_shape: [info.outHeight, info.outWidth],
    strides: [dilationHeight, dilationWidth],
    dilations: [strideHeight, strideWidth],
    pads: pads(info),
    group: 1,
  });
  const filter = resizeEnd(g, full, filterHeight, filterWidth); // rows that no window used are cut
  return g.transpose(filter, [2, 3, 0, 1]); // [kh, kw, c, o]
}

/** A 1×1 convolution of stride 1 is a matrix product over channels. */
const isPointwise = (info: Conv2DInfo) =>
  info.filterHeight === 1 &&
  info.filterWidth === 1 &&
  sameShape(info.outShape.slice(0, 3), info.inShape.slice(0, 3));

export const convolutions: Lowerings = {
  Conv2D: ({ g, inputs: { x, filter }, attrs }) => {
    const info = convInfo(x.shape, filter.shape, attrs);
    if (isPointwise(info)) {
      const rows = g.reshape(x, [info.batchSize * info.inHeight * info.inWidth, info.inChannels]);
      return g.reshape(
        matMul(g, rows, g.reshape(filter, [info.inChannels, info.outChannels])),
        info.outShape,
      );
    }
    return convolution(g, x, filterToOihw(g, filter), info, info.inChannels / filter.shape[2]);
  },
  Conv2DBackpropInput: ({ g, inputs: { dy, filter }, attrs }) => {
    const info = convInfo(attrs.inputShape, filter.shape, attrs);
    return inputGradient(g, dy, filterToOihw(g, filter), info, 1);
  },
  Conv2DBackpropFilter: ({ g, inputs: { x, dy }, attrs }) =>
    filterGradient(g, x, dy, convInfo(x.shape, attrs.filterShape, attrs)),
};
