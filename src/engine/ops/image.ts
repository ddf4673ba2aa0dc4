// Resizing, flipping and rearranging images, [n, h, w, c].
import type { Graph, Value } from '../graph.js';
import { sizeOf } from '../tree.js';
import { matMul } from './linear.js';
import type { Lowerings } from './lowering.js';
import { slice, takeAlong } from './shape.js';

export interface ResizeAttributes {
  alignCorners: boolean;
  halfPixelCenters: boolean;
}

/** Where in the old image, in its pixels, each new one lies. */
function positions(from: number, to: number, { alignCorners }: ResizeAttributes, shift: number): number[] {
  const aligned = alignCorners && to > 1;
  const ratio = (aligned ? from - 1 : from) / (aligned ? to - 1 : to);
  return Array.from({ length: to }, (_, i) => ratio * (i + shift));
}

/** The old pixel that each new one is a copy of. */
export function nearestPixels(from: number, to: number, attrs: ResizeAttributes): number[] {
  const round = attrs.alignCorners ? Math.round : Math.floor;
  return positions(from, to, attrs, attrs.halfPixelCenters ? 0.5 : 0).map((at) =>
    Math.max(0, Math.min(from - 1, round(at))),
  );
}

/** Weights of the old pixels in each new one, [to, from]: of one axis of a bilinear, or nearest, interpolation. */
export function interpolation(
  from: number,
  to: number,
  attrs: ResizeAttributes,
  nearest: boolean,
): Float32Array {
  const weights = new Float32Array(to * from);
  if (nearest) {
    for (const [i, pixel] of nearestPixels(from, to, attrs).entries()) weights[i * from + pixel] = 1;
    return weights;
  }
  const half = attrs.halfPixelCenters ? 0.5 : 0;
  for (const [i, shifted] of positions(from, to, attrs, half).entries()) {
    const at = shifted - half;
    const below = Math.max(0, Math.floor(at));
    const above = Math.min(from - 1, Math.ceil(at));
    weights[i * from + below] += 1 - (at - below);
    weights[i * from + above] += at - below;
  }
  return weights;
}

/** rows [oh, h] and columns [ow, w] times every channel of an image: [n, h, w, c] → [n, oh, ow, c]. */
function combine(g: Graph, x: Value, rows: Value, columns: Value): Value {
  const [n, h, w, c] = x.shape;
  const [oh, ow] = [rows.shape[0], columns.shape[0]];
  const tall = matMul(g, rows, g.reshape(x, [n, h, w * c])); // [n, oh, w · c]
  const wide = matMul(g, columns, g.reshape(tall, [n * oh, w, c])); // [n · oh, ow, c]
  return g.reshape(wide, [n, oh, ow, c]);
}

function resize(g: Graph, x: Value, [oh, ow]: readonly number[], attrs: ResizeAttributes): Value {
  const [, h, w] = x.shape;
  const matrix = (from: number, to: number) =>
    g.constant(interpolation(from, to, attrs, false), [to, from], 'float32');
  return combine(g, g.cast(x, 'float32'), matrix(h, oh), matrix(w, ow));
}

function resizeGradient(
  g: Graph,
  dy: Value,
  images: Value,
  attrs: ResizeAttributes,
  nearest: boolean,
): Value {
  const [, h, w] = images.shape;
  const [, oh, ow] = dy.shape;
  const transposed = (from: number, to: number) =>
    g.transpose(g.constant(interpolation(from, to, attrs, nearest), [to, from], 'float32'), [1, 0]);
  return combine(g, dy, transposed(h, oh), transposed(w, ow));
}

export const images: Lowerings = {
  ResizeBilinear: ({ g, inputs: { images }, attrs }) => resize(g, images, attrs.size, attrs),
  ResizeBilinearGrad: ({ g, inputs: { dy, images }, attrs }) => resizeGradient(g, dy, images, attrs, false),
  ResizeNearestNeighbor: ({ g, inputs: { images }, attrs }) =>
    [1, 2].reduce(
      (x, axis) => takeAlong(g, x, axis, nearestPixels(images.shape[axis], attrs.size[axis - 1], attrs)),
      images,
    ),
  ResizeNearestNeighborGrad: ({ g, inputs: { dy, images }, attrs }) =>
    resizeGradient(g, dy, images, attrs, true),
  FlipLeftRight: ({ g, inputs: { image } }) =>
    takeAlong(
      g,
      image,
      2,
      Array.from({ length: image.shape[2] }, (_, i) => image.shape[2] - 1 - i),
    ),
  DepthToSpace: ({ g, inputs: { x }, attrs }) => {
    const size = attrs.blockSize as number;
    if (attrs.dataFormat === 'NCHW')
      throw new Error('depthToSpace of NCHW images is not supported; transpose to NHWC');
    const [n, h, w, c] = x.shape;
    const depth = c / size ** 2;
    const blocks = g.transpose(g.reshape(x, [n, h, w, size, size, depth]), [0, 1, 3, 2, 4, 5]);
    return g.reshape(blocks, [n, h * size, w * size, depth]);
  },
  SpaceToBatchND: ({ g, inputs: { x }, attrs }) => {
    const block = attrs.blockShape as number[];
    const paddings = attrs.paddings as [number, number][];
    const none = x.shape.slice(1 + block.length).map(() => 0);
    const pads = [0, ...paddings.map((p) => p[0]), ...none, 0, ...paddings.map((p) => p[1]), ...none];
    const grown = x.shape.map((n, i) => n + pads[i] + pads[i + x.shape.length]);
    const padded = pads.every((p) => p === 0)
      ? x
      : g.emit1('Pad', [x, g.int64(pads), g.uniform(0, [], x.dtype)], grown);
    const [n, ...rest] = grown;
    const spatial = block.map((b, i) => rest[i] / b);
    const cells = g.reshape(padded, [
      n,
      ...block.flatMap((b, i) => [spatial[i], b]),
      ...rest.slice(block.length),
    ]);
    const within = block.map((_, i) => 2 * i + 2);
    const between = block.map((_, i) => 2 * i + 1);
    const others = none.map((_, i) => 2 * block.length + 1 + i);
    return g.reshape(g.transpose(cells, [...within, 0, ...between, ...others]), [
      n * sizeOf(block),
      ...spatial,
      ...rest.slice(block.length),
    ]);
  },
  BatchToSpaceND: ({ g, inputs: { x }, attrs }) => {
    const block = attrs.blockShape as number[];
    const crops = attrs.crops as [number, number][];
    const [batches, ...rest] = x.shape;
    const n = batches / sizeOf(block);
    const others = rest.slice(block.length);
    const cells = g.reshape(x, [...block, n, ...rest]);
    const order = [
      block.length,
      ...block.flatMap((_, i) => [block.length + 1 + i, i]),
      ...others.map((_, i) => 2 * block.length + 1 + i),
    ];
    const full = [n, ...block.map((b, i) => b * rest[i]), ...others];
    const image = g.reshape(g.transpose(cells, order), full);
    return slice(
      g,
      image,
      full.map((_, i) => crops[i - 1]?.[0] ?? 0),
      full.map((size, i) => size - (crops[i - 1] ? crops[i - 1][0] + crops[i - 1][1] : 0)),
    );
  },
};
