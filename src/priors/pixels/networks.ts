// What the encoder and decoder of a kernel VAE are, and the options that choose them.
import { z } from 'zod';
import type { Key, tf } from '../../engine/index.js';
import { wholeNumber } from '../fields.js';
import { LATENT_PRIORS, latentPriors } from '../latent/index.js';
import type { Arrays, KernelSize, Tensors } from '../prior.js';

export const pixelConfig = z.object({
  networks: z
    .enum(['dense', 'convolutional'])
    .default('dense')
    .describe('networks of encoder and decoder; the published ones are convolutional'),
  latent: wholeNumber(1, 256).default(16).describe('dimension of the latent variable z'),
  hidden: wholeNumber(1, 4096)
    .default(128)
    .describe('width of the hidden layers; of convolutional networks, the number of channels'),
  variance: z
    .enum(['latent', 'shared'])
    .default('latent')
    .describe('variance σ² of the decoder: latent (a function of z) or shared (one vector)'),
  latentPrior: z
    .enum(LATENT_PRIORS)
    .default('standard')
    .describe(
      `latent prior p(z): ${Object.values(latentPriors)
        .map(({ name, summary }) => `${name} (${summary})`)
        .join(', ')}`,
    ),
  components: wholeNumber(1, 50_000)
    .default(500)
    .describe(
      'number of pseudo-inputs of --latent-prior vamp, or of kernels in each step of --latent-prior aggregate',
    ),
});
export type PixelConfig = z.infer<typeof pixelConfig>;

/** Encoder and decoder of a VAE: their parameters and their forward passes. */
export interface PixelNetworks {
  initial(size: KernelSize, config: PixelConfig, key: Key): Arrays;
  /** Scaled kernels [m, d] → [m, 2l]. */
  encode(parameters: Tensors, u: tf.Tensor2D, size: KernelSize, config: PixelConfig): tf.Tensor2D;
  /** z [m, l] → [m, 2d], or [m, d] with a shared variance. */
  decode(parameters: Tensors, z: tf.Tensor2D, size: KernelSize, config: PixelConfig): tf.Tensor2D;
}
