// Hamiltonian Monte Carlo against densities whose moments are known, within five standard errors by effective sample
// size; and that a wrong transition is seen.
import { beforeAll, describe, expect, test } from 'vitest';
import { type Engine, f32, type NdArray, RandomStream, seedKey, tf } from '../../src/engine/index.js';
import {
  chainEstimate,
  chainsAt,
  chainsOf,
  hmc,
  leapfrog,
  metropolis,
  rHat,
  sampleHmc,
  select,
} from '../../src/mcmc/index.js';
import { engines, largestRelativeError, normal, runOn } from '../engine/reference.js';
import { estimate, expectMean } from '../monte-carlo.js';

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

// N(m, LLᵀ): standard deviations 1 and about 3, strongly correlated
const M = [1, -2];
const L = [
  [1, 0],
  [2.5, 1.5],
];
const correlated = (x: tf.Tensor): tf.Tensor => {
  const [a, b] = tf.split(tf.sub(x, tf.tensor(M)), 2, 1);
  const first = tf.div(a, L[0][0]);
  const second = tf.div(tf.sub(b, tf.mul(first, L[1][0])), L[1][1]);
  return tf.mul(tf.sum(tf.concat([tf.square(first), tf.square(second)], 1), 1), -0.5);
};

/** x₁ ~ N(0, 1), x₂ | x₁ ~ N((x₁² − 1)/2, 0.8²): E x₂ = 0, Var x₂ = ½ + 0.64, no correlation, E x₁² x₂ = 1. */
const banana = (x: tf.Tensor): tf.Tensor => {
  const [a, b] = tf.split(x, 2, 1);
  const rest = tf.div(tf.sub(b, tf.mul(tf.sub(tf.square(a), 1), 0.5)), 0.8);
  return tf.squeeze(tf.mul(tf.add(tf.square(a), tf.square(rest)), -0.5), [1]);
};

const wide = (chains: number, seed: number) => {
  const start = normal(seed, chains, 2);
  for (let i = 0; i < start.data.length; i++) start.data[i] *= 3;
  return start;
};

const product = (i: number, j: number) => (x: ArrayLike<number>) => x[i] * x[j];

describe.each([
  {
    name: 'correlated normal',
    target: correlated,
    moments: [
      [0, M[0]],
      [1, M[1]],
      [product(0, 0), 1 + M[0] ** 2],
      [product(1, 1), L[1][0] ** 2 + L[1][1] ** 2 + M[1] ** 2],
      [product(0, 1), L[1][0] + M[0] * M[1]],
    ] as const,
  },
  {
    name: 'banana',
    target: banana,
    moments: [
      [0, 0],
      [1, 0],
      [product(0, 0), 1],
      [product(1, 1), 1.14],
      [product(0, 1), 0],
      [(x: ArrayLike<number>) => x[0] ** 2 * x[1], 1],
    ] as const,
  },
])('$name', ({ target, moments }) => {
  test('moments, R̂ and acceptance of 8 chains', async () => {
    const settings = { warmUp: 300, draws: 500, leapfrog: 8, acceptance: 0.8 };
    const { draws, acceptance, stepSize } = await sampleHmc(
      native,
      target,
      wide(8, 700),
      settings,
      seedKey(701),
    );
    expect(acceptance).toBeGreaterThan(0.65);
    expect(acceptance).toBeLessThan(0.92);
    expect(stepSize).toBeGreaterThan(0.01);
    for (const [f, expected] of moments) {
      const chains = chainsOf(draws, f);
      expect(rHat(chains)).toBeLessThan(1.02);
      const found = chainEstimate(chains);
      expect(found.standardError).toBeLessThan(0.1 * Math.max(1, Math.abs(expected)) + 0.2);
      expectMean(found, expected);
    }
  });
});

test('scales of warm-up follow the target', async () => {
  const stretched = (x: tf.Tensor) => tf.mul(tf.sum(tf.square(tf.div(x, tf.tensor([0.1, 10]))), 1), -0.5);
  const settings = { warmUp: 400, draws: 4, leapfrog: 10 };
  const { scale } = await sampleHmc(native, stretched, normal(702, 8, 2), settings, seedKey(703));
  expect(scale[1] / scale[0]).toBeGreaterThan(50);
  expect(scale[1] / scale[0]).toBeLessThan(200);
});

test('leapfrog goes back where it came from, and keeps the energy to second order', async () => {
  const inputs = { x: normal(704, 16, 2), p: normal(705, 16, 2) };
  const energyError = async (step: number, steps: number) => {
    const { there, back, error } = await runOn(
      native,
      ({ x, p }: { x: tf.Tensor; p: tf.Tensor }) => {
        const energy = (l: tf.Tensor, p: tf.Tensor) => tf.sub(l, tf.mul(tf.sum(tf.square(p), 1), 0.5));
        const start = chainsAt(banana, x);
        const end = leapfrog(banana, start, p, tf.scalar(step), steps);
        const again = leapfrog(banana, end.state, tf.neg(end.momentum), tf.scalar(step), steps);
        const change = tf.sub(energy(end.state.logDensity, end.momentum), energy(start.logDensity, p));
        return { there: end.state.position, back: again.state.position, error: tf.mean(tf.abs(change)) };
      },
      inputs,
    );
    expect(largestRelativeError({ x: back }, { x: inputs.x }).error).toBeLessThan(1e-4);
    expect(largestRelativeError({ x: there }, { x: inputs.x }).error).toBeGreaterThan(0.1);
    return error.data[0];
  };
  const ratio = (await energyError(0.08, 5)) / (await energyError(0.04, 10));
  expect(ratio).toBeGreaterThan(3);
  expect(ratio).toBeLessThan(6);
});

describe('detailed balance', () => {
  // Exact draws, moved by steps that are far too long: the law must not change.
  const N = 20_000;
  const TRANSITIONS = 4;
  const STEP = 0.9;
  const exact = (): NdArray => {
    const x = normal(706, N, 2);
    for (let i = 0; i < N; i++) x.data[2 * i + 1] = 0.5 * (x.data[2 * i] ** 2 - 1) + 0.8 * x.data[2 * i + 1];
    return x;
  };
  const noise = { momentum: normal(707, TRANSITIONS, N, 2), acceptance: normal(708, TRANSITIONS, 2, N) };

  async function moved(sign: 1 | -1) {
    return runOn(
      native,
      ({ x, ...noise }: { x: tf.Tensor; momentum: tf.Tensor; acceptance: tf.Tensor }) => {
        const momentum = tf.unstack(noise.momentum);
        const acceptance = tf.unstack(noise.acceptance);
        let state = chainsAt(banana, x);
        let probability = tf.zeros([N]);
        for (let i = 0; i < TRANSITIONS; i++) {
          const noise = { momentum: momentum[i], acceptance: acceptance[i] };
          if (sign === 1) {
            ({ state, acceptance: probability } = hmc(banana, state, noise, tf.scalar(STEP), 3));
            continue;
          }
          const end = leapfrog(banana, state, noise.momentum, tf.scalar(STEP), 3);
          const kinetic = (p: tf.Tensor) => tf.mul(tf.sum(tf.square(p), 1), 0.5);
          const logRatio = tf.sub(
            tf.sub(end.state.logDensity, kinetic(end.momentum)),
            tf.sub(state.logDensity, kinetic(noise.momentum)),
          );
          state = select(metropolis(tf.neg(logRatio), noise.acceptance).accepted, end.state, state);
        }
        return { position: state.position, probability };
      },
      { x: exact(), ...noise } as never,
    ) as unknown as Promise<Record<'position' | 'probability', NdArray>>;
  }
  const statistics = ({ data }: NdArray) =>
    [
      { f: (a: number) => a, is: 0 },
      { f: (_: number, b: number) => b, is: 0 },
      { f: (a: number) => a * a, is: 1 },
      { f: (_: number, b: number) => b * b, is: 1.14 },
      { f: (a: number, b: number) => a * a * b, is: 1 },
    ].map(({ f, is }) => ({
      ...estimate(Float64Array.from({ length: N }, (_, i) => f(data[2 * i], data[2 * i + 1]))),
      is,
    }));

  test('transitions leave the density as it is, though they refuse many', async () => {
    const { position, probability } = await moved(1);
    const { mean } = estimate(probability.data);
    expect(mean).toBeGreaterThan(0.3);
    expect(mean).toBeLessThan(0.95);
    for (const { is, ...found } of statistics(position)) expectMean(found, is);
  });

  test("Metropolis' rule with the wrong sign does not", async () => {
    const { position } = await moved(-1);
    const errors = statistics(position).map(
      ({ mean, standardError, is }) => Math.abs(mean - is) / standardError,
    );
    expect(Math.max(...errors)).toBeGreaterThan(10);
  });
});

test('a chain whose proposal is not a number stays where it is', async () => {
  // log density −∞ beyond 1, with a gradient that is none
  const root = (x: tf.Tensor) => tf.sum(tf.log(tf.sub(1, x)), 1);
  const { position, acceptance } = await runOn(
    native,
    ({ x, momentum, acceptance }: Record<'x' | 'momentum' | 'acceptance', tf.Tensor>) => {
      const { state, acceptance: probability } = hmc(
        root,
        chainsAt(root, x),
        { momentum, acceptance },
        tf.scalar(1),
        2,
      );
      return { position: state.position, acceptance: probability };
    },
    {
      x: f32([2, 1], Float32Array.of(0, -5)),
      momentum: f32([2, 1], Float32Array.of(9, -0.5)),
      acceptance: f32([2, 2], Float32Array.of(3, 3, 3, 3)),
    },
  );
  expect(position.data[0]).toBe(0);
  expect(acceptance.data[0]).toBe(0);
  expect(position.data[1]).not.toBe(-5);
});

test('the same draws on native and cpu, and other ones by another key', async () => {
  const settings = { warmUp: 6, draws: 5, leapfrog: 3 };
  const run = (engine: Engine, seed: number) =>
    sampleHmc(engine, banana, wide(3, 708), settings, seedKey(seed)).then(({ draws }) => ({ draws }));
  const [a, b, other] = [await run(native, 709), await run(cpu, 709), await run(native, 710)];
  expect(largestRelativeError(a, b).error).toBeLessThan(1e-4);
  expect(largestRelativeError(a, other).error).toBeGreaterThan(0.01);
  expect(new Set(a.draws.data).size).toBeGreaterThan(15);
});

test('uniform numbers by two normals: accepted as often as the ratio says', async () => {
  const n = 20_000;
  const ratios = [0.1, 0.5, 0.9];
  for (const [i, ratio] of ratios.entries()) {
    const stream = new RandomStream(seedKey(711 + i));
    const { accepted } = await runOn(
      native,
      ({ noise }: { noise: tf.Tensor }) => ({
        accepted: tf.cast(metropolis(tf.fill([n], Math.log(ratio)), noise).accepted, 'float32'),
      }),
      { noise: f32([2, n], stream.fillNormal(new Float32Array(2 * n))) },
    );
    expectMean(estimate(accepted.data), ratio, `share of ratio ${ratio}`);
  }
});
