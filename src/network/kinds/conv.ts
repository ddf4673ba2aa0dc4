// Convolutions: any kernel, stride, padding, dilation and number of groups. Depthwise ones are those of as many groups as
// input channels.
import { z } from 'zod';
import { groupedConv2d, tf } from '../../engine/index.js';
import {
  imageShape,
  type Layer,
  type LayerKind,
  noArrays,
  onnxConstant,
  onnxShape,
  ShapeError,
} from '../layer.js';
import { count, onnxWindow, padding, pair, tfPadding, windowed } from '../window.js';
import { withBias } from './bias.js';

const shared = {
  kernel: pair.describe('height and width of a kernel'),
  stride: pair.prefault(1).describe('rows and columns from one position of a kernel to the next'),
  padding: padding
    .prefault('valid')
    .describe(
      'zeros around the image: valid (none), same (output of the input size), or numbers of rows and columns',
    ),
  dilation: pair.prefault(1).describe('distance of neighbouring weights of a kernel'),
  bias: z.boolean().default(true).describe('whether a bias is added to each output channel'),
};

const convOptions = z.strictObject({
  channels: count.describe('output channels'),
  ...shared,
  groups: count.default(1).describe('groups of channels that do not see each other'),
});
const depthwiseOptions = z.strictObject({
  multiplier: count.default(1).describe('output channels for each input channel'),
  ...shared,
});

export type ConvOptions = z.infer<typeof convOptions>;
export type DepthwiseOptions = z.infer<typeof depthwiseOptions>;
/** What a layer of either kind is. */
type Convolution = ConvOptions;

function outputShape(options: Convolution, input: readonly number[]) {
  const [h, w, inputs] = imageShape(input);
  const { channels, groups } = options;
  if (inputs % groups !== 0 || channels % groups !== 0)
    throw new ShapeError(`${groups} groups do not divide ${inputs} input and ${channels} output channels`);
  return [...windowed(options, [h, w]), channels];
}

/** The kinds share everything but their options. */
function convolution<Options extends ConvOptions | DepthwiseOptions>(
  kind: string,
  options: z.ZodType<Options>,
  full: (options: Options, inputs: number) => Convolution,
): LayerKind<Options> {
  const convOf = ({ options, inputShapes: [input] }: Layer<Options>) => full(options, imageShape(input)[2]);
  const shapeOf = (layer: Layer<Options>) => {
    const { channels, groups, kernel } = convOf(layer);
    return [channels, layer.inputShapes[0][2] / groups, ...kernel] as const;
  };
  return {
    kind,
    options,
    inputs: 'one',
    shape: (given, [input]) => outputShape(full(given, imageShape(input)[2]), input),
    weights: {
      random: true,
      shape: shapeOf,
      apply: (layer, x, weights) => convolve(convOf(layer), x as tf.Tensor4D, weights as tf.Tensor4D),
    },
    parameters: (layer) => withBias(layer.options, layer.outputShape[2]),
    state: noArrays,
    multiplyAdds(layer) {
      const [h, w] = layer.outputShape;
      return h * w * shapeOf(layer).reduce((a, b) => a * b);
    },
    toOnnx(g, layer, [x], { weights, bias }) {
      const [h, w] = layer.inputShapes[0];
      const { groups, dilation, ...window } = convOf(layer);
      const attributes = {
        ...onnxWindow({ ...window, dilation }, [h, w]),
        dilations: [...dilation],
        group: groups,
      };
      const inputs = [x, onnxConstant(g, weights), ...(bias ? [onnxConstant(g, bias)] : [])];
      return g.emit1('Conv', inputs, onnxShape(layer.outputShape), attributes);
    },
  };
}

export const conv = convolution('conv', convOptions, (options) => options);
export const depthwiseConv = convolution('depthwise-conv', depthwiseOptions, (options, inputs) => ({
  ...options,
  channels: inputs * options.multiplier,
  groups: inputs,
}));

/** x [n, h, w, in] ⋆ weights [out, in of a group, kh, kw] → [n, h', w', out]. */
function convolve(
  { stride, padding, dilation, groups }: Convolution,
  x: tf.Tensor4D,
  weights: tf.Tensor4D,
): tf.Tensor4D {
  const pad = tfPadding(padding);
  const strides = stride[0] === stride[1] ? stride[0] : ([...stride] as [number, number]);
  const dilations = dilation[0] === dilation[1] ? dilation[0] : ([...dilation] as [number, number]);
  const [out, inputs, h, w] = weights.shape;
  if (groups > 1 && inputs === 1) {
    const byChannel = tf.reshape(weights, [groups, out / groups, h, w]) as tf.Tensor4D;
    const filters = tf.transpose(byChannel, [2, 3, 0, 1]); // [h, w, in, multiplier]
    return tf.depthwiseConv2d(x, filters, strides, pad, 'NHWC', dilations);
  }
  const filters = tf.transpose(weights, [2, 3, 1, 0]); // [h, w, in, out]
  return groups > 1
    ? groupedConv2d(x, filters, strides, pad, dilations)
    : tf.conv2d(x, filters, strides, pad, 'NHWC', dilations);
}
