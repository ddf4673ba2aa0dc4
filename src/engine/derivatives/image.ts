// Gradients of images that are resized, rearranged or normalised.
import * as tf from '#tfjs';
import { interpolation, type ResizeAttributes } from '../ops/image.js';
import { nested } from '../tape.js';
import { type Attributes, gradient, run, tracing, unbroadcast } from './shared.js';

/** Bilinear or nearest: TensorFlow.js's `cpu` takes no notice of half-pixel centres, and divides by 0 at size 1. */
function resizeGradient(kernel: string, dy: tf.Tensor, images: tf.Tensor, attrs: Attributes): tf.Tensor {
  const options = attrs as unknown as ResizeAttributes;
  if (tracing()) return run(`${kernel}Grad`, { dy, images }, attrs);
  const [n, h, w, c] = images.shape;
  const [, oh, ow] = dy.shape;
  const weights = (from: number, to: number) =>
    tf.tensor2d(interpolation(from, to, options, kernel === 'ResizeNearestNeighbor'), [to, from]);
  const rows = tf.matMul(weights(h, oh), tf.reshape(dy, [n, oh, ow * c]), true); // [n, h, ow · c]
  const columns = tf.matMul(weights(w, ow), tf.reshape(rows, [n * h, ow, c]), true); // [n · h, w, c]
  return tf.reshape(columns, [n, h, w, c]);
}

function spaceToDepth(x: tf.Tensor, attrs: Attributes): tf.Tensor {
  const size = attrs.blockSize as number;
  const [n, h, w, c] = x.shape;
  const cells = tf.reshape(x, [n, h / size, size, w / size, size, c]);
  return tf.reshape(tf.transpose(cells, [0, 1, 3, 2, 4, 5]), [n, h / size, w / size, c * size ** 2]);
}

/** Σ of each channel and its `radius` neighbours on both sides, [n, h, w, c]. */
function neighbours(x: tf.Tensor, radius: number): tf.Tensor {
  const [n, h, w, channels] = x.shape;
  const padded = tf.pad(x, [
    [0, 0],
    [0, 0],
    [0, 0],
    [radius, radius],
  ]);
  const shifted = Array.from({ length: 2 * radius + 1 }, (_, i) =>
    tf.slice(padded, [0, 0, 0, i], [n, h, w, channels]),
  );
  return tf.addN(shifted);
}

interface ResponseAttributes {
  depthRadius: number;
  bias: number;
  alpha: number;
  beta: number;
}

/** Of y = x · u^(−β) with u = bias + α Σ x² over neighbours: dy u^(−β) − 2αβ x Σ dy y / u over neighbours. */
function responseGradient(dy: tf.Tensor, x: tf.Tensor, y: tf.Tensor, attrs: Attributes): tf.Tensor {
  if (!tracing() && !nested()) return run('LRNGrad', { x, y, dy }, attrs);
  const { depthRadius, bias, alpha, beta } = attrs as unknown as ResponseAttributes;
  const u = tf.add(bias, tf.mul(alpha, neighbours(tf.square(x), depthRadius)));
  const coupled = neighbours(tf.div(tf.mul(dy, y), u), depthRadius);
  return tf.sub(tf.mul(dy, tf.pow(u, -beta)), tf.mul(2 * alpha * beta, tf.mul(x, coupled)));
}

/** x̂ = (x − mean) r with r = (variance + ε)^(−1/2); y = x̂ · scale + offset; all but x broadcast. */
function batchNormGradient(
  dy: tf.Tensor,
  [x, mean, variance, scale]: tf.Tensor[],
  attrs: Attributes,
): Record<string, () => tf.Tensor> {
  const r = tf.rsqrt(tf.add(variance, attrs.varianceEpsilon as number));
  const factor = scale ? tf.mul(scale, r) : r;
  const total = (v: tf.Tensor) => unbroadcast(v, mean.shape);
  /** Σ dy (x − mean) */
  const moment = () => total(tf.mul(dy, tf.sub(x, mean)));
  return {
    x: () => tf.mul(dy, factor),
    mean: () => tf.neg(tf.mul(total(dy), factor)),
    variance: () => tf.mul(-0.5, tf.mul(moment(), tf.mul(factor, tf.square(r)))),
    scale: () => tf.mul(moment(), r),
    offset: () => total(dy),
  };
}

export const imageGradients: tf.GradConfig[] = [
  ...['ResizeBilinear', 'ResizeNearestNeighbor'].map((kernel) =>
    gradient(kernel, ['images'], (dy, [images], attrs) => ({
      images: () => resizeGradient(kernel, dy, images, attrs),
    })),
  ),
  ...['ResizeBilinear', 'ResizeNearestNeighbor'].map((kernel) =>
    gradient(`${kernel}Grad`, ['images'], (ddx, [images], attrs) => ({
      dy: () => run(kernel, { images: ddx }, attrs),
      images: () => tf.zerosLike(images),
    })),
  ),
  gradient('DepthToSpace', [], (dy, _, attrs) => ({ x: () => spaceToDepth(dy, attrs) })),
  gradient('FlipLeftRight', [], (dy) => ({ image: () => run('FlipLeftRight', { image: dy }) })),
  gradient('LRN', ['x'], (dy, [x, y], attrs) => ({ x: () => responseGradient(dy, x, y, attrs) }), [true]),
  gradient('FusedBatchNorm', ['x', 'mean', 'variance', 'scale'], batchNormGradient),
];
