// Each channel times a trained number, plus a trained number: what batch normalisation does after normalising.
import { z } from 'zod';
import { tf } from '../../engine/index.js';
import { type LayerKind, noArrays, onnxConstant, onnxShape } from '../layer.js';

const options = z.strictObject({
  scale: z.boolean().default(true).describe('whether each channel is multiplied by a trained number'),
  offset: z.boolean().default(true).describe('whether a trained number is added to each channel'),
});

export type AffineOptions = z.infer<typeof options>;

export const affine: LayerKind<AffineOptions> = {
  kind: 'affine',
  options,
  inputs: 'one',
  shape: (_, [input]) => input,
  apply(_, [x], { parameters: { scale, offset } }) {
    const scaled = scale ? tf.mul(x, scale) : x;
    return { output: offset ? tf.add(scaled, offset) : scaled };
  },
  parameters: ({ options: { scale, offset }, outputShape }) => ({
    ...(scale && { scale: { shape: [outputShape.at(-1)!], start: 1 } }),
    ...(offset && { offset: { shape: [outputShape.at(-1)!], start: 0 } }),
  }),
  state: noArrays,
  multiplyAdds: () => 0,
  toOnnx(g, { outputShape }, [x], { scale, offset }) {
    // over height and width of images [n, c, h, w]
    const shape = outputShape.length === 3 ? [outputShape[2], 1, 1] : outputShape;
    const by = (op: string, y: typeof x, array: typeof scale | undefined) =>
      array ? g.emit1(op, [y, onnxConstant(g, { data: array.data, shape })], onnxShape(outputShape)) : y;
    return by('Add', by('Mul', x, scale), offset);
  },
};
