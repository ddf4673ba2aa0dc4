// What a variational posterior of convolution weights is. One layer at a time; weights are [out, in, h, w].
import type { NdArray, TensorSpec, tf } from '../engine/index.js';
import type { ConvLayer } from '../nn/index.js';

export type Arrays = Readonly<Record<string, NdArray>>;
export type Tensors = Readonly<Record<string, tf.Tensor>>;
export type Specs = Readonly<Record<string, TensorSpec>>;

/** How the likelihood of a batch is estimated: noise on activations, or one sample of the weights per step. */
export const ESTIMATORS = ['local-reparameterisation', 'weight-samples'] as const;
export type Estimator = (typeof ESTIMATORS)[number];

/** A distribution of n kernels in rows, [n, d]. */
export interface KernelDistribution {
  mean: tf.Tensor;
  logStd: tf.Tensor;
}

export interface Posterior {
  name: string;
  /** Parameters of a layer whose weights start at `weights` [out, in, h, w], with log standard deviation `logStd`. */
  initial(weights: NdArray, logStd: number): Arrays;
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
  /** q(w) of the layer's kernels in rows [n, d]; undefined for a single point, which has no density. */
  kernels?(layer: ConvLayer, parameters: Tensors): KernelDistribution;
}
