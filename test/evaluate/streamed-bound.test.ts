// Bounds of many samples in chunks, against the same at once and against quadrature; the mean of tight bounds that only
// some rows have.
import { beforeAll, describe, expect, test } from 'vitest';
import { lowerBound } from '../../src/bounds/hierarchical.js';
import { createEngine, type Engine, f32, RandomStream, seedKey, tf } from '../../src/engine/index.js';
import { meanOfTight, streamedBound, streamNoise } from '../../src/evaluate/streamed-bound.js';
import { imageVae } from '../../src/priors/image-vae.js';
import type { Arrays, KernelPrior, Tensors } from '../../src/priors/index.js';
import { defaultFit, fitPrior } from '../../src/train/fit-prior.js';
import { runOn } from '../engine/reference.js';
import { difference, estimate } from '../monte-carlo.js';
import { binary, D, latentOf, rows, SIZE, start } from '../priors/tiny-images.js';

let native: Engine;
beforeAll(async () => {
  native = await createEngine('native', 1);
});

describe('one latent dimension, by quadrature', () => {
  const config = imageVae.config.parse({ latent: 1, hidden: 8, latentPrior: 'aggregate', components: 30 });
  const images = rows(30, 420);
  const x = binary(rows(12, 421), 422);
  let parameters: Arrays;
  beforeAll(async () => {
    const options = { ...defaultFit, steps: 400, batch: 50, learningRate: 1e-2 };
    ({ parameters } = (
      await fitPrior({
        family: imageVae,
        kernels: rows(300, 423),
        config,
        options,
        engine: native,
        key: seedKey(424),
      })
    ).prior);
  });
  /** The fitted networks with the encoder's view of these images as p(z). */
  const withPoints = (points: number[]): KernelPrior =>
    imageVae.prior(SIZE, config, {
      ...parameters,
      'latent.points': f32(
        [points.length, D],
        Float32Array.from(points.flatMap((i) => [...images.data.subarray(i * D, (i + 1) * D)])),
      ),
    });
  const everyPoint = Array.from({ length: 30 }, (_, i) => i);

  /** log ∫ p(x|z) p(z) dz by the trapezoidal rule. */
  async function quadrature(prior: KernelPrior): Promise<Float64Array> {
    const step = 0.01;
    const grid = 4001;
    const z = f32(
      [grid, 1, 1],
      Float32Array.from({ length: grid }, (_, i) => (i - (grid - 1) / 2) * step),
    );
    const { of } = latentOf(prior);
    const { joint } = await runOn(
      native,
      ({ z, x, parameters }: { z: tf.Tensor; x: tf.Tensor; parameters: Tensors }) => {
        const { logLikelihood, logLatent } = of(parameters);
        return { joint: tf.add(logLikelihood(x, z), logLatent(z)) }; // [grid, n]
      },
      { z, x: f32([12, D], x), parameters: prior.parameters } as never,
    );
    const { data } = joint as { data: Float32Array };
    return Float64Array.from({ length: 12 }, (_, i) => {
      let sum = 0;
      for (let g = 0; g < grid; g++) sum += step * Math.exp(data[g * 12 + i]);
      return Math.log(sum);
    });
  }

  test('(4) tends to log p(x) from below', async () => {
    const prior = withPoints(everyPoint);
    const exact = await quadrature(prior);
    const repeats = 20;
    const tiled = Float32Array.from({ length: repeats * x.length }, (_, i) => x[i % x.length]);
    for (const k of [1, 10, 3000]) {
      const { bounds } = await streamedBound({
        prior,
        rows: tiled,
        samples: k,
        engine: native,
        key: seedKey(430 + k),
      });
      const gaps = estimate(bounds.map((bound, i) => exact[i % 12] - bound));
      expect(gaps.mean, `K = ${k}`).toBeGreaterThan(-5 * gaps.standardError);
      if (k === 3000) expect(gaps.mean).toBeLessThan(0.01 + 5 * gaps.standardError);
    }
  });

  test('K-sample aggregates are below the full one, the less the larger K: (51)', async () => {
    const exact = await quadrature(withPoints(everyPoint));
    const stream = new RandomStream(seedKey(440));
    const { of } = latentOf(withPoints(everyPoint));
    /** Exact minus bound for 100 draws of k points, as a training step would see them: averages over images. */
    const gapsOf = async (k: number): Promise<Float64Array> => {
      const inputs = { points: f32([k, D]), noise: f32([200, 12, 1]) };
      const step = await native.compile(
        ({ points, noise }: Tensors, { x, ...parameters }: Tensors) => ({
          bound: lowerBound(of({ ...parameters, 'latent.points': points }), x, noise),
        }),
        { inputs: inputs as never, constants: { ...parameters, x: f32([12, D], x) } },
      );
      const gaps = new Float64Array(100);
      for (let i = 0; i < gaps.length; i++) {
        for (let j = 0; j < k; j++) {
          const row = stream.integer(30);
          inputs.points.data.set(images.data.subarray(row * D, (row + 1) * D), j * D);
        }
        stream.fillNormal(inputs.noise.data);
        const { bound } = (await step.run(inputs as never)) as unknown as { bound: { data: Float32Array } };
        gaps[i] = estimate(difference(exact, bound.data)).mean;
      }
      await step.release();
      return gaps;
    };
    const [few, many] = [await gapsOf(2), await gapsOf(30)];
    const [loose, tight] = [estimate(few), estimate(many)];
    expect(loose.mean).toBeGreaterThan(5 * loose.standardError);
    expect(tight.mean).toBeGreaterThan(-5 * tight.standardError);
    const gain = estimate(difference(few, many));
    expect(gain.mean).toBeGreaterThan(5 * gain.standardError);
  });
});

test('a streamed bound is that of all its samples at once, (61)', async () => {
  const config = imageVae.config.parse({ latent: 2, hidden: 6 });
  const { trainable, fixed } = start(config, rows(9, 450));
  const prior = imageVae.prior(SIZE, config, { ...trainable, ...fixed });
  const x = binary(rows(3, 451), 452);
  const key = seedKey(453);
  const { samples, bounds } = await streamedBound({ prior, rows: x, samples: 1199, engine: native, key });
  expect(samples).toBe(1200);
  const { of } = latentOf(prior);
  for (const [i, start] of [0, 2].entries()) {
    const together = 2;
    const from = Math.min(start, 3 - together);
    const noise = f32([1200, together, 2]);
    for (let c = 0; c < 3; c++)
      streamNoise(key, start, c, noise.data.subarray(c * 400 * together * 2, (c + 1) * 400 * together * 2));
    const { whole } = await runOn(
      native,
      ({ x, noise, parameters }: { x: tf.Tensor; noise: tf.Tensor; parameters: Tensors }) => ({
        whole: lowerBound(of(parameters), x, noise),
      }),
      {
        x: f32([together, D], x.slice(from * D, (from + together) * D)),
        noise,
        parameters: prior.parameters,
      } as never,
    );
    const { data } = whole as { data: Float32Array };
    expect(bounds[i === 0 ? 0 : 2]).toBeCloseTo(data[i === 0 ? 0 : 1], 4);
  }
});

test('(62): no bias, and the standard error is right, averaged over all choices of 3 of 6', () => {
  const loose = Float64Array.of(-90, -60.5, -120, -75, -99, -81);
  const tight = loose.map((bound, i) => bound + [1, 0.3, 2.2, 0.9, 1.7, 0.1][i]);
  const choices: number[][] = [];
  for (let a = 0; a < 6; a++)
    for (let b = a + 1; b < 6; b++) for (let c = b + 1; c < 6; c++) choices.push([a, b, c]);
  const results = choices.map((chosen) =>
    meanOfTight(
      loose,
      Float64Array.from(chosen, (i) => tight[i]),
      chosen,
    ),
  );
  const means = results.map(({ mean }) => mean);
  const truth = estimate(tight).mean;
  expect(estimate(means).mean).toBeCloseTo(truth, 10);
  const variance = estimate(means.map((mean) => (mean - truth) ** 2)).mean;
  expect(estimate(results.map(({ standardError }) => standardError ** 2)).mean).toBeCloseTo(variance, 10);
});

test('all rows: no error at all', () => {
  const loose = Float64Array.of(-3, -2);
  expect(meanOfTight(loose, Float64Array.of(-2.5, -1), [0, 1])).toEqual({ mean: -1.75, standardError: 0 });
});
