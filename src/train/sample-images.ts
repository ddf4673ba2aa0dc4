// Images drawn from a VAE of binary images.
import { type Engine, type Key, noiseFor, tf } from '../engine/index.js';
import { type ImageVaeConfig, imageDensity } from '../priors/image-vae.js';
import type { KernelPrior } from '../priors/index.js';
import { latentPriors } from '../priors/latent/index.js';

/** Probabilities of the pixels at n draws of z: [n, h·w], row-major. */
export async function sampleImages(
  vae: KernelPrior,
  n: number,
  engine: Engine,
  key: Key,
): Promise<Float32Array> {
  const config = vae.config as ImageVaeConfig;
  const noise = noiseFor(latentPriors[config.latentPrior].noise(n, config.latent), key);
  const step = await engine.compile(
    ({ noise }, parameters) => {
      const { decode, latent } = imageDensity(parameters, config);
      return { pixels: tf.sigmoid(decode(latent.sample(noise))) };
    },
    { inputs: { noise }, constants: vae.parameters },
  );
  const { pixels } = await step.run({ noise });
  await step.release();
  return pixels.data as Float32Array;
}
