// Kernels drawn from a fitted prior.
import { type Engine, type Key, noiseFor, tf } from '../engine/index.js';
import type { KernelPrior } from '../priors/index.js';

/**
 * @param denoised leave out the noise of p(w|z): the decoder's means
 * @returns [n, d], row-major
 */
export async function samplePrior(
  prior: KernelPrior,
  n: number,
  engine: Engine,
  key: Key,
  denoised = false,
): Promise<Float32Array> {
  const specs = prior.generateNoise(n);
  const step = await engine.compile(
    ({ noise }, parameters) => ({
      kernels: tf.add(prior.generate(parameters, noise), 0),
    }),
    { inputs: { noise: specs }, constants: prior.parameters },
  );
  const noise = noiseFor(specs, key);
  if (denoised)
    for (const name of Object.keys(noise)) {
      const [, part] = /^(.*)kernels$/.exec(name) ?? []; // of a mixture of priors `m.kernels`
      if (part !== undefined && noise[`${part}latent`]) noise[name].data.fill(0);
    }
  const { kernels } = await step.run({ noise });
  await step.release();
  return Float32Array.from(kernels.data);
}
