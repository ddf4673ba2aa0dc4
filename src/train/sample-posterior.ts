// Weights drawn from a trained posterior.
import { type Model, ofLayer } from '../bounds/elbo.js';
import { type Engine, type Key, type NdArray, noiseFor, tf } from '../engine/index.js';
import { weightNoise } from '../evaluate/predict.js';
import { convLayers } from '../nn/index.js';
import type { Arrays, Tensors } from '../priors/index.js';

/** One draw of every convolution's weights, [out, in, h, w], by layer name. */
export async function samplePosterior(
  network: Pick<Model, 'architecture' | 'posterior'>,
  parameters: Arrays,
  engine: Engine,
  key: Key,
): Promise<Record<string, NdArray>> {
  const { architecture, posterior } = network;
  const specs = weightNoise(network);
  const step = await engine.compile(
    ({ noise }: { noise: Tensors }, parameters: Tensors) =>
      Object.fromEntries(
        convLayers(architecture).map((layer) => [
          layer.name,
          tf.clone(posterior.sample(ofLayer(parameters, layer), ofLayer(noise, layer))),
        ]),
      ),
    { inputs: { noise: specs } as never, constants: parameters },
  );
  const weights = (await step.run({ noise: noiseFor(specs, key) } as never)) as unknown as Record<
    string,
    NdArray
  >;
  await step.release();
  return weights;
}
