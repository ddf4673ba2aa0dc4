// Products and convolutions with a bias and an activation at their end, as TensorFlow.js fuses them for inference.
import type { Graph, Value } from '../graph.js';
import { type Activation, activate } from './activation.js';
import { type ConvAttributes, conv2d } from './conv.js';
import { depthwiseConv2d } from './depthwise.js';
import { add } from './elementwise.js';
import { matMul } from './linear.js';
import type { Lowering, Lowerings } from './lowering.js';

type Convolve = (g: Graph, x: Value, filter: Value, attrs: ConvAttributes, bias?: Value) => Value;

const fusedConvolution =
  (convolve: Convolve, outChannels: (filter: Value) => number): Lowering =>
  ({ g, inputs: { x, filter, bias, preluActivationWeights }, attrs }) => {
    // A number per channel is an input of the convolution itself.
    const within = bias?.shape.length === 1 && bias.shape[0] === outChannels(filter);
    const y = convolve(g, x, filter, attrs, within ? bias : undefined);
    const biased = bias && !within ? add(g, y, bias) : y;
    return activate(g, biased, attrs as Activation, preluActivationWeights);
  };

export const fused: Lowerings = {
  FusedConv2D: fusedConvolution(conv2d, (filter) => filter.shape[3]),
  FusedDepthwiseConv2D: fusedConvolution(depthwiseConv2d, (filter) => filter.shape[2] * filter.shape[3]),
  _FusedMatMul: ({ g, inputs: { a, b, bias, preluActivationWeights }, attrs }) => {
    const y = matMul(g, a, b, attrs.transposeA, attrs.transposeB);
    return activate(g, bias ? add(g, y, bias) : y, attrs as Activation, preluActivationWeights);
  },
};
