// What a variational posterior of convolution weights is. One layer at a time; weights are [out, in, h, w].
import type { LatentDensity } from '../distributions/latent.js';
import type { DiagonalNormal } from '../distributions/normal.js';
import { type Key, type NdArray, type TensorSpec, tf } from '../engine/index.js';
import type { ConvLayer } from '../nn/index.js';

export type Arrays = Readonly<Record<string, NdArray>>;
export type Tensors = Readonly<Record<string, tf.Tensor>>;
export type Specs = Readonly<Record<string, TensorSpec>>;

/** How the likelihood of a batch is estimated: noise on activations, or one sample of the weights per step. */
export const ESTIMATORS = ['local-reparameterisation', 'weight-samples'] as const;
export type Estimator = (typeof ESTIMATORS)[number];

/** q(w) of n kernels in rows, [n, d]: every weight normal on its own, with a closed-form entropy. */
export interface DiagonalPosterior extends DiagonalNormal {
  kind: 'diagonal';
}

/** q(w) = ∫ q(w|ζ) q(ζ) dζ of n kernels in rows: its entropy is bounded. `density.encode` is s(ζ|w). */
export interface SemiImplicitPosterior {
  kind: 'semi-implicit';
  density: LatentDensity;
  /** An exact joint draw: w [n, d] and the ζ [n, l] that produced it, from standard normals of those shapes. */
  draw(noise: { kernels: tf.Tensor; latent: tf.Tensor }): { w: tf.Tensor; latent: tf.Tensor };
}

/** Parameters of s(ζ|w) have names that begin with this: their learning rate can be another. */
export const AUXILIARY_POSTERIOR = 'auxiliary-posterior';

export type KernelPosterior = DiagonalPosterior | SemiImplicitPosterior;

export interface Posterior {
  name: string;
  /** Parameters of a layer whose weights start at `weights` [out, in, h, w], with log standard deviation `logStd`. */
  initial(weights: NdArray, logStd: number, key: Key): Arrays;
  /** Standard normals that one batch of the likelihood needs. */
  noise(layer: ConvLayer, batch: number, estimator: Estimator): Specs;
  /** x [n, h, w, in] through the layer with random weights. */
  convolve(
    layer: ConvLayer,
    parameters: Tensors,
    x: tf.Tensor4D,
    noise: Tensors,
    estimator: Estimator,
  ): tf.Tensor4D;
  /** Standard normals for one sample of the layer's weights. */
  sampleNoise(layer: ConvLayer): Specs;
  /** One sample of the weights, [out, in, h, w]. */
  sample(parameters: Tensors, noise: Tensors): tf.Tensor;
  /** Dimension of ζ, for a semi-implicit posterior. */
  latentSize?: number;
  /**
   * q(w) of the layer's kernels in rows [n, d]; undefined for a single point, which has no density.
   * @param rows only these rows
   */
  kernels?(layer: ConvLayer, parameters: Tensors, rows?: tf.Tensor1D): KernelPosterior;
}

/** A layer's weights [out, in, h, w] as kernels in rows [out · in, h · w]; only `rows` of them where given. */
export function kernelRows(
  { shape: [out, inputs, h, w] }: ConvLayer,
  x: tf.Tensor,
  rows?: tf.Tensor1D,
): tf.Tensor {
  const all = tf.reshape(x, [out * inputs, h * w]);
  return rows ? tf.gather(all, rows) : all;
}
