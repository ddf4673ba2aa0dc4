// Depthwise convolutions and their gradients: as many groups as channels. TensorFlow.js's filters are
// [kh, kw, in, multiplier]; as a grouped convolution's, [kh, kw, 1, in · multiplier].
import type { Graph, Value } from '../graph.js';
import { type ConvAttributes, convInfo, convolution, filterGradient, inputGradient } from './conv.js';
import type { Lowerings } from './lowering.js';

const filterToOihw = (g: Graph, filter: Value) => {
  const [kh, kw, channels, multiplier] = filter.shape;
  return g.transpose(g.reshape(filter, [kh, kw, 1, channels * multiplier]), [3, 2, 0, 1]);
};

/** [n, h, w, c] ∗ [kh, kw, c, multiplier] → [n, oh, ow, c · multiplier] */
export function depthwiseConv2d(
  g: Graph,
  x: Value,
  filter: Value,
  attrs: ConvAttributes,
  bias?: Value,
): Value {
  const info = convInfo(x.shape, filter.shape, attrs, true);
  return convolution(g, x, filterToOihw(g, filter), info, info.inChannels, bias);
}

export const depthwiseConvolutions: Lowerings = {
  DepthwiseConv2dNative: ({ g, inputs: { x, filter }, attrs }) => depthwiseConv2d(g, x, filter, attrs),
  DepthwiseConv2dNativeBackpropInput: ({ g, inputs: { dy, filter }, attrs }) => {
    const info = convInfo(attrs.inputShape, filter.shape, attrs, true);
    return inputGradient(g, dy, filterToOihw(g, filter), info, info.inChannels);
  },
  DepthwiseConv2dNativeBackpropFilter: ({ g, inputs: { x, dy }, attrs }) => {
    const info = convInfo(x.shape, attrs.filterShape, attrs, true);
    return g.reshape(filterGradient(g, x, dy, info, info.inChannels), attrs.filterShape);
  },
};
