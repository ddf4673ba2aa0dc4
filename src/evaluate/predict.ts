// Class probabilities of images under random draws of a network's weights.
import type { Model } from '../bounds/elbo.js';
import { gatherImages, type ImageSet } from '../data/index.js';
import { type Engine, f32, foldIn, type Key, noiseFor, spec, tf } from '../engine/index.js';
import { applyWeights, layerPart, networkLogits, randomLayers } from '../network/index.js';
import type { Arrays, Specs, Tensors } from '../priors/index.js';

export type Network = Pick<Model, 'architecture' | 'posterior'>;

/** Standard normals for one draw of all weights, named `layer.use`. */
export const weightNoise = ({ architecture, posterior }: Network): Specs =>
  Object.fromEntries(
    randomLayers(architecture).flatMap((layer) =>
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
  networkLogits(
    architecture,
    {
      parameters,
      random: (layer, x) =>
        applyWeights(
          layer,
          x,
          posterior.sample(layer, layerPart(parameters, layer), layerPart(noise, layer)),
        ),
    },
    images,
  );

/** Images in a run: few enough for the activations of a layer to stay in a processor's cache. */
const BATCH = 100;
/** Most draws of the weights in one run; they share the images, and everything that does not depend on the noise. */
const MOST_DRAWS = 5;

/**
 * Probabilities [n, classes] of all images under draw 0, 1, 2, … of the weights.
 * The generator's arrays are used again.
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
  const pixels = f32([size, images.height, images.width, images.channels]);
  const noiseSpecs = weightNoise(network);
  const draws = largestDivisor(samples, MOST_DRAWS);
  const step = await engine.compile(
    ({ images, noise }, parameters) => ({
      probabilities: tf.stack(
        noise.map((draw) => tf.softmax(sampledLogits(network, parameters, images, draw))),
      ), // [draws, size, classes]
    }),
    {
      inputs: { images: spec(pixels.shape), noise: Array<Specs>(draws).fill(noiseSpecs) },
      constants: parameters,
    },
  );
  const probabilities = f32([draws, size, classes]);
  const all = Array.from({ length: draws }, () => new Float32Array(images.count * classes));
  const rows = new Int32Array(size);
  try {
    for (let m = 0; m < samples; m += draws) {
      const noise = all.map((_, i) => noiseFor(noiseSpecs, foldIn(key, m + i)));
      for (let start = 0; start < images.count; start += size) {
        const from = Math.min(start, images.count - size); // the last batch looks back, so that all have one shape
        gatherImages(
          images,
          rows.map((_, i) => from + i),
          pixels.data,
        );
        await step.run({ images: pixels, noise }, { probabilities });
        all.forEach((draw, i) => {
          const count = size * classes;
          draw.set(probabilities.data.subarray(i * count, (i + 1) * count), from * classes);
        });
      }
      yield* all;
    }
  } finally {
    await step.release();
  }
}

const largestDivisor = (n: number, most: number): number =>
  Array.from({ length: most }, (_, i) => most - i).find((k) => n % k === 0) ?? 1;
