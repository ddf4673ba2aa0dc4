// p(w|z) of a kernel VAE, given what its decoder says: in units of the data's scale, a diagonal normal over pixels.
import { type DiagonalNormal, logDensity, reparameterise } from '../distributions/normal.js';
import { spec, tf } from '../engine/index.js';
import { type KernelSize, kernelLength, type Specs, type Tensors } from './prior.js';
import type { VaeConfig } from './vae-networks.js';

export interface Observation {
  /** Kernels as the encoder sees them, [n, d]. */
  seen(w: tf.Tensor): tf.Tensor;
  /** log p(w|z): w [n, d], z [.., n, l] → [.., n]. */
  logLikelihood(w: tf.Tensor, z: tf.Tensor): tf.Tensor;
  /** Draws of p(w|z): z [n, l] → [n, d]. */
  sample(z: tf.Tensor, noise: Tensors): tf.Tensor;
  /** p(w|z) where it is a diagonal normal over pixels: z [.., l] → [.., d]. */
  normal?(z: tf.Tensor): DiagonalNormal;
}

/** An observation model: its noise for n draws, and itself inside a step. */
export interface ObservationModel {
  noise(n: number, size: KernelSize, config: VaeConfig): Specs;
  /** @param decode z [.., l] → diagonal normal [.., d], whose log std is above its floor */
  of(
    parameters: Tensors,
    size: KernelSize,
    config: VaeConfig,
    decode: (z: tf.Tensor) => DiagonalNormal,
  ): Observation;
}

/** N( w | c μ(z), c² diag σ²(z) ), c = `scale`. */
export const pixels: ObservationModel = {
  noise: (n, size) => ({ kernels: spec([n, kernelLength(size)]) }),
  of({ scale }, _size, _config, decode) {
    const scaled = (z: tf.Tensor): DiagonalNormal => {
      const { mean, logStd } = decode(z);
      return { mean: tf.mul(mean, scale), logStd: tf.add(logStd, tf.log(scale)) };
    };
    return {
      seen: (w) => tf.div(w, scale),
      logLikelihood: (w, z) => logDensity(w, scaled(z)),
      sample: (z, { kernels }) => reparameterise(scaled(z), kernels),
      normal: scaled,
    };
  },
};
