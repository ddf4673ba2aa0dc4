// Class probabilities of images under random draws of a network's weights.
import { type Model, ofLayer } from '../bounds/elbo.js';
import { gatherImages, type ImageSet } from '../data/index.js';
import { type Engine, f32, foldIn, type Key, noiseFor, spec, tf } from '../engine/index.js';
import { convLayers, convolve, forward } from '../nn/index.js';
import type { Arrays, Specs, Tensors } from '../priors/index.js';

export type Network = Pick<Model, 'architecture' | 'posterior'>;

/** Standard normals for one draw of all weights, named `layer.use`. */
export const weightNoise = ({ architecture, posterior }: Network): Specs =>
  Object.fromEntries(
    convLayers(architecture).flatMap((layer) =>
      Object.entries(posterior.sampleNoise(layer)).map(([name, spec]) => [`${layer.name}.${name}`, spec]),
    ),
  );

/** Logits of images [n, h, w, c] under one draw of the weights. */
export const sampledLogits = (
  { architecture, posterior }: Network,
  parameters: Tensors,
  images: tf.Tensor4D,
  noise: Tensors,
): tf.Tensor2D =>
  forward(architecture, images, {
    conv: (layer, x) => {
      const weights = posterior.sample(ofLayer(parameters, layer), ofLayer(noise, layer));
      return tf.add(convolve(layer, x, weights), parameters[`${layer.name}.bias`]);
    },
    dense: (layer, x) =>
      tf.add(
        tf.matMul(x, parameters[`${layer.name}.kernel`] as tf.Tensor2D),
        parameters[`${layer.name}.bias`],
      ),
  });

const BATCH = 500;

/**
 * Probabilities [n, classes] of all images under draw 0, 1, 2, … of the weights.
 * The generator's array is used again for the next draw.
 */
export async function* predictions(
  network: Network,
  parameters: Arrays,
  images: ImageSet,
  samples: number,
  engine: Engine,
  key: Key,
): AsyncGenerator<Float32Array> {
  const { classes } = network.architecture;
  const size = Math.min(BATCH, images.count);
  const shape = [size, images.height, images.width, images.channels];
  const noiseSpecs = weightNoise(network);
  const step = await engine.compile(
    ({ images, noise }: { images: tf.Tensor4D; noise: Tensors }, parameters: Tensors) => ({
      probabilities: tf.softmax(sampledLogits(network, parameters, images, noise)),
    }),
    { inputs: { images: spec(shape), noise: noiseSpecs } as never, constants: parameters },
  );
  const pixels = f32(shape);
  const all = new Float32Array(images.count * classes);
  try {
    for (let m = 0; m < samples; m++) {
      const noise = noiseFor(noiseSpecs, foldIn(key, m));
      for (let start = 0; start < images.count; start += size) {
        const from = Math.min(start, images.count - size); // the last batch looks back, so that all have one shape
        gatherImages(
          images,
          Int32Array.from({ length: size }, (_, i) => from + i),
          pixels.data,
        );
        const { probabilities } = (await step.run({ images: pixels, noise } as never)) as unknown as Arrays;
        all.set(probabilities.data, from * classes);
      }
      yield all;
    }
  } finally {
    await step.release();
  }
}
