// The VAE of binary images: pixels, engines, a fit, and its bounds against quadrature in one latent dimension.
import { beforeAll, describe, expect, test } from 'vitest';
import { lowerBound } from '../../src/bounds/hierarchical.js';
import { binarise, logBernoulli } from '../../src/distributions/bernoulli.js';
import { type Engine, f32, RandomStream, seedKey, tf, valueAndGradients } from '../../src/engine/index.js';
import { streamedBound, streamNoise } from '../../src/evaluate/streamed-bound.js';
import { type ImageVaeConfig, imageVae } from '../../src/priors/image-vae.js';
import type { Arrays, KernelPrior, Tensors, TrainingKernels } from '../../src/priors/index.js';
import { LATENT_PRIORS } from '../../src/priors/latent/index.js';
import { defaultFit, fitPrior } from '../../src/train/fit-prior.js';
import { engines, largestRelativeError, normal, runOn } from '../engine/reference.js';
import { difference, estimate, expectMean } from '../monte-carlo.js';

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

const SIZE = { h: 3, w: 4 };
const D = 12;

/** Grey images of three kinds: a bright row with faint noise about it. */
function rows(count: number, seed: number): TrainingKernels {
  const stream = new RandomStream(seedKey(seed));
  const data = Float32Array.from({ length: count * D }, (_, p) =>
    Math.floor((p % D) / 4) === Math.floor(p / D) % 3 ? 0.95 : 0.1 * stream.uniform(),
  );
  return { ...SIZE, count, data };
}

function learner() {
  if (imageVae.fit.kind !== 'gradient') throw new Error('learned by gradients');
  return imageVae.fit;
}

function start(config: ImageVaeConfig, images: TrainingKernels): { trainable: Arrays; fixed: Arrays } {
  return learner().initial(images, config, seedKey(400));
}

const latentOf = ({ density }: KernelPrior) => {
  if (density.kind !== 'latent') throw new Error('a latent-variable density');
  return density;
};

const binary = (images: TrainingKernels, seed: number): Float32Array => {
  const stream = new RandomStream(seedKey(seed));
  return images.data.map((p) => Number(stream.uniform() < p));
};

test('log p of binary pixels, and pixels drawn as often as their probability says', async () => {
  const logits = [-30, -2, 0, 1.5, 30];
  const x = [0, 1, 1, 0, 1];
  const expected = x.reduce(
    (sum, x, i) => sum - Math.log1p(Math.exp(x === 1 ? -logits[i] : logits[i])), // σ(a) and σ(−a)
    0,
  );
  const n = 40_000;
  const probabilities = Float32Array.of(0, 0.1, 0.7, 1);
  for (const engine of [native, cpu]) {
    const { value, drawn } = await runOn(
      engine,
      ({ x, logits, p, noise }: Record<'x' | 'logits' | 'p' | 'noise', tf.Tensor>) => ({
        value: logBernoulli(x, logits),
        drawn: binarise(p, noise),
      }),
      {
        x: f32([5], Float32Array.from(x)),
        logits: f32([5], Float32Array.from(logits)),
        p: f32([4], probabilities),
        noise: normal(401, n, 4),
      },
    );
    expect(value.data[0]).toBeCloseTo(expected, 5);
    const column = (j: number) => Float64Array.from({ length: n }, (_, i) => drawn.data[4 * i + j]);
    expect(new Set(column(0))).toEqual(new Set([0]));
    expect(new Set(column(3))).toEqual(new Set([1]));
    for (const j of [1, 2]) expectMean(estimate(column(j)), probabilities[j], `pixel ${j}`);
  }
});

describe.each(LATENT_PRIORS)('%s latent prior', (latentPrior) => {
  const config = imageVae.config.parse({ latent: 2, hidden: 6, latentPrior, components: 7 });

  test('bound, gradients and samples are the same on both engines', async () => {
    const { trainable, fixed } = start(config, rows(9, 402));
    const prior = imageVae.prior(SIZE, config, { ...trainable, ...fixed });
    const named = (specs: Record<string, { shape: readonly number[] }>, seed: number) =>
      Object.fromEntries(
        Object.entries(specs).map(([name, { shape }], i) => [name, normal(seed + i, ...shape)]),
      );
    const inputs = {
      trainable,
      fixed,
      x: f32([9, D], rows(9, 403).data),
      noise: named(learner().noise(9, config, SIZE), 404),
      draw: named(prior.generateNoise(5), 407),
    };
    const f = ({ trainable, fixed, x, noise, draw }: Record<string, Tensors> & { x: tf.Tensor }) => {
      const { objective, gradients } = valueAndGradients(
        (p: Tensors) => ({
          objective: tf.mean(learner().bound({ ...p, ...fixed }, x, noise, SIZE, config)) as tf.Scalar,
          aux: {},
        }),
        trainable,
      );
      return { objective, gradients, drawn: prior.generate({ ...trainable, ...fixed }, draw) };
    };
    const [a, b] = [await runOn(native, f as never, inputs), await runOn(cpu, f as never, inputs)];
    const { path, error } = largestRelativeError(a, b);
    expect(error, path).toBeLessThan(1e-4);
  });

  test('a fit betters the bound, and more samples do not lower it', async () => {
    const { prior, report } = await fitPrior(
      imageVae,
      rows(300, 410),
      config,
      { ...defaultFit, steps: 400, batch: 50, learningRate: 1e-2, validateEvery: 100 },
      native,
      seedKey(411),
    );
    const before = await bounds(imageVae.prior(SIZE, config, asArrays(start(config, rows(300, 410)))), 50);
    const few = await bounds(prior, 1);
    const some = await bounds(prior, 20);
    const many = await bounds(prior, 1000);
    const fitted = estimate(difference(some, before));
    expect(fitted.mean, 'nats gained').toBeGreaterThan(5 * fitted.standardError);
    expect(report!.validationBound).toBeGreaterThan(estimate(before).mean);
    for (const [tight, loose] of [
      [some, few],
      [many, some],
    ]) {
      const gain = estimate(difference(tight, loose));
      expect(gain.mean).toBeGreaterThan(-5 * gain.standardError);
    }
    // What no model of independent images can beat: the entropy of three kinds, log 3, and of the pixels' noise.
    expect(estimate(many).mean).toBeLessThan(-Math.log(3));
  });

  const held = binary(rows(60, 412), 413);
  const bounds = async (prior: KernelPrior, k: number) =>
    (await streamedBound(prior, held, k, native, seedKey(414 + k))).bounds;
  const asArrays = ({ trainable, fixed }: { trainable: Arrays; fixed: Arrays }) => ({
    ...trainable,
    ...fixed,
  });
});

describe('one latent dimension, by quadrature', () => {
  const config = imageVae.config.parse({ latent: 1, hidden: 8, latentPrior: 'aggregate', components: 30 });
  const images = rows(30, 420);
  const x = binary(rows(12, 421), 422);
  let parameters: Arrays;
  beforeAll(async () => {
    const options = { ...defaultFit, steps: 400, batch: 50, learningRate: 1e-2 };
    ({ parameters } = (
      await fitPrior(imageVae, rows(300, 423), config, options, native, seedKey(424))
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
      const { bounds } = await streamedBound(prior, tiled, k, native, seedKey(430 + k));
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
  const { samples, bounds } = await streamedBound(prior, x, 1199, native, key);
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
