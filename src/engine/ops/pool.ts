// Pooling and its gradients, on [n, h, w, c] images.
import * as tf from '#tfjs';
import type { Graph, Value } from '../graph.js';
import { toNchw, toNhwc } from './conv.js';
import { div } from './elementwise.js';
import type { Lowerings } from './lowering.js';

type PoolInfo = ReturnType<typeof tf.backend_util.computePool2DInfo>;

interface PoolAttributes {
  filterSize: number | [number, number];
  strides: number | [number, number];
  pad: 'valid' | 'same' | number;
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

const poolInfo = (x: Value, attrs: PoolAttributes): PoolInfo =>
  tf.backend_util.computePool2DInfo(
    x.shape as [number, number, number, number],
    attrs.filterSize,
    attrs.strides,
    1,
    attrs.pad,
    attrs.dimRoundingMode,
  );

const attributes = (info: PoolInfo) => ({
  kernel_shape: [info.filterHeight, info.filterWidth],
  strides: [info.strideHeight, info.strideWidth],
  pads: [info.padInfo.top, info.padInfo.left, info.padInfo.bottom, info.padInfo.right],
});

/** Maximum and its flat index in [n, c, h, w]; the index is computed only where a gradient uses it. */
function maxPool(g: Graph, x: Value, info: PoolInfo): [max: Value, index: Value] {
  const shape = [info.batchSize, info.outChannels, info.outHeight, info.outWidth];
  const [max, index] = g.emit('MaxPool', [toNchw(g, x)], attributes(info), [
    { shape, dtype: x.dtype },
    { shape, dtype: 'int64' },
  ]);
  return [max, index];
}

const overlaps = (info: PoolInfo) =>
  info.strideHeight < info.filterHeight || info.strideWidth < info.filterWidth;

export const pooling: Lowerings = {
  MaxPool: ({ g, inputs: { x }, attrs }) => toNhwc(g, maxPool(g, x, poolInfo(x, attrs))[0]),
  MaxPoolGrad: ({ g, inputs: { dy, input }, attrs }) => {
    const info = poolInfo(input, attrs);
    const [, index] = maxPool(g, input, info);
    const [n, h, w, c] = input.shape;
    const size = n * c * h * w;
    const flat = (v: Value) => g.reshape(v, [n * c * info.outHeight * info.outWidth]);
    // Each gradient goes to the place of its maximum; windows that overlap may share one, and then add up.
    const scattered = g.emit1(
      'ScatterElements',
      [g.uniform(0, [size]), flat(index), flat(toNchw(g, dy))].map((v, i) =>
        i === 1 ? g.cast(v, 'int64') : v,
      ),
      [size],
      { axis: 0, ...(overlaps(info) ? { reduction: 'add' } : {}) },
      dy.dtype,
    );
    return toNhwc(g, g.reshape(scattered, [n, c, h, w]));
  },
  AvgPool: ({ g, inputs: { x }, attrs }) => {
    const info = poolInfo(x, attrs);
    const shape = [info.batchSize, info.outChannels, info.outHeight, info.outWidth];
    return toNhwc(
      g,
      g.emit1('AveragePool', [toNchw(g, x)], shape, { ...attributes(info), count_include_pad: 0 }),
    );
  },
  AvgPoolGrad: ({ g, inputs: { dy, input }, attrs }) => {
    const info = poolInfo(input, attrs);
    const [n, h, w, c] = input.shape;
    if (info.padInfo.top + info.padInfo.left + info.padInfo.bottom + info.padInfo.right > 0)
      throw new Error(
        'the gradient of a padded average pool is not supported; pad the image first and pool "valid"',
      );
    const ones = g.constant(
      new Float32Array(c * info.filterHeight * info.filterWidth).fill(1),
      [c, 1, info.filterHeight, info.filterWidth],
      'float32',
    );
    const share = div(g, toNchw(g, dy), g.uniform(info.filterHeight * info.filterWidth, []));
    const reach = (out: number, stride: number, k: number) => (out - 1) * stride + k;
    const height = reach(info.outHeight, info.strideHeight, info.filterHeight);
    const width = reach(info.outWidth, info.strideWidth, info.filterWidth);
    const spread = g.emit1('ConvTranspose', [share, ones], [n, c, height, width], {
      kernel_shape: [info.filterHeight, info.filterWidth],
      strides: [info.strideHeight, info.strideWidth],
      group: c,
    });
    const padding = g.int64([0, 0, 0, 0, 0, 0, h - height, w - width]);
    return toNhwc(g, g.emit1('Pad', [spread, padding, g.uniform(0, [])], [n, c, h, w]));
  },
};
