// Pools: the largest or the mean value of each window, or of each whole channel. Windows may overlap, and padding is never
// a maximum and never counted in a mean.
import { z } from 'zod';
import { tf } from '../../engine/index.js';
import { imageShape, type LayerKind, noArrays, onnxShape } from '../layer.js';
import { onnxWindow, padding, pair, tfPadding, windowed } from '../window.js';

const options = z
  .strictObject({
    size: pair.describe('height and width of a window'),
    stride: pair
      .optional()
      .describe(
        'rows and columns from one window to the next (default: the size, so that windows do not overlap)',
      ),
    padding: padding.prefault('valid').describe('as of convolutions'),
  })
  .transform(({ size, stride = size, padding }) => ({ kernel: size, stride, padding }));

export type PoolOptions = z.infer<typeof options>;

const pool = (kind: string, type: 'max' | 'avg', op: string): LayerKind<PoolOptions> => ({
  kind,
  options,
  inputs: 'one',
  shape(given, [input]) {
    const [h, w, channels] = imageShape(input);
    return [...windowed(given, [h, w]), channels];
  },
  apply({ options: { kernel, stride, padding } }, [x]) {
    const image = x as tf.Tensor4D;
    const square = (pair: readonly [number, number]) =>
      pair[0] === pair[1] ? pair[0] : ([...pair] as [number, number]);
    const pad = tfPadding(padding);
    // tf.maxPool takes explicit padding, its types say less
    return type === 'max'
      ? { output: tf.maxPool(image, square(kernel), square(stride), pad as 'valid') }
      : { output: tf.avgPool(image, square(kernel), square(stride), pad as 'valid') };
  },
  parameters: noArrays,
  state: noArrays,
  multiplyAdds: () => 0,
  toOnnx(g, layer, [x]) {
    const [h, w] = layer.inputShapes[0];
    return g.emit1(op, [x], onnxShape(layer.outputShape), onnxWindow(layer.options, [h, w]));
  },
});

const globalPool = (
  kind: string,
  reduce: (x: tf.Tensor) => tf.Tensor,
  op: string,
): LayerKind<Record<never, never>> => ({
  kind,
  options: z.strictObject({}),
  inputs: 'one',
  shape: (_, [input]) => [imageShape(input)[2]],
  apply: (_, [x]) => ({ output: reduce(x) }),
  parameters: noArrays,
  state: noArrays,
  multiplyAdds: () => 0,
  toOnnx(g, { outputShape }, [x]) {
    const [channels] = outputShape;
    return g.reshape(g.emit1(op, [x], [-1, channels, 1, 1]), [-1, channels]);
  },
});

export const pools = [
  pool('max-pool', 'max', 'MaxPool'),
  pool('average-pool', 'avg', 'AveragePool'),
  globalPool('global-average-pool', (x) => tf.mean(x, [1, 2]), 'GlobalAveragePool'),
  globalPool('global-max-pool', (x) => tf.max(x, [1, 2]), 'GlobalMaxPool'),
];
