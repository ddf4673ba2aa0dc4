// Batch normalisation and local response normalisation, on [n, h, w, c] images.
import type { Value } from '../graph.js';
import { toNchw, toNhwc } from './conv.js';
import { add, mul, scalar, sub, unary } from './elementwise.js';
import type { Lowerings } from './lowering.js';

/** A value that is known when the step is compiled, one number per channel. */
const isKnownVector = (v: Value | undefined) =>
  v !== undefined && v.shape.length === 1 && (v.constant !== undefined || v.uniform !== undefined);

export const normalization: Lowerings = {
  FusedBatchNorm: ({ g, inputs: { x, mean, variance, scale, offset }, attrs }) => {
    const epsilon: number = attrs.varianceEpsilon;
    const ones = scale ?? g.uniform(1, mean.shape);
    const zeros = offset ?? g.uniform(0, mean.shape);
    // Of a network that does not change: one operator, which onnxruntime makes part of the convolution before it.
    if ([ones, zeros, mean, variance].every(isKnownVector)) {
      const image = toNchw(g, x);
      const inputs = [image, ones, zeros, mean, variance];
      const attributes = { epsilon: { float: epsilon } };
      return toNhwc(g, g.emit1('BatchNormalization', inputs, image.shape, attributes));
    }
    const deviation = unary(g, 'Sqrt', add(g, variance, scalar(g, epsilon)), Math.sqrt);
    const factor = mul(
      g,
      unary(g, 'Reciprocal', deviation, (s) => 1 / s),
      ones,
    );
    // The mean first: x · factor − mean · factor would lose digits where the mean is large.
    return add(g, mul(g, sub(g, x, mean), factor), zeros);
  },
  LRN: ({ g, inputs: { x }, attrs }) => {
    const size = 2 * attrs.depthRadius + 1;
    const image = toNchw(g, x);
    const attributes = {
      size,
      bias: { float: attrs.bias },
      alpha: { float: attrs.alpha * size }, // ONNX divides by the size, TensorFlow.js does not
      beta: { float: attrs.beta },
    };
    return toNhwc(g, g.emit1('LRN', [image], image.shape, attributes));
  },
};
