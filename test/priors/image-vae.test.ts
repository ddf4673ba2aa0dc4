// The VAE of binary images: pixels, engines, a fit, and its bounds against quadrature in one latent dimension.
import { beforeAll, describe, expect, test } from 'vitest';
import { binarise, logBernoulli } from '../../src/distributions/bernoulli.js';
import { type Engine, f32, seedKey, tf, valueAndGradients } from '../../src/engine/index.js';
import { streamedBound } from '../../src/evaluate/streamed-bound.js';
import { imageVae } from '../../src/priors/image-vae.js';
import type { Arrays, KernelPrior, Tensors } from '../../src/priors/index.js';
import { LATENT_PRIORS } from '../../src/priors/latent/index.js';
import { defaultFit, fitPrior } from '../../src/train/fit-prior.js';
import { engines, largestRelativeError, normal, runOn } from '../engine/reference.js';
import { difference, estimate, expectMean } from '../monte-carlo.js';
import { binary, D, learner, rows, SIZE, start } from './tiny-images.js';

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

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
    const { prior, report } = await fitPrior({
      family: imageVae,
      kernels: rows(300, 410),
      config,
      options: { ...defaultFit, steps: 400, batch: 50, learningRate: 1e-2, validateEvery: 100 },
      engine: native,
      key: seedKey(411),
    });
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
    (await streamedBound({ prior, rows: held, samples: k, engine: native, key: seedKey(414 + k) })).bounds;
  const asArrays = ({ trainable, fixed }: { trainable: Arrays; fixed: Arrays }) => ({
    ...trainable,
    ...fixed,
  });
});
