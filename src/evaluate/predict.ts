// Class probabilities of images under random draws of a network's weights.
import type { Model } from '../bounds/elbo.js';
import { gatherImages, type ImageSet } from '../data/index.js';
import { chunksOf, type Engine, f32, foldIn, type Key, noiseFor, spec, tf } from '../engine/index.js';
import {
  applyWeights,
  type ForwardContext,
  forward,
  layerPart,
  randomLayers,
  withKeys,
} from '../network/index.js';
import type { Arrays, Specs, Tensors } from '../priors/index.js';
import {
  type DrawStatistics,
  drawStatistics,
  type StatisticsSource,
  statisticsSpecs,
} from './batch-statistics.js';

export type Network = Pick<Model, 'architecture' | 'posterior'>;

/** Standard normals for one draw of all weights, named `layer.use`. */
export const weightNoise = ({ architecture, posterior }: Network): Specs =>
  Object.assign(
    {},
    ...randomLayers(architecture).map((layer) => withKeys(posterior.sampleNoise(layer), layer)),
  );

/** Images [n, h, w, c] through the network with one draw of the weights; running averages are among the parameters. */
export const sampledForward = (
  { architecture, posterior }: Network,
  parameters: Tensors,
  images: tf.Tensor4D,
  noise: Tensors,
  mode: ForwardContext['mode'] = 'prediction',
) =>
  forward(architecture, images, {
    parameters,
    mode,
    random: (layer, x) =>
      applyWeights(layer, x, posterior.sample(layer, layerPart(parameters, layer), layerPart(noise, layer))),
  });

/** Statistics of batch normalisation, draw by draw: with the weights that a draw's noise gives. */
export const sampledStatistics = (
  network: Network,
  parameters: Arrays,
  source: StatisticsSource,
  engine: Engine,
): Promise<DrawStatistics> =>
  drawStatistics(
    (parameters, images, noise) => sampledForward(network, parameters, images, noise, 'statistics').averages,
    weightNoise(network),
    parameters,
    source,
    engine,
  );

/** Images in a run: few enough for the activations of a layer to stay in a processor's cache. */
const BATCH = 100;
/** Most draws of the weights in one run; they share the images, and everything that does not depend on the noise. */
const MOST_DRAWS = 5;

/** Whose predictions, of what. */
export interface Predicted {
  network: Network;
  parameters: Arrays;
  images: ImageSet;
  /** Draws of the weights. */
  samples: number;
  engine: Engine;
  key: Key;
  /**
   * Where the network has batch normalisation: what its statistics are computed from for each draw; without it they are the
   * running averages among the parameters.
   */
  statistics?: StatisticsSource;
}

/**
 * Probabilities [n, classes] of all images under draw 0, 1, 2, … of the weights.
 * The generator's arrays are used again.
 */
export async function* predictions({
  network,
  parameters,
  images,
  samples,
  engine,
  key,
  statistics: source,
}: Predicted): AsyncGenerator<Float32Array> {
  const { classes } = network.architecture;
  const size = Math.min(BATCH, images.count);
  const pixels = f32([size, images.height, images.width, images.channels]);
  const noiseSpecs = weightNoise(network);
  const draws = largestDivisor(samples, MOST_DRAWS);
  const statisticsShapes = source ? statisticsSpecs(network.architecture) : {};
  const measured =
    source && Object.keys(statisticsShapes).length > 0
      ? await sampledStatistics(network, parameters, source, engine)
      : undefined;
  const statisticsOf = async (noise: Arrays): Promise<Arrays> => (measured ? measured.of(noise) : {});
  const step = await engine.compile(
    ({ images, noise, statistics }, parameters) => ({
      probabilities: tf.stack(
        noise.map((draw, i) =>
          tf.softmax(sampledForward(network, { ...parameters, ...statistics[i] }, images, draw).outputs),
        ),
      ), // [draws, size, classes]
    }),
    {
      inputs: {
        images: spec(pixels.shape),
        noise: Array<Specs>(draws).fill(noiseSpecs),
        statistics: Array<Specs>(draws).fill(statisticsShapes),
      },
      constants: parameters,
    },
  );
  const probabilities = f32([draws, size, classes]);
  const all = Array.from({ length: draws }, () => new Float32Array(images.count * classes));
  const rows = new Int32Array(size);
  try {
    for (let m = 0; m < samples; m += draws) {
      const noise = all.map((_, i) => noiseFor(noiseSpecs, foldIn(key, m + i)));
      const statistics: Arrays[] = [];
      for (const draw of noise) statistics.push(await statisticsOf(draw));
      for (const { from } of chunksOf(images.count, size)) {
        gatherImages(
          images,
          rows.map((_, i) => from + i),
          pixels.data,
        );
        await step.run({ images: pixels, noise, statistics }, { probabilities });
        all.forEach((draw, i) => {
          const count = size * classes;
          draw.set(probabilities.data.subarray(i * count, (i + 1) * count), from * classes);
        });
      }
      yield* all;
    }
  } finally {
    await step.release();
    await measured?.release();
  }
}

const largestDivisor = (n: number, most: number): number =>
  Array.from({ length: most }, (_, i) => most - i).find((k) => n % k === 0) ?? 1;
