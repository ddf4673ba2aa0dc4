// p(z) made by an encoder, (50) and (51), and the upper side of log p(w) by tangents, (27).
import { expect } from 'vitest';
import { z } from 'zod';
import { f32, RandomStream, seedKey, tf } from '../../../src/engine/index.js';
import type { PriorFamily } from '../../../src/priors/index.js';
import type { Encode } from '../../../src/priors/latent/index.js';
import { normal, runOn } from '../../engine/reference.js';
import { estimate, expectMean } from '../../monte-carlo.js';
import { largestError, type Proof } from './proof.js';

/** x ↦ N(2x − 1, (0.3 + x²)²) for rows of two numbers. */
const encode: Encode = (x) => ({
  mean: tf.sub(tf.mul(x, 2), 1),
  logStd: tf.log(tf.add(tf.square(x), 0.3)),
});
const POINTS = f32([4, 2], Float32Array.of(0.1, -0.4, 1.2, 0.3, -0.7, 0.9, 0, 0));

const mixture: Proof = {
  name: 'p(z) of four points: the sum of their normals, written out',
  async check({ latentPriors }, engine) {
    const { data } = normal(900, 30, 2);
    const expected = Float64Array.from({ length: 30 }, (_, i) => {
      let sum = 0;
      for (let k = 0; k < 4; k++) {
        let density = 0.25;
        for (const j of [0, 1]) {
          const x = POINTS.data[2 * k + j];
          const std = 0.3 + x * x;
          const u = (data[2 * i + j] - 2 * x + 1) / std;
          density *= Math.exp(-0.5 * u * u) / (std * Math.sqrt(2 * Math.PI));
        }
        sum += density;
      }
      return Math.log(sum);
    });
    for (const name of ['vamp', 'aggregate'] as const) {
      const { value } = await runOn(
        engine,
        (given: { z: tf.Tensor; points: tf.Tensor }) => ({
          value: latentPriors[name].of({ 'latent.points': given.points }, encode).logDensity(given.z),
        }),
        { z: normal(900, 30, 2), points: POINTS },
      );
      expect(largestError(value.data, expected), name).toBeLessThan(1e-4);
    }
  },
};

const ROWS = 40;
const STEPS = 600;

/** A family whose bound is the mean of the rows that stand for the aggregate, and nothing is learned. */
const showing = (subset: number): PriorFamily => ({
  name: 'showing',
  summary: '',
  config: z.object({}) as never,
  fit: {
    kind: 'gradient',
    initial: () => ({
      trainable: { a: f32([1]), b: f32([1]) },
      fixed: { rows: f32([1, 1]) },
      resampled: { rows: subset },
    }),
    noise: (batch) => ({ latent: { shape: [batch, 1], dtype: 'float32' } }),
    bound: ({ a, b, rows }, w, { latent }) =>
      tf.add(tf.mul(tf.sum(tf.add(w, latent), -1), tf.mul(tf.add(a, b), 0)), tf.mean(rows)),
  },
  prior: (size, config, parameters) => ({ size, config, parameters }) as never,
});

const subsets: Proof = {
  name: 'the aggregate in training: so many rows as were asked for, drawn anew in each step',
  async check({ latentPriors, fitPrior, defaultFit }, engine) {
    const rows = { data: normal(901, 50, 2).data as Float32Array, count: 50, size: 2 };
    const start = latentPriors.aggregate.initial(rows, 7, seedKey(902), 2);
    expect(start.fixed['latent.points'].shape).toEqual([50, 2]);
    expect(start.resampled).toEqual({ 'latent.points': 7 });
    // half of the rows 1, half −1, and one of them in a step: the mean of many steps is 0
    const stream = new RandomStream(seedKey(903));
    const data = Float32Array.from({ length: ROWS }, (_, i) => (i < ROWS / 2 ? 1 : -1));
    const options = {
      ...defaultFit,
      steps: STEPS,
      batch: 5,
      validateEvery: 4,
      validationFraction: 1 / ROWS,
      patience: STEPS,
    };
    const key = seedKey(stream.integer(1000));
    const { report } = await fitPrior({
      family: showing(1),
      kernels: { h: 1, w: 1, data, count: ROWS },
      options,
      engine,
      key,
    });
    const means = report!.trace.map(({ trainBound }) => trainBound);
    expect(means).toHaveLength(STEPS / 4);
    const found = estimate(means);
    expect(found.standardError).toBeGreaterThan(0);
    // one row of 40 is for validation: 19 against 20
    expect(Math.abs(found.mean)).toBeLessThan(1 / 39 + 5 * found.standardError);
    expect(5 * found.standardError).toBeLessThan(0.3);
  },
};

const REPEATS = 20_000;
const SIGMA = 0.8;

const tangents: Proof = {
  name: 'log-normal weights of mean 1: (4) below and (27) above by their closed forms at K = 1; constant weights: neither',
  async check({ byTangents, fromBelow }) {
    for (const k of [1, 4])
      expect(byTangents(new Float64Array(k + 1).fill(-3.5), k), `K = ${k}`).toBeCloseTo(-3.5, 12);
    const stream = new RandomStream(seedKey(904));
    const weights = Array.from({ length: REPEATS }, () =>
      Array.from({ length: 2 }, () => SIGMA * stream.normal() - 0.5 * SIGMA ** 2),
    );
    expectMean(estimate(weights.map((w) => fromBelow(w, 1))), -0.5 * SIGMA ** 2, 'below');
    // E[log w₁ + w₂/w₁ − 1] = −σ²/2 + E(1/w) − 1, and E(1/w) = exp σ²
    const above = Math.exp(SIGMA ** 2) - 1 - 0.5 * SIGMA ** 2;
    expectMean(estimate(weights.map((w) => byTangents(w, 1))), above, 'above');
  },
};

export const mixtures: readonly Proof[] = [mixture, subsets, tangents];
