// Transposed (fractionally strided) convolutions: every input pixel paints a kernel, and images grow by the stride.
import { z } from 'zod';
import { tf } from '../../engine/index.js';
import { imageShape, type LayerKind, noArrays, onnxConstant, onnxShape } from '../layer.js';
import { count, type Pair, pair } from '../window.js';
import { withBias } from './bias.js';

const options = z.strictObject({
  channels: count.describe('output channels'),
  kernel: pair.describe('height and width of a kernel'),
  stride: pair
    .prefault(2)
    .describe('rows and columns that lie between neighbouring input pixels in the output'),
  padding: z
    .enum(['valid', 'same'])
    .default('same')
    .describe('same: the output is the input size times the stride; valid: every painted pixel is kept'),
  bias: z.boolean().default(true).describe('whether a bias is added to each output channel'),
});

export type TransposedConvOptions = z.infer<typeof options>;

const outputSize = ({ kernel, stride, padding }: TransposedConvOptions, size: Pair): Pair => {
  const along = (axis: 0 | 1) =>
    padding === 'same'
      ? size[axis] * stride[axis]
      : (size[axis] - 1) * stride[axis] + Math.max(kernel[axis], stride[axis]);
  return [along(0), along(1)];
};

export const transposedConv: LayerKind<TransposedConvOptions> = {
  kind: 'transposed-conv',
  options,
  inputs: 'one',
  shape(given, [input]) {
    const [h, w] = imageShape(input);
    return [...outputSize(given, [h, w]), given.channels];
  },
  weights: {
    random: true,
    shape: ({ options: { channels, kernel }, inputShapes: [input] }) => [channels, input[2], ...kernel],
    apply({ options: { stride, padding }, outputShape: [h, w, channels] }, x, weights) {
      const filters = tf.transpose(weights as tf.Tensor4D, [2, 3, 0, 1]); // [h, w, out, in]
      const size: [number, number, number, number] = [x.shape[0], h, w, channels];
      return tf.conv2dTranspose(x as tf.Tensor4D, filters, size, [...stride], padding);
    },
  },
  parameters: ({ options, outputShape: shape }) => withBias(options, shape[2]),
  state: noArrays,
  multiplyAdds({ options: { channels, kernel }, inputShapes: [[h, w, inputs]] }) {
    return h * w * inputs * channels * kernel[0] * kernel[1];
  },
  toOnnx(g, layer, [x], { weights, bias }) {
    const { kernel, stride, padding } = layer.options;
    const [out, inputs, h, w] = weights.shape;
    const filters = g.transpose(onnxConstant(g, weights), [1, 0, 2, 3]); // [in, out, h, w]
    const spare = (axis: 0 | 1) => (padding === 'same' ? Math.max(kernel[axis] - stride[axis], 0) : 0);
    const missing = (axis: 0 | 1) => Math.max(stride[axis] - kernel[axis], 0);
    const before = [Math.floor(spare(0) / 2), Math.floor(spare(1) / 2)];
    return g.emit1(
      'ConvTranspose',
      [x, g.reshape(filters, [inputs, out, h, w]), ...(bias ? [onnxConstant(g, bias)] : [])],
      onnxShape(layer.outputShape),
      {
        kernel_shape: [...kernel],
        strides: [...stride],
        pads: [before[0], before[1], spare(0) - before[0], spare(1) - before[1]],
        output_padding: [missing(0), missing(1)],
      },
    );
  },
};
