// What the encoder and decoder of a kernel VAE are, and the options that choose them.
import { z } from 'zod';
import type { Key, tf } from '../engine/index.js';
import { wholeNumber } from './fields.js';
import { LATENT_PRIORS, latentPriors } from './latent/index.js';
import type { Arrays, KernelSize, Tensors } from './prior.js';

export const vaeConfig = z.object({
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
  whitening: z
    .enum(['none', 'mixture'])
    .default('mixture')
    .describe(
      'none (the decoder models pixels directly) or mixture (the decoder modifies a mixture that is fitted first)',
    ),
  members: wholeNumber(1, 100)
    .default(8)
    .describe('number of mixtures, fitted from different starts, that are averaged by --whitening mixture'),
  tails: wholeNumber(1, 1000)
    .default(15)
    .describe('degrees of freedom of the components of --whitening mixture'),
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
export type VaeConfig = z.infer<typeof vaeConfig>;

/** Encoder and decoder of a VAE: their parameters and their forward passes. */
export interface VaeNetworks {
  initial(size: KernelSize, config: VaeConfig, key: Key): Arrays;
  /** Names of the last layers' weights. */
  last(size: KernelSize, config: VaeConfig): { encoder: string; decoder: string };
  /** Scaled kernels [m, d] → [m, 2l]. */
  encode(parameters: Tensors, u: tf.Tensor2D, size: KernelSize, config: VaeConfig): tf.Tensor2D;
  /** z [m, l] → [m, 2d], or [m, d] with a shared variance. */
  decode(parameters: Tensors, z: tf.Tensor2D, size: KernelSize, config: VaeConfig): tf.Tensor2D;
}
