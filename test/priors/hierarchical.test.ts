// Two layers of latents: p(z) and (122) against sums written out, samples against the density, log p(w) by quadrature.
import { beforeAll, expect, test } from 'vitest';
import { logImportanceWeight } from '../../src/distributions/latent.js';
import { logDensity, reparameterise } from '../../src/distributions/normal.js';
import { type Engine, f32, RandomStream, seedKey, tf } from '../../src/engine/index.js';
import { type Arrays, type KernelPrior, kernelLength, type Tensors } from '../../src/priors/index.js';
import { hierarchical } from '../../src/priors/latent/hierarchical.js';
import { vaePixels } from '../../src/priors/vae-pixels.js';
import { engines, normal, runOn } from '../engine/reference.js';
import { difference, estimate, expectMean } from '../monte-carlo.js';
import { randomVae } from '../train/tiny.js';

let native: Engine;
beforeAll(async () => {
  ({ native } = await engines());
});

/** A network that says something of z₁: its last layer starts at nothing. */
function bent(arrays: Arrays): Arrays {
  const name = 'latent.upper.out.kernel';
  const { shape } = arrays[name];
  const stream = new RandomStream(seedKey(700));
  return {
    ...arrays,
    [name]: f32(
      [...shape],
      new Float32Array(arrays[name].data.length).map(() => 0.4 * stream.normal()),
    ),
  };
}
const start = (l: number) =>
  hierarchical.initial({ data: new Float32Array(), count: 0, size: 6 }, 1, seedKey(701), l).trainable;
const UPPER = bent(start(2));

const elu = (x: number) => (x > 0 ? x : Math.expm1(x));
/** Mean and log standard deviation of z₁ given z₂, in plain numbers: l = 1 + 1. */
function plainGiven(z2: number): [number, number] {
  const layer = (x: number[], name: string, act: (x: number) => number) => {
    const [kernel, bias] = [UPPER[`latent.upper.${name}.kernel`], UPPER[`latent.upper.${name}.bias`]];
    const [inputs, outputs] = kernel.shape;
    return Array.from({ length: outputs }, (_, j) => {
      let sum = bias.data[j];
      for (let i = 0; i < inputs; i++) sum += x[i] * kernel.data[i * outputs + j];
      return act(sum);
    });
  };
  const [mean, raw] = layer(layer(layer([z2], '0', elu), '1', elu), 'out', (x) => x);
  return [mean, 4 * Math.tanh(raw / 4)];
}
const logNormal = (x: number, mean: number, logStd: number) =>
  -0.5 * ((x - mean) / Math.exp(logStd)) ** 2 - logStd - 0.5 * Math.log(2 * Math.PI);
const plainLogDensity = (z1: number, z2: number) => logNormal(z1, ...plainGiven(z2)) + logNormal(z2, 0, 0);

/** z₂ in steps of 0.05, z₁ in steps of a tenth of its width about its mean: the trapezoidal rule of both. */
const GRID = Array.from({ length: 241 }, (_, i) => 0.05 * (i - 120)).flatMap((z2) => {
  const [mean, logStd] = plainGiven(z2);
  const step = 0.1 * Math.exp(logStd);
  return Array.from({ length: 141 }, (_, j) => {
    const z1 = mean + step * (j - 70);
    return { z1, z2, area: 0.05 * step, log: logNormal(z1, mean, logStd) + logNormal(z2, 0, 0) };
  });
});
type Moment = (z1: number, z2: number, log: number) => number;
const expectation = (f: Moment) =>
  GRID.reduce((sum, { z1, z2, area, log }) => sum + area * Math.exp(log) * f(z1, z2, log), 0);

test('log p(z) is that of both layers (121), and integrates to one', async () => {
  const z = normal(702, 3, 5, 2);
  const { value } = await runOn(
    native,
    ({ z, upper }: { z: tf.Tensor; upper: Tensors }) => ({
      value: hierarchical.of(upper, () => ({ mean: z, logStd: z })).logDensity(z),
    }),
    { z, upper: UPPER } as never,
  );
  expect(value.shape).toEqual([3, 5]);
  for (let i = 0; i < 15; i++)
    expect(value.data[i]).toBeCloseTo(plainLogDensity(z.data[2 * i], z.data[2 * i + 1]), 4);
  expect(expectation(() => 1)).toBeCloseTo(1, 5);
});

test('at first N(0, I), and samples have the moments and the log-density of p(z)', async () => {
  const n = 20_000;
  const f = ({ noise, first, upper }: { noise: tf.Tensor; first: Tensors; upper: Tensors }) => {
    const encode = () => ({ mean: noise, logStd: noise });
    return {
      unchanged: hierarchical.of(first, encode).sample({ latent: noise }),
      z: hierarchical.of(upper, encode).sample({ latent: noise }),
    };
  };
  const noise = normal(703, n, 2);
  const { unchanged, z } = await runOn(native, f, { noise, first: start(2), upper: UPPER } as never);
  expect(unchanged.data).toEqual(noise.data);
  const rows = Array.from({ length: n }, (_, i): [number, number, number] => {
    const [z1, z2] = [z.data[2 * i], z.data[2 * i + 1]];
    return [z1, z2, plainLogDensity(z1, z2)];
  });
  const moments: [string, Moment][] = [
    ['z₁', (z1) => z1],
    ['z₁²', (z1) => z1 * z1],
    ['z₁ z₂', (z1, z2) => z1 * z2],
    ['z₂²', (_, z2) => z2 * z2],
    ['log p', (_z1, _z2, log) => log],
  ];
  for (const [name, moment] of moments)
    expectMean(estimate(rows.map((row) => moment(...row))), expectation(moment), name);
});

test.each([2, 3, 5])('−KL (122) has the mean of log p(z) − log r(z), l = %d', async (l) => {
  const n = 40_000;
  const upper = bent(start(l));
  const { closed, sampled } = await runOn(
    native,
    ({ a, b, mean, logStd, upper }: Record<string, tf.Tensor> & { upper: Tensors }) => {
      const r = { mean: tf.add(mean, tf.zerosLike(a)), logStd: tf.add(logStd, tf.zerosLike(a)) };
      const p = hierarchical.of(upper, () => r);
      const draw = (noise: tf.Tensor) => tf.add(r.mean, tf.mul(tf.exp(r.logStd), noise));
      return {
        closed: p.negativeDivergence(r, draw(a)),
        sampled: tf.sub(p.logDensity(draw(b)), logDensity(draw(b), r)),
      };
    },
    {
      ...{ a: normal(704, n, l), b: normal(705, n, l), mean: normal(706, 1, l), upper },
      logStd: f32([1, l], normal(707, 1, l).data.map((x) => 0.3 * x - 0.5) as Float32Array),
    } as never,
  );
  expectMean(estimate(difference(closed.data as Float32Array, sampled.data as Float32Array)), 0, '(122)');
});

/** log ∫ p(w|z) p(z) dz of one kernel by quadrature. */
async function quadrature(prior: KernelPrior, w: Float32Array): Promise<number> {
  const { density } = prior;
  if (density.kind !== 'latent') throw new Error('a latent-variable density');
  const z = f32([GRID.length, 2], Float32Array.from(GRID.flatMap(({ z1, z2 }) => [z1, z2])));
  const { logs } = await runOn(
    native,
    ({ w, z, parameters }: { w: tf.Tensor; z: tf.Tensor; parameters: Tensors }) => ({
      logs: density.of(parameters).logLikelihood(tf.tile(w, [GRID.length, 1]), z),
    }),
    { w: f32([1, w.length], w), z, parameters: prior.parameters } as never,
  );
  const terms = GRID.map(({ area, log }, i) => (logs.data[i] as number) + log + Math.log(area));
  const largest = Math.max(...terms);
  return largest + Math.log(terms.reduce((sum, x) => sum + Math.exp(x - largest), 0));
}

test('importance weights have the mean p(w) of quadrature', async () => {
  const n = 40_000;
  const made = randomVae({ h: 3, w: 2 }, { latentPrior: 'hierarchical' });
  // p(w) is the same whatever r; one wider than p(z|w) has weights of a small variance
  const wide = { 'encoder.out.bias': f32([4], Float32Array.of(0, 0, 1.4, 1.4)) };
  const prior = { ...made, parameters: { ...made.parameters, ...UPPER, ...wide } };
  const { density } = prior;
  if (density.kind !== 'latent') throw new Error('a latent-variable density');
  const kernels = normal(708, 4, 6).data.map((x) => 0.2 * x) as Float32Array;
  for (let i = 0; i < 4; i++) {
    const w = kernels.slice(6 * i, 6 * i + 6);
    const truth = await quadrature(prior, w);
    const { logs } = await runOn(
      native,
      ({ w, noise, parameters }: { w: tf.Tensor; noise: tf.Tensor; parameters: Tensors }) => {
        const of = density.of(parameters);
        const r = of.encode(w);
        return { logs: logImportanceWeight(of, w, reparameterise(r, noise), r) };
      },
      { w: f32([1, 6], w), noise: normal(709 + i, n, 1, 2), parameters: prior.parameters } as never,
    );
    const ratios = estimate(Float64Array.from(logs.data as Float32Array, (x) => Math.exp(x - truth)));
    expectMean(ratios, 1, `kernel ${i}`);
    expect(ratios.standardError).toBeLessThan(0.05); // or the line above says little
  }
});

test('of whole filters, with convolutional networks', () => {
  const size = { h: 3, w: 3, channels: 2 };
  const config = vaePixels.config.parse({
    latent: 4,
    hidden: 3,
    networks: 'convolutional',
    latentPrior: 'hierarchical',
  });
  const data = normal(710, 30, kernelLength(size)).data as Float32Array;
  if (vaePixels.fit.kind !== 'gradient') throw new Error('learned by gradients');
  const { trainable, fixed } = vaePixels.fit.initial({ ...size, data, count: 30 }, config, seedKey(711));
  const prior = vaePixels.prior(size, config, { ...trainable, ...fixed });
  expect(prior.parameters['latent.upper.0.kernel'].shape).toEqual([2, 64]);
  expect(() =>
    vaePixels.prior(size, config, { ...prior.parameters, 'latent.upper.0.kernel': f32([3, 64]) }),
  ).toThrow(/latent\.upper\.0\.kernel has shape \[3,64\]/);
});

test('one latent number has no two layers', () => {
  expect(() => start(1)).toThrow(/--latent 1 is too small for a hierarchical p\(z\)/);
});
