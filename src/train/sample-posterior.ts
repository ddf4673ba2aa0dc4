// Weights drawn from a trained posterior, and their means.
import type { Model } from '../bounds/elbo.js';
import { type Engine, f32, foldIn, type Key, type NdArray, noiseFor, tf } from '../engine/index.js';
import { weightNoise } from '../evaluate/predict.js';
import { keyParts, layerPart, parameterKey, randomLayers } from '../network/index.js';
import type { Arrays } from '../priors/index.js';

/** One draw of every random layer's weights, [out, in, h, w], by layer name. */
export const samplePosterior = async (
  network: Pick<Model, 'architecture' | 'posterior'>,
  parameters: Arrays,
  engine: Engine,
  key: Key,
): Promise<Record<string, NdArray>> =>
  averageOfDraws(network, parameters, engine, [noiseFor(weightNoise(network), key)]);

/** Draws of ζ that the mean of a semi-implicit posterior is computed with. */
const LATENT_DRAWS = 256;

/** E_q W of every random layer, [out, in, h, w]; of a semi-implicit posterior an average of E(W|ζ) over draws of ζ. */
export async function posteriorMeans(
  network: Pick<Model, 'architecture' | 'posterior'>,
  parameters: Arrays,
  engine: Engine,
  key: Key,
): Promise<Record<string, NdArray>> {
  const { architecture, posterior } = network;
  if (!posterior.latent)
    return Object.fromEntries(
      randomLayers(architecture).map((layer) => [layer.name, parameters[parameterKey(layer, 'mean')]]),
    );
  const specs = weightNoise(network);
  const draws = Array.from({ length: LATENT_DRAWS }, (_, i) =>
    Object.fromEntries(
      Object.entries(noiseFor(specs, foldIn(key, i))).map(([name, { shape, data }]) => [
        name,
        keyParts(name).part === 'latent' ? { shape, data } : f32(shape), // without the noise of q(w|ζ)
      ]),
    ),
  );
  return averageOfDraws(network, parameters, engine, draws);
}

async function averageOfDraws(
  { architecture, posterior }: Pick<Model, 'architecture' | 'posterior'>,
  parameters: Arrays,
  engine: Engine,
  draws: readonly Record<string, NdArray>[],
): Promise<Record<string, NdArray>> {
  const step = await engine.compile(
    ({ noise }, parameters) =>
      Object.fromEntries(
        randomLayers(architecture).map((layer) => [
          layer.name,
          tf.clone(posterior.sample(layer, layerPart(parameters, layer), layerPart(noise, layer))),
        ]),
      ),
    { inputs: { noise: draws[0] }, constants: parameters },
  );
  const sums: Record<string, NdArray> = {};
  for (const noise of draws)
    for (const [name, { shape, data }] of Object.entries(await step.run({ noise }))) {
      sums[name] ??= f32(shape);
      for (let i = 0; i < data.length; i++) sums[name].data[i] += data[i] / draws.length;
    }
  await step.release();
  return sums;
}
