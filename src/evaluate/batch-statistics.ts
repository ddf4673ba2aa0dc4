// Statistics of batch normalisation for given weights: training images go through the network once more, as in training but
// without dropout, and means and variances of all batches are put together (Maddox et al. 2019, section 3.2).
import { gatherImages, type ImageSet } from '../data/index.js';
import {
  chunksOf,
  type Engine,
  f32,
  foldIn,
  RandomStream,
  type Specs,
  seedKey,
  spec,
  type tf,
} from '../engine/index.js';
import {
  type Architecture,
  initialAverages,
  keyParts,
  parameterKey,
  partOfLayers,
} from '../network/index.js';
import type { Arrays, Tensors } from '../priors/index.js';

/** Images that statistics are computed from: the rows that a network was trained on. */
export interface StatisticsSource {
  images: ImageSet;
  rows: Int32Array;
}

/** Parts of a layer. */
const STATISTICS = ['mean', 'variance'];
/** Images in a batch: as those of predictions. */
const BATCH = 100;
/** Images that are used: more would change little. */
const MOST_IMAGES = 2000;

export interface DrawStatistics {
  /** Means and variances [channels], `layer.part`, of the network with the weights that `noise` gives. */
  of(noise: Arrays): Promise<Arrays>;
  release(): Promise<void>;
}

/** Shapes of the means and variances that predictions of the network need, `layer.part`; none without batch normalisation. */
export const statisticsSpecs = (architecture: Architecture): Specs =>
  Object.fromEntries(
    Object.entries(initialAverages(architecture))
      .filter(([key]) => STATISTICS.includes(keyParts(key).part))
      .map(([key, { shape }]) => [key, spec(shape)]),
  );

/**
 * @param measure means and variances of one batch, `layer.mean` and `layer.variance`: {@link forward} in the mode
 *   `statistics`
 * @param noiseSpecs what one draw of the weights needs
 */
export async function drawStatistics(
  measure: (parameters: Tensors, images: tf.Tensor4D, noise: Tensors) => Tensors,
  noiseSpecs: Specs,
  parameters: Arrays,
  { images, rows }: StatisticsSource,
  engine: Engine,
): Promise<DrawStatistics> {
  const batches = batchesOf(rows);
  const pixels = f32([batches[0].length, images.height, images.width, images.channels]);
  const step = await engine.compile(({ images, noise }, parameters) => measure(parameters, images, noise), {
    inputs: { images: spec(pixels.shape), noise: noiseSpecs },
    constants: parameters,
  });
  return {
    async of(noise) {
      const measured: Arrays[] = [];
      for (const batch of batches) {
        gatherImages(images, batch, pixels.data);
        const out = await step.run({ images: pixels, noise });
        measured.push(
          Object.fromEntries(
            Object.entries(out).map(([name, { shape, data }]) => [name, f32(shape, Float32Array.from(data))]),
          ),
        );
      }
      return together(measured);
    },
    release: () => step.release(),
  };
}

/** Batches of one size, of rows in an order that does not go by class; the last one looks back where they do not divide. */
function batchesOf(rows: Int32Array): Int32Array[] {
  const order = new RandomStream(foldIn(seedKey(0), 'statistics')).permutation(rows.length);
  const chosen = order.slice(0, MOST_IMAGES).map((i) => rows[i]);
  const count = Math.ceil(chosen.length / BATCH);
  const size = Math.ceil(chosen.length / count);
  return Array.from(chunksOf(chosen.length, size), ({ from, to }) => chosen.slice(from, to));
}

/** (127) μ = avg_b m_b, σ² = avg_b v_b + avg_b (m_b − μ)² */
function together(batches: readonly Arrays[]): Arrays {
  const average = (length: number, value: (batch: Arrays, i: number) => number) =>
    Float64Array.from(
      { length },
      (_, i) => batches.reduce((sum, batch) => sum + value(batch, i), 0) / batches.length,
    );
  const all: Record<string, Arrays[string]> = {};
  for (const [name, { shape, data }] of Object.entries(partOfLayers(batches[0], 'mean'))) {
    const [meanKey, varianceKey] = STATISTICS.map((part) => parameterKey({ name }, part));
    const mean = average(data.length, (batch, i) => batch[meanKey].data[i]);
    const within = average(data.length, (batch, i) => batch[varianceKey].data[i]);
    const between = average(data.length, (batch, i) => (batch[meanKey].data[i] - mean[i]) ** 2);
    all[meanKey] = f32(shape, Float32Array.from(mean));
    all[varianceKey] = f32(
      shape,
      Float32Array.from(within, (v, i) => v + between[i]),
    );
  }
  return all;
}
