// What the encoder and decoder of a kernel VAE are, and the options that choose them.
import { z } from 'zod';
import type { Key, tf } from '../engine/index.js';
import { LATENT_PRIORS } from './latent/index.js';
import type { Arrays, KernelSize, Tensors } from './prior.js';

export const vaeConfig = z.object({
  networks: z.enum(['dense', 'convolutional']).default('dense').describe('networks of encoder and decoder'),
  latent: z.number().int().min(1).max(256).default(16).describe('dimension of the latent variable z'),
  hidden: z
    .number()
    .int()
    .min(1)
    .max(4096)
    .default(128)
    .describe('width of the hidden layers; of convolutional networks, the number of channels'),
  whitening: z
    .enum(['none', 'mixture'])
    .default('none')
    .describe(
      'none: the decoder models pixels directly; mixture: it models coordinates of the components of a mixture',
    ),
  members: z
    .number()
    .int()
    .min(1)
    .max(100)
    .default(8)
    .describe('whitening: number of mixtures, fitted from different starts, that are averaged'),
  tails: z
    .number()
    .int()
    .min(1)
    .max(1000)
    .default(15)
    .describe('whitening: degrees of freedom of its components'),
  latentPrior: z.enum(LATENT_PRIORS).default('standard').describe('latent prior p(z)'),
  components: z
    .number()
    .int()
    .min(1)
    .max(50_000)
    .default(500)
    .describe('number of normals of a vamp or aggregate p(z) in a step of the fit'),
  variance: z
    .enum(['latent', 'shared'])
    .default('latent')
    .describe('variance σ² of the decoder: a function of z, or one shared vector'),
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
