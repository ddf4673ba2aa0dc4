// Kernels drawn from a fitted prior.
import { type Engine, f32, foldIn, type Key, type NdArray, RandomStream, tf } from '../engine/index.js';
import { type KernelPrior, kernelLength } from '../priors/index.js';
import { observationNoise } from '../priors/nested.js';

/** Kernels drawn at once: more are drawn in blocks, so that what is computed on the way does not grow with them. */
const BLOCK = 2 ** 14;

/**
 * @param denoised leave out the noise of p(w|z): the decoder's means
 * @yields rows [b, d] of the n kernels, row-major, in order; the same numbers as all at once
 */
export async function* sampleBlocks(
  prior: KernelPrior,
  n: number,
  engine: Engine,
  key: Key,
  denoised = false,
): AsyncGenerator<Float32Array, void> {
  const byRow = Object.values(prior.generateNoise(n)).every(({ shape }) => shape[0] === n);
  const block = byRow ? Math.min(n, BLOCK) : n;
  const specs = prior.generateNoise(block);
  const step = await engine.compile(
    ({ noise }, parameters) => ({
      kernels: tf.add(prior.generate(parameters, noise), 0),
    }),
    { inputs: { noise: specs }, constants: prior.parameters },
  );
  const streams = Object.keys(specs).map((name) => [name, new RandomStream(foldIn(key, name))] as const);
  const d = kernelLength(prior.size);
  try {
    for (let from = 0; from < n; from += block) {
      const noise: Record<string, NdArray> = {};
      for (const [name, stream] of streams) {
        noise[name] = f32(specs[name].shape); // its numbers follow those of the block before
        stream.fillNormal(noise[name].data as Float32Array);
      }
      if (denoised) for (const name of observationNoise(Object.keys(noise))) noise[name].data.fill(0);
      const { kernels } = await step.run({ noise });
      yield (kernels.data as Float32Array).subarray(0, Math.min(block, n - from) * d);
    }
  } finally {
    await step.release();
  }
}

/** @returns [n, d], row-major: all of {@link sampleBlocks} */
export async function samplePrior(
  prior: KernelPrior,
  n: number,
  engine: Engine,
  key: Key,
  denoised = false,
): Promise<Float32Array> {
  const result = new Float32Array(n * kernelLength(prior.size));
  let at = 0;
  for await (const block of sampleBlocks(prior, n, engine, key, denoised)) {
    result.set(block, at);
    at += block.length;
  }
  return result;
}
