// Networks by Markov chains: Bayesian linear regression as a 1×1 convolution, whose posterior is known in closed form;
// steps with noise against their own stationary laws; resuming.
import { inverse, Matrix } from 'ml-matrix';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ImageSet } from '../../src/data/index.js';
import { logDensity } from '../../src/distributions/normal.js';
import { type Engine, RandomStream, seedKey, spec, tf } from '../../src/engine/index.js';
import {
  chainEstimate,
  cyclicalStep,
  FRICTION,
  frictionMove,
  hamiltonianMove,
  langevinMove,
} from '../../src/mcmc/index.js';
import { buildArchitecture } from '../../src/network/index.js';
import type { KernelPrior } from '../../src/priors/index.js';
import type { SampledModel } from '../../src/train/network-target.js';
import {
  SAMPLERS,
  type SamplingOptions,
  type SamplingState,
  sampleNetwork,
  spread,
} from '../../src/train/sample-network.js';
import { engines, largestRelativeError } from '../engine/reference.js';
import { estimate, expectMean } from '../monte-carlo.js';

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

const N = 12;
const CHANNELS = 2;
const NOISE = 0.5;
const UNIT = 0.25; // targets are multiples of it, so that they can be labels

const architecture = buildArchitecture('regression', { height: 1, width: 1, channels: CHANNELS }, 1, [
  { kind: 'conv', channels: 1, kernel: 1 },
  { kind: 'flatten' },
]);

/** w = 0.2 + 0.8 z + 0.3 ε: a latent variable whose marginal is known, N(0.2, 0.73). */
const MEAN = 0.2;
const VARIANCE = 0.8 ** 2 + 0.3 ** 2;
const prior: KernelPrior = {
  family: 'linear',
  size: { h: 1, w: 1 },
  config: {},
  parameters: {},
  generateNoise: (n) => ({ latent: spec([n, 1]), kernels: spec([n, 1]) }),
  generate: (_, { latent, kernels }) => tf.add(tf.add(tf.mul(latent, 0.8), tf.mul(kernels, 0.3)), MEAN),
  density: { kind: 'exact', logDensity: () => expect.fail('no density is asked for') },
};

const model: SampledModel = {
  architecture,
  priors: { conv: prior },
  logLikelihood: (outputs, labels) =>
    tf.sum(
      logDensity(tf.mul(tf.cast(tf.expandDims(labels, 1), 'float32'), UNIT), {
        mean: outputs,
        logStd: tf.scalar(Math.log(NOISE)),
      }),
    ) as tf.Scalar,
};

const data: ImageSet = (() => {
  const stream = new RandomStream(seedKey(900));
  const images = Uint8Array.from({ length: N * CHANNELS }, () => stream.integer(256));
  const labels = Int32Array.from({ length: N }, (_, i) =>
    Math.round(
      (1.2 * (images[2 * i] / 255) - 0.7 * (images[2 * i + 1] / 255) + NOISE * stream.normal()) / UNIT,
    ),
  );
  return { images, labels, count: N, height: 1, width: 1, channels: CHANNELS, classes: 1 };
})();
const rows = Int32Array.from({ length: N }, (_, i) => i);

/** Mean and variances of (w₁, w₂, bias) given the data, the bias being N(0, 1). */
function solution(temperature: number) {
  const x = new Matrix(
    Array.from({ length: N }, (_, i) => [data.images[2 * i] / 255, data.images[2 * i + 1] / 255, 1]),
  );
  const y = Matrix.columnVector(Array.from(data.labels, (label) => UNIT * label));
  const priorPrecision = Matrix.diag([1 / VARIANCE, 1 / VARIANCE, 1]);
  const dataPrecision = 1 / (NOISE ** 2 * temperature);
  const covariance = inverse(Matrix.add(priorPrecision, x.transpose().mmul(x).mul(dataPrecision)));
  const mean = covariance.mmul(
    Matrix.add(
      priorPrecision.mmul(Matrix.columnVector([MEAN, MEAN, 0])),
      x.transpose().mmul(y).mul(dataPrecision),
    ),
  );
  return { mean: mean.to1DArray(), covariance };
}

const options: SamplingOptions = {
  ...{ method: 'hmc', steps: 500, chains: 2, kept: 250, batch: N, temperature: 1 },
  ...{ stepSize: 0.3, leapfrog: 5, cycles: 4 },
};

/** Chains of (w₁, w₂, bias). */
async function draw(changes: Partial<SamplingOptions>, engine = native, seed = 901) {
  const all = { ...options, ...changes };
  const chains = [0, 1, 2].map(() => Array.from({ length: all.chains }, (): number[] => []));
  const acceptance: number[] = [];
  await sampleNetwork(
    { model, images: data, rows, judged: data, options: all, engine, key: seedKey(seed) },
    {
      sampled(number, parameters) {
        const values = [...parameters['conv.mean'].data, parameters['conv.bias'].data[0]];
        for (const [i, value] of values.entries()) chains[i][number % all.chains].push(value);
      },
      observed: (o) => o.acceptance !== undefined && acceptance.push(o.acceptance),
    },
  );
  return { chains, acceptance: acceptance.reduce((a, b) => a + b, 0) / acceptance.length };
}

const squares = (chains: readonly (readonly number[])[], mean: number) =>
  chains.map((chain) => chain.map((x) => (x - mean) ** 2));

test.each([1, 0.25])('hmc at T = %f: moments of the posterior in closed form', async (temperature) => {
  const exact = solution(temperature);
  const { chains, acceptance } = await draw({ temperature });
  expect(acceptance).toBeGreaterThan(0.65);
  chains.forEach((chain, i) => {
    expect(chain.map((x) => x.length)).toEqual([250, 250]);
    const variance = exact.covariance.get(i, i);
    const mean = chainEstimate(chain);
    expect(mean.standardError).toBeLessThan(0.25 * Math.sqrt(variance));
    expectMean(mean, exact.mean[i], `mean ${i}`);
    expectMean(chainEstimate(squares(chain, exact.mean[i])), variance, `variance ${i}`);
  });
  const product = chains[0].map((chain, c) =>
    chain.map((x, i) => (x - exact.mean[0]) * (chains[2][c][i] - exact.mean[2])),
  );
  expectMean(chainEstimate(product), exact.covariance.get(0, 2), 'covariance of weight and bias');
  // the prior is elsewhere: it would be seen
  const apart = Math.abs(exact.mean[2]) / chainEstimate(chains[2]).standardError;
  expect(Math.max(apart, 1 / exact.covariance.get(2, 2))).toBeGreaterThan(5);
});

test.each(['sgld', 'sghmc'] as const)('%s on mini-batches: means of the posterior', async (method) => {
  const exact = solution(1);
  const { chains } = await draw({ method, batch: 6, steps: 3000, cycles: 3, stepSize: 0.14, kept: 300 });
  chains.forEach((chain, i) => {
    const { mean, standardError } = chainEstimate(chain);
    // cycles are short: a tenth of a standard deviation is let pass for what a chain remembers
    const tolerance = 5 * standardError + 0.1 * Math.sqrt(exact.covariance.get(i, i));
    expect(Math.abs(mean - exact.mean[i]), `mean ${i}: ${mean}, ${exact.mean[i]}`).toBeLessThan(tolerance);
  });
});

test('a trajectory that leads to where nothing is finite is refused', async () => {
  // N(0, 1), and nothing above 0.5
  const evaluate = async (x: Float32Array, gradient: Float32Array) => {
    gradient[0] = x[0] < 0.5 ? -x[0] : Number.NaN;
    return x[0] < 0.5 ? -0.5 * x[0] ** 2 : Number.NaN;
  };
  const gradient = new Float32Array(1);
  const unit = Float32Array.of(1);
  const start = {
    position: Float32Array.of(0),
    logDensity: await evaluate(Float32Array.of(0), gradient),
    gradient,
  };
  const stream = new RandomStream(seedKey(904));
  const moves = [];
  for (let i = 0; i < 50; i++) moves.push(await hamiltonianMove(evaluate, start, 0.3, unit, 4, stream));
  for (const { point, acceptance } of moves) {
    expect(point.position[0]).toBeLessThan(0.5);
    if (acceptance === 0) expect(point).toBe(start);
  }
  expect(moves.filter(({ acceptance }) => acceptance === 0).length).toBeGreaterThan(5);
  expect(moves.filter(({ point }) => point !== start).length).toBeGreaterThan(5);
});

describe('steps with noise on N(0, 1) have the stationary law of their recursion', () => {
  const n = 40_000;
  const stream = new RandomStream(seedKey(902));

  test('Langevin: variance 1/(1 − h²/4)', () => {
    const x = stream.fillNormal(new Float32Array(n));
    const step = Math.sqrt(0.6);
    for (let t = 0; t < 40; t++)
      langevinMove(
        x,
        x.map((v) => -v),
        step,
        stream,
      );
    expectMean(estimate(x.map((v) => v * v)), 1 / (1 - 0.6 / 4), 'variance');
  });

  test('(65) with friction: that of the linear recursion', () => {
    const [x, p] = [new Float32Array(n), new Float32Array(n)];
    const step = 0.3;
    const left = Math.exp(-FRICTION * step);
    let [xx, xp, pp] = [0, 0, 0]; // second moments, by the recursion itself
    for (let t = 0; t < 40; t++) {
      frictionMove(
        x,
        p,
        x.map((value) => -value),
        step,
        stream,
      );
      const kick = 0.5 * (1 + left) * step;
      const newPp = left * left * pp - 2 * left * kick * xp + kick * kick * xx + 1 - left * left;
      const newXp = left * xp - kick * xx; // x times p'
      xx = xx + 2 * step * newXp + step * step * newPp;
      xp = newXp + step * newPp;
      pp = newPp;
    }
    expectMean(estimate(x.map((value) => value * value)), xx, 'E x²');
    expectMean(estimate(x.map((value, i) => value * p[i])), xp, 'E xp');
    expect(Math.abs(xx - 1)).toBeLessThan(step * step); // of second order: with the whole kick after the friction it is 0.80
  });
});

test('the cyclical schedule falls from the largest step, and counts the second half of a cycle', () => {
  const cycle = Array.from({ length: 20 }, (_, i) => cyclicalStep(i + 1, 20, 2, 0.4));
  expect(cycle.map(({ sampled }) => (sampled ? 1 : 0)).join('')).toBe('00000111110000011111');
  expect(cycle[0].stepSize).toBe(0.4);
  expect(cycle[5].stepSize).toBeCloseTo(0.4 * Math.SQRT1_2); // its square is half of the largest
  expect(cycle[10]).toEqual(cycle[0]);
  for (let i = 1; i < 10; i++) expect(cycle[i].stepSize).toBeLessThan(cycle[i - 1].stepSize);
  expect(spread({ ...options, method: 'sgld', steps: 20, cycles: 2 }, 2)).toEqual([10, 20]);
  expect(spread({ ...options, steps: 10 }, 100)).toEqual([6, 7, 8, 9, 10]);
  const adapting = { ...options, method: 'sgld', steps: 100, cycles: 1, stepSize: undefined } as const;
  expect(spread(adapting, 100)[0]).toBe(54); // 5 that adapt, then the second half of 95
});

test.each(SAMPLERS)(
  '%s: stopped at any step it goes on in the same bits; native and cpu agree',
  async (method) => {
    const short = { ...options, method, steps: 10, kept: 2, batch: 6, cycles: 2, stepSize: 0.2 };
    const run = (
      engine: Engine,
      steps: number,
      from?: SamplingState,
      stepped?: (state: SamplingState) => void,
    ) =>
      sampleNetwork(
        {
          model,
          images: data,
          rows,
          judged: data,
          options: { ...short, steps },
          engine,
          key: seedKey(903),
          from,
        },
        { stepped },
      );
    const states: SamplingState[] = [];
    const whole = await run(native, 10, undefined, (state) => states.push(structuredClone(state)));
    for (const at of [1, 6]) expect(await run(native, 10, states[at - 1])).toEqual(whole);
    const array = ({ places }: SamplingState) =>
      Object.fromEntries(places.map(({ position }, i) => [i, { shape: [position.length], data: position }]));
    expect(largestRelativeError(array(await run(cpu, 10)), array(whole)).error).toBeLessThan(1e-4);
  },
);
