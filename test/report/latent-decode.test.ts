// The decoders of the page beside the engine's.
import { expect, test } from 'vitest';
import { latentOf } from '../../src/cli/prior-page.js';
import { createEngine, type NdArray, type tf } from '../../src/engine/index.js';
import type { Tensors } from '../../src/priors/index.js';
import { mapScript } from '../../src/report/figures/latent-map.js';
import { decodeKernel } from '../../src/report/latent/decode.js';
import { normal, runOn } from '../engine/reference.js';
import { fittedPrior, testKernels } from '../prior-folders/fitted-priors.js';

test.each(['vae', 'vae-pixels', 'vae-pixels, shared variance'])('%s: the same kernels', async (kind) => {
  const engine = await createEngine('native', 1);
  const prior = await fittedPrior(kind, engine);
  const { data, count } = testKernels(3, 2, 60);
  const map = await latentOf(prior, { data: Float64Array.from(data), count } as never, undefined, engine);
  if (!map || !('decoder' in map)) throw new Error('a decoder');
  const n = 20;
  const noise = Object.fromEntries(
    Object.entries(prior.generateNoise(n)).map(([name, { shape }], i) => [
      name,
      normal(990 + i, ...(shape as [number, number])),
    ]),
  );
  const { drawn } = (await runOn(
    engine,
    (inputs: { noise: Tensors; parameters: Tensors }) => ({
      drawn: prior.generate(inputs.parameters, inputs.noise) as tf.Tensor,
    }),
    { noise, parameters: prior.parameters } as never,
  )) as unknown as { drawn: NdArray };
  const l = map.decoder.l;
  for (let i = 0; i < n; i++) {
    const kernel = decodeKernel(
      map.decoder,
      noise.latent.data.slice(l * i, l * (i + 1)),
      noise.kernels.data.slice(6 * i, 6 * (i + 1)),
    );
    kernel.forEach((x, j) => {
      expect(Math.abs(x - drawn.data[6 * i + j])).toBeLessThan(1e-4 * Math.max(1, Math.abs(x)));
    });
  }
  // coordinates of a kernel lead back to its z
  expect(map.points).toHaveLength(60 * l);
  expect(mapScript(map)).toContain('decodeKernel');
});

test('names cannot end the script, and arrays too large leave the map out', async () => {
  const engine = await createEngine('native', 1);
  const prior = await fittedPrior('vae', engine);
  const { data, count } = testKernels(3, 2, 60);
  const names = Array.from({ length: 60 }, () => '</script><img src=x>');
  const map = await latentOf(prior, { data: Float64Array.from(data), count } as never, names, engine);
  if (!map || !('decoder' in map)) throw new Error('a decoder');
  expect(mapScript(map)).not.toContain('</script');
  expect(mapScript({ ...map, kernels: new Float32Array(2e6) })).toBeUndefined();
  expect(
    await latentOf(
      await fittedPrior('vae-pixels, convolutional', engine),
      { data: Float64Array.from(data), count } as never,
      names,
      engine,
    ),
  ).toMatchObject({
    missing: expect.stringContaining('vae-pixels'),
  });
});
