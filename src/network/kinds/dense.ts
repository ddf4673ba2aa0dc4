// Dense layers: every output sees every input. Their weights are kernels of 1×1 to a prior.
import { z } from 'zod';
import { tf } from '../../engine/index.js';
import { type LayerKind, noArrays, onnxConstant, onnxShape, ShapeError } from '../layer.js';
import { count } from '../window.js';
import { withBias } from './bias.js';

const options = z.strictObject({
  units: count.describe('outputs'),
  bias: z.boolean().default(true).describe('whether a bias is added to each output'),
});

export type DenseOptions = z.infer<typeof options>;

export const dense: LayerKind<DenseOptions> = {
  kind: 'dense',
  options,
  inputs: 'one',
  shape({ units }, [input]) {
    if (input.length !== 1)
      throw new ShapeError(`it needs a vector, its input is [${input.join(', ')}]: put a flatten before it`);
    return [units];
  },
  weights: {
    random: false,
    shape: ({ options: { units }, inputShapes: [[inputs]] }) => [units, inputs, 1, 1],
    apply({ options: { units }, inputShapes: [[inputs]] }, x, weights) {
      const matrix = tf.reshape(weights, [units, inputs]) as tf.Tensor2D;
      return tf.matMul(x as tf.Tensor2D, matrix, false, true);
    },
  },
  parameters: ({ options, outputShape: shape }) => withBias(options, shape[0]),
  state: noArrays,
  multiplyAdds: ({ options: { units }, inputShapes: [[inputs]] }) => units * inputs,
  toOnnx(g, { outputShape, inputShapes: [[inputs]] }, [x], { weights, bias }) {
    const matrix = onnxConstant(g, { data: weights.data, shape: [outputShape[0], inputs] });
    return g.emit1('Gemm', [x, matrix, ...(bias ? [onnxConstant(g, bias)] : [])], onnxShape(outputShape), {
      transB: 1,
    });
  },
};
