// E_q log p(𝒟 | W), one value for each draw of the weights: the term of the bound that needs no bound of its own.
import { boundNoise, type Model, randomOutputs } from '../bounds/elbo.js';
import { BatchOrder, gatherImages, gatherLabels, type ImageSet } from '../data/index.js';
import { type Engine, f32, foldIn, type Key, noiseFor, spec } from '../engine/index.js';
import { drawStatistics, type StatisticsSource, statisticsSpecs } from '../evaluate/batch-statistics.js';
import { logLikelihood } from '../network/index.js';
import type { Arrays } from '../priors/index.js';

/** Examples in one run of the step. */
const BATCH = 500;

/** A trained network, and the data that its bound is of. */
export interface TrainedNetwork {
  model: Model;
  images: ImageSet;
  /** Rows of `images` that are the training set. */
  rows: Int32Array;
  /**
   * What statistics of batch normalisation are computed from for each draw; without it they are the running averages among
   * the parameters.
   */
  statistics?: StatisticsSource;
  engine: Engine;
  key: Key;
}

export interface LikelihoodDraws extends TrainedNetwork {
  parameters: Arrays;
  /** Of the weights. */
  draws: number;
  /** At most so many of the rows for each draw, scaled by (8); others for every draw. */
  examples?: number;
}

/**
 * log p(𝒟 | W_m) for m = 1..draws, nats for the whole training set.
 * @param done called after every draw
 */
export async function logLikelihoods(
  {
    model,
    images,
    rows,
    parameters,
    draws,
    examples = Number.POSITIVE_INFINITY,
    statistics: source,
    engine,
    key,
  }: LikelihoodDraws,
  done?: (draws: number) => void,
): Promise<number[]> {
  const whole: Model = { ...model, priors: {}, estimator: 'weight-samples' };
  const order = new BatchOrder(rows.length, Math.min(rows.length, examples), foldIn(key, 'batches'));
  const sizes = batchSizes(order.size);
  const specs = boundNoise(whole, sizes[0]); // of the weights: the same for every batch
  const statisticsShapes = source ? statisticsSpecs(model.architecture) : {};
  const measured =
    source && Object.keys(statisticsShapes).length > 0
      ? await drawStatistics(
          (parameters, images, noise) =>
            randomOutputs(whole, parameters, images, noise, { mode: 'statistics' }).averages,
          specs,
          parameters,
          source,
          engine,
        )
      : undefined;
  const steps = new Map<number, Awaited<ReturnType<typeof compile>>>();
  for (const size of sizes) if (!steps.has(size)) steps.set(size, await compile(size));
  const values: number[] = [];
  for (let m = 0; m < draws; m++) {
    const noise = noiseFor(specs, foldIn(key, m));
    const picked = order.rows(m).map((i) => rows[i]);
    const statistics = measured ? await measured.of(noise) : {};
    let sum = 0;
    let start = 0;
    for (const size of sizes) {
      sum += await steps.get(size)!.run(picked.subarray(start, start + size), noise, statistics);
      start += size;
    }
    values.push((rows.length / picked.length) * sum); // (8)
    done?.(m + 1);
  }
  for (const step of steps.values()) await step.release();
  await measured?.release();
  return values;

  async function compile(size: number) {
    const pixels = f32([size, images.height, images.width, images.channels]);
    const labels = { shape: [size], data: new Int32Array(size) };
    const step = await engine.compile(
      ({ images, labels, noise, statistics }, parameters) => {
        const { outputs } = randomOutputs(whole, { ...parameters, ...statistics }, images, noise);
        return { sum: (model.logLikelihood ?? logLikelihood)(outputs, labels) };
      },
      {
        inputs: {
          images: spec(pixels.shape),
          labels: spec([size], 'int32'),
          noise: specs,
          statistics: statisticsShapes,
        },
        constants: parameters,
      },
    );
    return {
      async run(picked: Int32Array, noise: Arrays, statistics: Arrays): Promise<number> {
        gatherImages(images, picked, pixels.data);
        gatherLabels(images, picked, labels.data);
        const out = await step.run({ images: pixels, labels, noise, statistics });
        return out.sum.data[0];
      },
      release: () => step.release(),
    };
  }
}

/** n examples in batches of at most BATCH: equal ones, and what is left. */
const batchSizes = (n: number): number[] =>
  Array.from({ length: Math.ceil(n / BATCH) }, (_, i) => Math.min(BATCH, n - i * BATCH));
