// The VAE whose z chooses and blends normals: its density against quadrature over z and over kernels, its samples, both
// engines, a mixture that a fit finds, what a folder may not hold, and figures on published kernels (DWP_ALL=1).
import { existsSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { lowerBound } from '../../src/bounds/hierarchical.js';
import {
  type Engine,
  f32,
  type NdArray,
  RandomStream,
  seedKey,
  tf,
  valueAndGradients,
} from '../../src/engine/index.js';
import { evaluateDensity } from '../../src/evaluate/density.js';
import { readKernelDataset } from '../../src/kernels/index.js';
import { fitAndJudge, partsOf } from '../../src/prior-folders/fit-and-judge.js';
import type { KernelPrior, Tensors, TrainingKernels } from '../../src/priors/index.js';
import { vae } from '../../src/priors/vae.js';
import { fitPrior, refinement } from '../../src/train/fit-prior.js';
import { samplePrior } from '../../src/train/sample-prior.js';
import { engines, largestRelativeError, normal, runOn } from '../engine/reference.js';
import { estimate } from '../monte-carlo.js';

const D = 2;
let native: Engine;
let cpu: Engine;
let prior: KernelPrior;
beforeAll(async () => {
  ({ native, cpu } = await engines());
  prior = await fitted(pairs(600, 1.5), 40);
});

/** Two narrow clusters, of different shapes, a distance apart. */
function pairs(count: number, distance: number): TrainingKernels {
  const stream = new RandomStream(seedKey(700));
  const data = new Float32Array(count * D);
  for (let i = 0; i < count; i++) {
    const [a, b] = [stream.normal(), stream.normal()];
    data.set(
      i % 2 === 0 ? [0.3 * a + distance, 0.2 * a + 0.1 * b] : [0.1 * a - distance, 0.5 * b - 0.1 * a],
      2 * i,
    );
  }
  return { h: 1, w: 2, data, count };
}

const fitted = async (kernels: TrainingKernels, steps: number): Promise<KernelPrior> =>
  (
    await fitPrior({
      family: vae,
      kernels,
      config: { latent: 2, hidden: 12, components: 4, members: 1 },
      options: { ...refinement, steps, validateEvery: steps / 4 },
      engine: native,
      key: seedKey(701),
    })
  ).prior;

const latentOf = ({ density }: KernelPrior) => {
  if (density.kind !== 'latent') throw new Error('a latent-variable density');
  return density;
};

/** log p(w|z): w [n, 2], z [n, 2] → [n]. */
async function logLikelihoods(engine: Engine, w: NdArray, z: NdArray): Promise<Float32Array> {
  const { value } = await runOn(
    engine,
    ({ w, z, parameters }: { w: tf.Tensor; z: tf.Tensor; parameters: Tensors }) => ({
      value: latentOf(prior).of(parameters).logLikelihood(w, z),
    }),
    { w, z, parameters: prior.parameters } as never,
  );
  return (value as NdArray).data as Float32Array;
}

const line = (count: number, reach: number) =>
  Array.from({ length: count }, (_, i) => reach * ((2 * i) / (count - 1) - 1));

/** All pairs of two lists, [a·b, 2]. */
const grid = (a: number[], b: number[]) =>
  f32([a.length * b.length, 2], Float32Array.from(a.flatMap((x) => b.flatMap((y) => [x, y]))));

const repeated = (row: ArrayLike<number>, n: number) =>
  f32(
    [n, row.length],
    Float32Array.from({ length: n * row.length }, (_, i) => row[i % row.length]),
  );

test('p(w|z) integrates to 1 over kernels, wherever z is, (128)', async () => {
  const side = 501;
  const w = grid(line(side, 4), line(side, 4));
  const cell = (8 / (side - 1)) ** 2;
  for (const z of [
    [0, 0],
    [-2, 0.5],
    [0.4, -2],
    [1.5, 1],
  ]) {
    const values = await logLikelihoods(native, w, repeated(z, side * side));
    const integral = values.reduce((sum, x) => sum + Math.exp(x) * cell, 0);
    expect(Math.abs(integral - 1), `${z}`).toBeLessThan(0.02);
  }
});

/** log p(w) by quadrature over z. */
async function logDensity(w: ArrayLike<number>): Promise<number> {
  const side = 301;
  const axis = line(side, 6);
  const z = grid(axis, axis);
  const values = await logLikelihoods(native, repeated(w, side * side), z);
  const cell = (12 / (side - 1)) ** 2;
  let sum = 0;
  values.forEach((value, i) => {
    const square = z.data[2 * i] ** 2 + z.data[2 * i + 1] ** 2;
    sum += (Math.exp(value - 0.5 * square) * cell) / (2 * Math.PI);
  });
  return Math.log(sum);
}

async function bounds(w: ArrayLike<number>, k: number): Promise<Float32Array> {
  const n = 2000 / k;
  const { value } = await runOn(
    native,
    ({ w, noise, parameters }: { w: tf.Tensor; noise: tf.Tensor; parameters: Tensors }) => ({
      value: lowerBound(latentOf(prior).of(parameters), w, noise),
    }),
    { w: repeated(w, n), noise: normal(703, k, n, 2), parameters: prior.parameters } as never,
  );
  return (value as NdArray).data as Float32Array;
}

test.each([[[1.4, 0.05]], [[-1.6, 0.4]], [[1.9, 0.3]]])(
  'at %j bounds (1) and (4) are below log p(w) by quadrature over z, and near it with many samples',
  async (w) => {
    const exact = await logDensity(w);
    const [one, many] = [estimate(await bounds(w, 1)), estimate(await bounds(w, 500))];
    expect(one.mean).toBeLessThan(exact + 5 * one.standardError);
    expect(one.mean).toBeLessThan(many.mean);
    expect(Math.abs(many.mean - exact)).toBeLessThan(0.05 + 5 * many.standardError);
  },
);

test('samples have the moments that the density has by quadrature', async () => {
  const side = 161;
  const axis = line(side, 4);
  const w = grid(axis, axis);
  const cell = (8 / (side - 1)) ** 2;
  const density = new Float64Array(side * side);
  const draws = 300; // of z, the same for every kernel: the samples below have others
  const z = normal(704, draws, 2);
  for (let k = 0; k < draws; k++) {
    const values = await logLikelihoods(native, w, repeated([z.data[2 * k], z.data[2 * k + 1]], side * side));
    values.forEach((value, i) => {
      density[i] += Math.exp(value) / draws;
    });
  }
  const n = 20_000;
  const samples = await samplePrior(prior, n, native, seedKey(705));
  for (const f of [
    (a: number) => Math.tanh(a),
    (_: number, b: number) => Math.tanh(b) ** 2,
    (a: number, b: number) => Math.tanh(a * b),
  ]) {
    let expected = 0;
    let square = 0;
    density.forEach((p, i) => {
      const value = f(w.data[2 * i], w.data[2 * i + 1]);
      expected += p * cell * value;
      square += p * cell * value * value;
    });
    const { mean, standardError } = estimate(
      Float64Array.from({ length: n }, (_, i) => f(samples[2 * i], samples[2 * i + 1])),
    );
    const error = Math.hypot(standardError, Math.sqrt((square - expected ** 2) / draws));
    expect(Math.abs(mean - expected)).toBeLessThan(5 * error);
  }
});

test('a draw and its density are each the inverse of the other: ‖P(z) x − h(z)‖/s is the noise', async () => {
  const n = 50;
  const [z, kernels] = [normal(706, n, 2), normal(707, n, 2)];
  const { value } = await runOn(
    native,
    (inputs: { z: tf.Tensor; kernels: tf.Tensor; parameters: Tensors }) => {
      const w = prior.generate(inputs.parameters, { latent: inputs.z, kernels: inputs.kernels });
      const mode = prior.generate(inputs.parameters, {
        latent: inputs.z,
        kernels: tf.zerosLike(inputs.kernels),
      });
      const { logLikelihood } = latentOf(prior).of(inputs.parameters);
      return { value: tf.sub(logLikelihood(w, inputs.z), logLikelihood(mode, inputs.z)) };
    },
    { z, kernels, parameters: unbent(prior.parameters) } as never,
  );
  (value as NdArray).data.forEach((difference, i) => {
    const square = kernels.data[2 * i] ** 2 + kernels.data[2 * i + 1] ** 2;
    expect(Math.abs(difference + 0.5 * square)).toBeLessThan(1e-3 * (1 + square));
  });
});

/** With norms that are left as they are. */
const unbent = (parameters: KernelPrior['parameters']) => ({
  ...parameters,
  'radial.knots': f32([2, 2], Float32Array.of(0, 1, 0, 1)),
});

test('both engines agree, and all that is learned has a gradient', async () => {
  if (vae.fit.kind !== 'gradient') throw new Error('learned by gradients');
  const { bound, initial, prepare, noise } = vae.fit;
  const settings = vae.config.parse({ latent: 3, hidden: 6, components: 3, members: 2 });
  const size = { h: 1, w: 2 };
  const key = seedKey(708);
  const data = pairs(300, 0.5);
  const prepared = await prepare!(data, settings, key, { engine: native, tick: async () => {} });
  const start = initial(data, settings, key, prepared);
  const { fixed } = start;
  const trainable = { ...start.trainable };
  // the network starts at 0, from which nothing reaches its other layers
  const out = trainable['encoder.out.kernel'];
  trainable['encoder.out.kernel'] = {
    ...out,
    data: normal(709, ...(out.shape as [number, number])).data.map((x) => 0.1 * x) as Float32Array,
  };
  const specs = noise(6, settings, size);
  const f = (inputs: { parameters: Tensors; fixed: Tensors; w: tf.Tensor; noise: Tensors }) => {
    const { objective, gradients } = valueAndGradients((parameters: Tensors) => {
      const value = bound({ ...parameters, ...inputs.fixed }, inputs.w, inputs.noise, size, settings);
      return { objective: tf.mean(value) as tf.Scalar, aux: {} };
    }, inputs.parameters);
    return { objective, gradients };
  };
  const inputs = {
    parameters: trainable,
    fixed,
    w: f32([6, 2], data.data.slice(0, 12)),
    noise: Object.fromEntries(
      Object.entries(specs).map(([name, { shape }], i) => [name, normal(710 + i, ...(shape as number[]))]),
    ),
  };
  const [a, b] = [await runOn(native, f, inputs as never), await runOn(cpu, f, inputs as never)];
  const { error, path } = largestRelativeError(a, b);
  expect(error, path).toBeLessThan(1e-4);
  const { gradients } = a as unknown as { gradients: Record<string, NdArray> };
  expect(Object.keys(gradients).sort()).toEqual(Object.keys(trainable).sort());
  for (const [name, { data }] of Object.entries(gradients))
    expect(data.every(Number.isFinite) && data.some((x) => x !== 0), name).toBe(true);
});

test('a fit to two clusters is near their density, and z says which of them a kernel is from', async () => {
  const found = await fitted(pairs(1500, 1.5), 400);
  const held = pairs(2200, 1.5).data.slice(2 * 1500);
  const report = await evaluateDensity({
    prior: found,
    kernels: held,
    samples: 200,
    engine: native,
    key: seedKey(711),
  });
  const log = (square: number, volume: number) => -0.5 * square - Math.log(2 * Math.PI) - volume;
  const exact = estimate(
    Float64Array.from({ length: held.length / 2 }, (_, i) => {
      const [x, y] = [held[2 * i], held[2 * i + 1]];
      const a = (x - 1.5) / 0.3;
      const first = log(a ** 2 + ((y - 0.2 * a) / 0.1) ** 2, Math.log(0.3 * 0.1));
      const b = (x + 1.5) / 0.1;
      const second = log(b ** 2 + ((y + 0.1 * b) / 0.5) ** 2, Math.log(0.1 * 0.5));
      return Math.log(0.5 * Math.exp(first) + 0.5 * Math.exp(second));
    }),
  );
  // a few per cent of p(z) lie between the regions and blend normals that nothing lies between
  expect(Math.abs(report.bound! - exact.mean)).toBeLessThan(0.6);
  expect(report.elbo!).toBeGreaterThan(report.bound! - 1);
  expect(report.latentKl!).toBeGreaterThan(Math.log(2));
  expect(report.withoutEncoder!).toBeLessThan(report.bound! - 5);
});

test('a factor that is not triangular, or has no volume, is no density', () => {
  const changed = (at: number, value: number) => {
    const { shape, data } = prior.parameters['bank.factor'];
    const copy = data.slice();
    copy[at] = value;
    return { ...prior.parameters, 'bank.factor': { shape, data: copy } };
  };
  const make = (parameters: KernelPrior['parameters']) => () =>
    vae.prior(prior.size, vae.config.parse(prior.config), parameters);
  expect(make(changed(1, 0.5))).toThrow('bank.factor is not lower triangular');
  expect(make(changed(0, 0))).toThrow("bank.factor's diagonal is 0, it must be above 0");
  expect(make(prior.parameters)).not.toThrow();
});

const PUBLISHED = '../shared/data/dwp-authors-kernels';
test.skipIf(process.env.DWP_ALL !== '1' || !existsSync(PUBLISHED)).each([
  ['7x7', 117],
  ['5x5', 57.4],
] as const)(
  'published kernels, %s: at least %d nats, and z does the work (DWP_ALL=1)',
  async (size, nats) => {
    const parts = partsOf(readKernelDataset(`${PUBLISHED}/${size}.npy`), 0.2, 0);
    const { test: report } = await fitAndJudge(
      parts,
      {
        family: vae as never,
        config: vae.config.parse({}),
        options: refinement,
        samples: 200,
        seed: 0,
      },
      native,
    );
    expect(report.bound!).toBeGreaterThan(nats);
    expect(report.elbo!).toBeGreaterThan(report.bound! - 6);
    expect(report.latentKl!).toBeGreaterThan(2);
    expect(report.withoutEncoder!).toBeLessThan(report.elbo! - 5);
  },
  3_600_000,
);
