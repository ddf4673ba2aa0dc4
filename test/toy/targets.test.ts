// Targets: normalised where they say so, drawn from where they can be, and twice differentiable.
import { beforeAll, describe, expect, test } from 'vitest';
import { createEngine, type Engine, RandomStream, seedKey, tf } from '../../src/engine/index.js';
import { medianDistance, nearestNeighbourLogDensity, squaredMmd } from '../../src/evaluate/two-sample.js';
import type { Tensors } from '../../src/priors/index.js';
import { logDensities, type Rows } from '../../src/toy/draw.js';
import { logNormaliserOf, referenceOf } from '../../src/toy/reference.js';
import type { Target } from '../../src/toy/target.js';
import { targets } from '../../src/toy/targets/index.js';
import { waveform } from '../../src/toy/targets/logistic.js';
import { largestRelativeError, normal, runOn } from '../engine/reference.js';
import { difference, estimate, expectMean } from '../monte-carlo.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

const plane = targets.filter(({ draw }) => draw).map((target) => [target.name, target] as const);

const drawsOf = (target: Target, n: number, seed: number): Rows => {
  const stream = new RandomStream(seedKey(seed));
  const data = new Float32Array(n * 2);
  for (let i = 0; i < n; i++) data.set(target.draw!(stream), 2 * i);
  return { data, n, d: 2 };
};

describe.each(plane)('%s', (_, target) => {
  test('integrates to one', async () => {
    const [steps, reach] = [300, 14];
    const h = (2 * reach) / steps;
    const rows: Rows = { data: new Float32Array(2 * steps * steps), n: steps * steps, d: 2 };
    for (let i = 0; i < rows.n; i++)
      rows.data.set(
        [-reach + h * ((i % steps) + 0.5), -reach / 2 + h * (Math.floor(i / steps) + 0.5)],
        2 * i,
      );
    const values = await logDensities(target, rows, engine);
    // the banana is higher than this square, with a probability of 10⁻⁶
    expect(values.reduce((sum, x) => sum + Math.exp(x) * h * h, 0)).toBeCloseTo(1, 4);
    expect(target.logNormaliser).toBe(0);
  });

  test('its draws have its density: KL by neighbours is 0', async () => {
    const rows = drawsOf(target, 2000, 5);
    const exact = await logDensities(target, rows, engine);
    expectMean(estimate(difference(nearestNeighbourLogDensity(rows), exact)), 0, 'KL');
  });

  test('long chains are like draws', async () => {
    const { rows, rHat } = await referenceOf(target, 2000, engine, seedKey(9));
    const draws = drawsOf(target, 2000, 10);
    const { value, standardError } = squaredMmd(rows, draws, medianDistance(draws));
    expectMean({ mean: value, standardError }, 0, 'MMD²');
    expect(rHat).toBeLessThan(1.2); // of 40 draws a chain
  });
});

test.each(targets.map((target) => [target.name, target] as const))(
  '%s: the score is the gradient of the log density',
  async (_, target) => {
    const { score, gradient } = await runOn(
      engine,
      ({ w, data }: { w: tf.Tensor; data: Tensors }) => ({
        score: target.score(data, w),
        gradient: tf.grad((w: tf.Tensor) => tf.sum(target.logDensity(data, w)))(w),
      }),
      { w: normal(1, 20, target.dimensions), data: target.data },
    );
    const { error, path } = largestRelativeError({ score }, { score: gradient });
    expect(error, path).toBeLessThan(1e-5);
  },
);

test.each([
  ['banana', [0, 0], -Math.log(2 * Math.PI * 2)],
  ['x-shape', [0, 0], -Math.log(2 * Math.PI * Math.sqrt(2 * 2 - 1.8 ** 2))],
  // beside the mode itself its two neighbours, 3 away: 1 + 2 e^(−9/0.72)
  ['ring', [3, 0], Math.log((1 + 2 * Math.exp(-9 / 0.72)) / (6 * 2 * Math.PI * 0.36))],
])('%s at %o', async (name, point, expected) => {
  const target = targets.find((each) => each.name === name)!;
  const [value] = await logDensities(target, { data: Float32Array.from(point), n: 1, d: 2 }, engine);
  expect(value).toBeCloseTo(expected, 5);
});

test('the constant of a density by importance sampling', async () => {
  const [target] = targets; // the banana, as if its constant were not known, and twice as high
  const unknown: Target = {
    ...target,
    logNormaliser: undefined,
    logDensity: (data, w) => tf.add(target.logDensity(data, w), Math.log(2)),
  };
  const { value, standardError } = await logNormaliserOf(
    unknown,
    drawsOf(target, 4000, 1),
    20_000,
    engine,
    seedKey(2),
  );
  expectMean({ mean: value, standardError }, Math.log(2), 'log Z');
});

test('waveforms have the means and variances of their definition', () => {
  const n = 20_000;
  const { x, y } = waveform(n, new RandomStream(seedKey(3)));
  const column = (j: number, label: number) =>
    Array.from({ length: n }, (_, i) => i)
      .filter((i) => y[i] === label)
      .map((i) => x[i * 22 + j]);
  // first class: u h₁ + (1 − u) h₂; h₁(11) = 6, h₂(11) = 2, h₁(15) = 2, h₂(15) = 6, h₂(7) = 0, h₁(7) = 2
  expectMean(estimate(column(10, 1)), 4, 'feature 11');
  expectMean(estimate(column(14, 1)), 4, 'feature 15');
  expectMean(estimate(column(6, 1)), 1, 'feature 7');
  // variance (6 − 2)²/12 + 1
  expectMean(estimate(column(10, 1).map((value) => (value - 4) ** 2)), 16 / 12 + 1, 'variance');
  // the others: ½ of u h₁ + (1 − u) h₃ and u h₂ + (1 − u) h₃, h₃(7) = 6: (4 + 3) / 2
  expectMean(estimate(column(6, 0)), 3.5, 'feature 7 of the others');
  expectMean(estimate(Array.from(y)), 1 / 3, 'share of the first class');
  expect(column(21, 1).every((value) => value === 1)).toBe(true);
});
