// What a variational posterior of a layer's weights is. One layer at a time; weights are [out, in, h, w], those of a
// dense layer [out, in, 1, 1].
import type { LatentDensity } from '../distributions/latent.js';
import type { DiagonalNormal } from '../distributions/normal.js';
import { type Arrays, type Key, type NdArray, type Specs, type Tensors, tf } from '../engine/index.js';
import { kernelLayout, type Layer, weightShape } from '../network/index.js';

export type { Arrays, Specs, Tensors };

/**
 * How the likelihood of a batch is estimated: noise on activations, one sample of the weights per step, or one sample
 * whose deviation from the mean has other signs for every example.
 */
export const ESTIMATORS = ['local-reparameterisation', 'weight-samples', 'flipout'] as const;
export type Estimator = (typeof ESTIMATORS)[number];

/** q(w) of n kernels in rows, [n, d]: every weight normal on its own, with a closed-form entropy. */
export interface DiagonalPosterior extends DiagonalNormal {
  kind: 'diagonal';
}

/** A density with a latent ζ whose entropy is bounded; g groups of weights share a ζ each. */
export interface JointDensity {
  /** Of all weights of a group together, w [g, D]. `encode` is s(ζ|w). */
  density: LatentDensity;
  /** An exact joint draw: w [g, D] and the ζ [g, l] that produced it, from standard normals of those shapes. */
  draw(noise: { kernels: tf.Tensor; latent: tf.Tensor }): { w: tf.Tensor; latent: tf.Tensor };
}

/** Parameters of s(ζ|w) have names that begin with this: their learning rate can be another. */
export const AUXILIARY_POSTERIOR = 'auxiliary-posterior';
export const isAuxiliaryPosterior = (part: string): boolean => part.startsWith(AUXILIARY_POSTERIOR);

/** q(W) = Π_groups ∫ q(w|ζ) q(ζ) dζ. */
export interface SemiImplicitPosterior extends JointDensity {
  kind: 'semi-implicit';
  /** The same q with a ζ that is standard normal, for proposals from q(ζ); left out where ζ is so anyhow. */
  standard?: JointDensity;
}

export type KernelPosterior = DiagonalPosterior | SemiImplicitPosterior;

/** What shares a ζ: each kernel has its own, or the kernels of an output, or all of a layer. */
export type Sharing = 'kernel' | 'filter' | 'layer';

export interface Posterior {
  name: string;
  /** Parameters of a layer whose weights start at `weights` [out, in, h, w], with log standard deviation `logStd`. */
  initial(layer: Layer, weights: NdArray, logStd: number, key: Key): Arrays;
  /** Standard normals that one batch of the likelihood needs. */
  noise(layer: Layer, batch: number, estimator: Estimator): Specs;
  /** A batch x, [n, h, w, in] or [n, in], through the layer with random weights, without its bias. */
  apply(layer: Layer, parameters: Tensors, x: tf.Tensor, noise: Tensors, estimator: Estimator): tf.Tensor;
  /** Standard normals for one sample of the layer's weights. */
  sampleNoise(layer: Layer): Specs;
  /** One sample of the weights, [out, in, h, w]. */
  sample(layer: Layer, parameters: Tensors, noise: Tensors): tf.Tensor;
  /** Of a semi-implicit posterior: what shares a ζ, and its dimension. */
  latent?(layer: Layer): { shared: Sharing; size: number };
  /**
   * q(w) of the layer's kernels in rows [n, d], or in groups [g, D] that share a ζ; undefined for a single point, which
   * has no density.
   * @param rows only these kernels; not where they share a ζ
   */
  kernels?(layer: Layer, parameters: Tensors, rows?: tf.Tensor1D): KernelPosterior;
}

/** How many ζ a layer has. */
export function groupCount(layer: Layer, shared: Sharing): number {
  return { kernel: kernelLayout(layer).count, filter: weightShape(layer)[0], layer: 1 }[shared];
}

/** A layer's weights [out, in, h, w] as kernels in rows [n, d], see {@link kernelLayout}; only `rows` of them where given. */
export function kernelRows(layer: Layer, x: tf.Tensor, rows?: tf.Tensor1D): tf.Tensor {
  const { count, length } = kernelLayout(layer);
  const all = tf.reshape(x, [count, length]);
  return rows ? tf.gather(all, rows) : all;
}
