// Fits: what a fit finds, the same bits twice, and what is known of KL of the result.
import { beforeAll, describe, expect, test } from 'vitest';
import { createEngine, type Engine, foldIn, seedKey, tf } from '../../src/engine/index.js';
import { estimators, type Sampler } from '../../src/estimators/index.js';
import { moments } from '../../src/evaluate/two-sample.js';
import type { LatentVariableDensity } from '../../src/priors/index.js';
import { drawFrom } from '../../src/toy/draw.js';
import { divergenceBetween } from '../../src/toy/entropy.js';
import { fitSampler } from '../../src/toy/fit.js';
import type { Target } from '../../src/toy/target.js';
import { gaussian, NEGATIVE_ENTROPY } from '../estimators/gaussian.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

/** N(mean, std²) in each of two coordinates. */
const normal: Target = {
  name: 'normal',
  summary: '',
  dimensions: 2,
  scale: 1,
  data: {},
  logNormaliser: Math.log(2 * Math.PI * 0.5 * 2),
  logDensity(_, w) {
    const standardised = tf.div(tf.sub(w, tf.tensor1d([1, -1])), tf.tensor1d([0.5, 2]));
    return tf.mul(tf.sum(tf.square(standardised), -1), -0.5);
  },
  score: (_, w) => tf.neg(tf.div(tf.sub(w, tf.tensor1d([1, -1])), tf.tensor1d([0.25, 4]))),
};

const options = { steps: 400, draws: 64, learningRate: 2e-2 };

describe('a normal target', () => {
  test.each(
    estimators
      .filter(({ name }) => !/100/.test(name))
      .map((estimator) => [estimator.name, estimator] as const),
  )('%s finds its moments', async (name, estimator) => {
    const key = foldIn(seedKey(1), name);
    const { q, parameters, claimed } = await fitSampler(normal, estimator, options, engine, key);
    const { mean, covariance } = moments(await drawFrom(q, parameters, 4000, engine, foldIn(key, 'draws')));
    // a short fit: within half a standard deviation, and the widths within a half
    expect(Math.abs(mean[0] - 1) / 0.5).toBeLessThan(0.5);
    expect(Math.abs(mean[1] + 1) / 2).toBeLessThan(0.5);
    expect(Math.abs(Math.sqrt(covariance[0][0]) / 0.5 - 1)).toBeLessThan(0.5);
    expect(Math.abs(Math.sqrt(covariance[1][1]) / 2 - 1)).toBeLessThan(0.5);
    const between = await divergenceBetween(normal, q, parameters, engine, foldIn(key, 'between'));
    expect(between === undefined).toBe(estimator.family === 'implicit');
    if (!between) return;
    const kl = [between.lower, between.upper].map(({ value }) => value + normal.logNormaliser!);
    expect(kl[1]).toBeGreaterThan(-5 * between.upper.standardError);
    expect(kl[0]).toBeLessThan(kl[1] + 5 * between.upper.standardError);
    expect(kl[1]).toBeLessThan(0.3);
    // s(ζ|w) is trained by whatever fits q(w)
    expect(kl[1] - kl[0]).toBeLessThan(
      0.02 + 5 * Math.hypot(between.lower.standardError, between.upper.standardError),
    );
    if (claimed)
      // an upper bound
      expect(claimed.value - between.lower.value).toBeGreaterThan(
        -5 * Math.hypot(claimed.standardError, between.lower.standardError),
      );
  });
});

test('KL lies between its bounds, which few samples leave apart', async () => {
  const poor: Sampler = {
    ...gaussian,
    density: {
      ...(gaussian.density as LatentVariableDensity),
      of: (parameters) => ({
        ...(gaussian.density as LatentVariableDensity).of(parameters),
        encode: (w) => ({ mean: tf.mul(w, 0.3), logStd: tf.zerosLike(w) }),
      }),
    },
  };
  const flat: Target = { ...normal, logDensity: (_, w) => tf.mul(tf.sum(w, -1), 0) };
  const { lower, upper } = (await divergenceBetween(
    flat,
    poor,
    gaussian.initial(1, seedKey(0)),
    engine,
    seedKey(4),
    2,
  ))!;
  expect(upper.value).toBeGreaterThan(NEGATIVE_ENTROPY - upper.standardError);
  expect(lower.value).toBeLessThan(NEGATIVE_ENTROPY + lower.standardError);
  expect(upper.value - lower.value).toBeGreaterThan(0.05);
});

test('the same key gives the same bits, another one does not', async () => {
  const fitted = (seed: number) =>
    fitSampler(normal, estimators[1], { ...options, steps: 10 }, engine, seedKey(seed));
  const [a, b, c] = [await fitted(1), await fitted(1), await fitted(2)];
  for (const [name, { data }] of Object.entries(a.parameters))
    expect([...data]).toEqual([...b.parameters[name].data]);
  expect([...a.parameters.logStd.data]).not.toEqual([...c.parameters.logStd.data]);
});
