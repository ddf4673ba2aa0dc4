// Pooling and its gradients, on [n, h, w, c] images. Windows may overlap, and may reach into padding, which is never
// a maximum and never counted in an average.
import * as tf from '#tfjs';
import type { Graph, Value } from '../graph.js';
import { growTo, maxPoolInBlocks } from './blocked.js';
import { type ConvAttributes, checkWidth, pads, resizeEnd, toNchw, toNhwc } from './conv.js';
import { add, binary, div, mul, where } from './elementwise.js';
import type { Lowerings } from './lowering.js';
import { concat, slice } from './shape.js';

type PoolInfo = ReturnType<typeof tf.backend_util.computePool2DInfo>;

interface PoolAttributes extends Pick<ConvAttributes, 'strides' | 'pad' | 'dimRoundingMode'> {
  filterSize: number | [number, number];
}

function poolInfo(x: Value, attrs: PoolAttributes): PoolInfo {
  const info = tf.backend_util.computePool2DInfo(
    x.shape as [number, number, number, number],
    attrs.filterSize,
    attrs.strides,
    1,
    attrs.pad,
    attrs.dimRoundingMode,
  );
  checkWidth(info, attrs);
  return info;
}

const attributes = (info: PoolInfo) => ({
  kernel_shape: [info.filterHeight, info.filterWidth],
  strides: [info.strideHeight, info.strideWidth],
  pads: pads(info),
});

/** Shape of the result in ONNX's layout. */
const nchwShape = (info: PoolInfo) => [info.batchSize, info.outChannels, info.outHeight, info.outWidth];

/** Maximum and its flat index in [n, c, h, w]; the index is computed only where a gradient uses it. */
function maxPool(g: Graph, x: Value, info: PoolInfo): [max: Value, index: Value] {
  const shape = nchwShape(info);
  const [max, index] = g.emit('MaxPool', [toNchw(g, g.cast(x, 'float32'))], attributes(info), [
    { shape, dtype: 'float32' },
    { shape, dtype: 'int64' },
  ]);
  return [max, index];
}

/** Windows that lie side by side, inside the image: each pixel is in one, or in none. */
const isTiling = (info: PoolInfo) =>
  info.strideHeight === info.filterHeight &&
  info.strideWidth === info.filterWidth &&
  pads(info).every((pad) => pad === 0);

/**
 * Gradient of a maximum over tiles, without leaving [n, h, w, c]: the first pixel of a tile that equals the maximum
 * gets all of it.
 */
function tiledMaxPoolGradient(g: Graph, dy: Value, input: Value, output: Value, info: PoolInfo): Value {
  const [n, h, w, c] = input.shape;
  const { outHeight: oh, outWidth: ow, filterHeight: fh, filterWidth: fw } = info;
  const perTile = [n, oh, 1, ow, 1, c];
  const covered = slice(g, input, [0, 0, 0, 0], [n, oh * fh, ow * fw, c]);
  const tiles = g.reshape(covered, [n, oh, fh, ow, fw, c]);
  const equal = binary(g, 'Equal', tiles, g.reshape(output, perTile), undefined, 'bool');
  const not = (v: Value) => g.emit1('Not', [v], v.shape);
  let seen: Value | undefined;
  const rows = Array.from({ length: fh }, (_, i) => {
    const row = Array.from({ length: fw }, (_, j) => {
      const hit = g.reshape(slice(g, equal, [0, 0, i, 0, j, 0], perTile), dy.shape);
      const first = seen ? g.emit1('And', [hit, not(seen)], dy.shape) : hit;
      seen = seen ? g.emit1('Or', [seen, hit], dy.shape) : hit;
      return g.reshape(where(g, first, dy, g.uniform(0, [])), perTile);
    });
    return concat(g, row, 4);
  });
  const gradient = concat(g, rows, 2); // [n, oh, fh, ow, fw, c]
  const image = g.reshape(gradient, [n, oh * fh, ow * fw, c]);
  return growTo(g, image, [n, h, w, c]); // rows and columns that no tile covers
}

const overlaps = (info: PoolInfo) =>
  info.strideHeight < info.filterHeight || info.strideWidth < info.filterWidth;

/** How many pixels of the image each window covers, [1, 1, oh, ow]. */
function coverage(g: Graph, info: PoolInfo): Value {
  const along = (out: number, stride: number, k: number, before: number, size: number) =>
    Array.from({ length: out }, (_, i) => {
      const start = i * stride - before;
      return Math.min(start + k, size) - Math.max(start, 0);
    });
  const rows = along(info.outHeight, info.strideHeight, info.filterHeight, info.padInfo.top, info.inHeight);
  const columns = along(info.outWidth, info.strideWidth, info.filterWidth, info.padInfo.left, info.inWidth);
  const counts = Float32Array.from(rows.flatMap((row) => columns.map((column) => row * column)));
  return g.constant(counts, [1, 1, info.outHeight, info.outWidth], 'float32');
}

export const pooling: Lowerings = {
  MaxPool: ({ g, inputs: { x }, attrs }) => {
    const info = poolInfo(x, attrs);
    const image = g.cast(x, 'float32');
    const inBlocks = maxPoolInBlocks(g, image, info.outShape, { ...attributes(info), dilations: [1, 1] });
    return g.cast(inBlocks ?? toNhwc(g, maxPool(g, image, info)[0]), x.dtype);
  },
  MaxPoolGrad: ({ g, inputs: { dy, input, output }, attrs }) => {
    const info = poolInfo(input, attrs);
    if (isTiling(info)) return tiledMaxPoolGradient(g, dy, input, output, info);
    const [, index] = maxPool(g, input, info);
    const [n, h, w, c] = input.shape;
    const size = n * c * h * w;
    const flat = (v: Value) => g.reshape(v, [n * c * info.outHeight * info.outWidth]);
    // Each gradient goes to the place of its maximum; windows that overlap may share one, and then add up.
    const scattered = g.emit1(
      'ScatterElements',
      [g.uniform(0, [size]), flat(index), flat(toNchw(g, dy))],
      [size],
      { axis: 0, ...(overlaps(info) ? { reduction: 'add' } : {}) },
      dy.dtype,
    );
    return toNhwc(g, g.reshape(scattered, [n, c, h, w]));
  },
  MaxPoolWithArgmax: ({ g, inputs: { x }, attrs }) => {
    const info = poolInfo(x, attrs);
    const [max, index] = maxPool(g, x, info);
    const [n, h, w, c] = x.shape;
    // ONNX counts in [n, c, h, w], TensorFlow.js in [h, w, c], or in [n, h, w, c].
    const long = (number: number) => g.constant(BigInt64Array.of(BigInt(number)), [], 'int64');
    const pixel = g.emit1('Mod', [index, long(h * w)], index.shape);
    const counting = (length: number, step: number, shape: number[]) =>
      g.constant(
        BigInt64Array.from({ length }, (_, i) => BigInt(i * step)),
        shape,
        'int64',
      );
    const inImage = add(g, mul(g, pixel, long(c)), counting(c, 1, [1, c, 1, 1]));
    const place = attrs.includeBatchInIndex ? add(g, inImage, counting(n, h * w * c, [n, 1, 1, 1])) : inImage;
    return [g.cast(toNhwc(g, max), x.dtype), g.cast(toNhwc(g, place), 'int32')];
  },
  AvgPool: ({ g, inputs: { x }, attrs }) => {
    const info = poolInfo(x, attrs);
    return toNhwc(
      g,
      g.emit1('AveragePool', [toNchw(g, x)], nchwShape(info), { ...attributes(info), count_include_pad: 0 }),
    );
  },
  AvgPoolGrad: ({ g, inputs: { dy, input }, attrs }) => {
    const info = poolInfo(input, attrs);
    const [n, h, w, c] = input.shape;
    const ones = g.uniform(1, [c, 1, info.filterHeight, info.filterWidth]);
    const share = div(g, toNchw(g, dy), coverage(g, info));
    const { top, left } = info.padInfo;
    const reach = (out: number, stride: number, k: number) => (out - 1) * stride + k;
    const height = reach(info.outHeight, info.strideHeight, info.filterHeight) - top;
    const width = reach(info.outWidth, info.strideWidth, info.filterWidth) - left;
    const spread = g.emit1('ConvTranspose', [share, ones], [n, c, Math.min(height, h), Math.min(width, w)], {
      kernel_shape: [info.filterHeight, info.filterWidth],
      strides: [info.strideHeight, info.strideWidth],
      pads: [top, left, Math.max(height - h, 0), Math.max(width - w, 0)],
      group: c,
    });
    return toNhwc(g, resizeEnd(g, spread, h, w));
  },
};
