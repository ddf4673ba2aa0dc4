// Images of twelve pixels, and the VAE of binary images before it is fitted to them.
import { RandomStream, seedKey } from '../../src/engine/index.js';
import { type ImageVaeConfig, imageVae } from '../../src/priors/image-vae.js';
import type { Arrays, KernelPrior, TrainingKernels } from '../../src/priors/index.js';

export const SIZE = { h: 3, w: 4 };
export const D = 12;

/** Grey images of three kinds: a bright row with faint noise about it. */
export function rows(count: number, seed: number): TrainingKernels {
  const stream = new RandomStream(seedKey(seed));
  const data = Float32Array.from({ length: count * D }, (_, p) =>
    Math.floor((p % D) / 4) === Math.floor(p / D) % 3 ? 0.95 : 0.1 * stream.uniform(),
  );
  return { ...SIZE, count, data };
}

export function learner() {
  if (imageVae.fit.kind !== 'gradient') throw new Error('learned by gradients');
  return imageVae.fit;
}

export function start(config: ImageVaeConfig, images: TrainingKernels): { trainable: Arrays; fixed: Arrays } {
  return learner().initial(images, config, seedKey(400));
}

export const latentOf = ({ density }: KernelPrior) => {
  if (density.kind !== 'latent') throw new Error('a latent-variable density');
  return density;
};

export const binary = (images: TrainingKernels, seed: number): Float32Array => {
  const stream = new RandomStream(seedKey(seed));
  return images.data.map((p) => Number(stream.uniform() < p));
};
