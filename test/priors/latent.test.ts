// Latent priors made by the encoder: p(z) against a direct sum, samples against p(z), Jensen's inequality for subsets,
// and what a fit and a folder do with them.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { lowerBound } from '../../src/bounds/hierarchical.js';
import { componentOf } from '../../src/distributions/mixture.js';
import { type Engine, f32, type NdArray, RandomStream, seedKey, tf } from '../../src/engine/index.js';
import { readPriorFolder, writePriorFolder } from '../../src/prior-folders/prior-folder.js';
import type { KernelPrior, Tensors } from '../../src/priors/index.js';
import { type Encode, LATENT_PRIORS, latentPriors } from '../../src/priors/latent/index.js';
import type { PixelConfig } from '../../src/priors/pixels/networks.js';
import { vaePixels } from '../../src/priors/vae-pixels.js';
import { defaultFit, fitPrior } from '../../src/train/fit-prior.js';
import { engines, largestRelativeError, normal, runOn } from '../engine/reference.js';
import { difference, estimate, expectMean } from '../monte-carlo.js';
import { randomVae } from '../train/tiny.js';

const MIXTURES = ['vamp', 'aggregate'] as const;
const L = 2;

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

/** x ↦ N(2x − 1, (0.3 + x²)²) for rows of two numbers. */
const encode: Encode = (x) => ({
  mean: tf.sub(tf.mul(x, 2), 1),
  logStd: tf.log(tf.add(tf.square(x), 0.3)),
});
const POINTS = f32([4, L], Float32Array.of(0.1, -0.4, 1.2, 0.3, -0.7, 0.9, 0, 0));

function directLogDensity(z: ArrayLike<number>, points: NdArray): Float64Array {
  const [count] = points.shape;
  return Float64Array.from({ length: z.length / L }, (_, n) => {
    let sum = 0;
    for (let k = 0; k < count; k++) {
      let exponent = 0;
      for (let j = 0; j < L; j++) {
        const x = points.data[k * L + j];
        const std = 0.3 + x * x;
        exponent -=
          0.5 * ((z[n * L + j] - (2 * x - 1)) / std) ** 2 + Math.log(std) + 0.5 * Math.log(2 * Math.PI);
      }
      sum += Math.exp(exponent) / count;
    }
    return Math.log(sum);
  });
}

const logDensities = async (engine: Engine, z: NdArray, points: NdArray, name: (typeof MIXTURES)[number]) =>
  (
    await runOn(
      engine,
      ({ z, points }: { z: tf.Tensor; points: tf.Tensor }) => ({
        value: latentPriors[name].of({ 'latent.points': points }, encode).logDensity(z),
      }),
      { z, points },
    )
  ).value;

describe.each(MIXTURES)('%s', (name) => {
  test('log p(z) is that of the mixture, whatever the shape of z', async () => {
    const z = normal(300, 3, 5, L);
    const expected = directLogDensity(z.data, POINTS);
    for (const engine of [native, cpu]) {
      const { shape, data } = await logDensities(engine, z, POINTS, name);
      expect(shape).toEqual([3, 5]);
      expect(Math.max(...difference(data, expected).map(Math.abs))).toBeLessThan(1e-4);
    }
  });

  test('samples have the mean, the square and the log-density that p(z) says', async () => {
    const n = 40_000;
    const specs = latentPriors[name].noise(n, L);
    const noise = Object.fromEntries(
      Object.entries(specs).map(([part, { shape }], i) => [part, normal(301 + i, ...shape)]),
    );
    const { z } = await runOn(
      native,
      ({ noise, points }: { noise: Tensors; points: tf.Tensor }) => ({
        z: latentPriors[name].of({ 'latent.points': points }, encode).sample(noise),
      }),
      { noise, points: POINTS } as never,
    );
    const samples = (z as NdArray).data;
    // Moments of the mixture, and its entropy from draws of another generator.
    const stream = new RandomStream(seedKey(303));
    const others = Float64Array.from({ length: n * L });
    for (let i = 0; i < n; i++) {
      const k = stream.integer(4);
      for (let j = 0; j < L; j++) {
        const x = POINTS.data[k * L + j];
        others[i * L + j] = 2 * x - 1 + (0.3 + x * x) * stream.normal();
      }
    }
    for (let j = 0; j < L; j++) {
      const points = [0, 1, 2, 3].map((k) => POINTS.data[k * L + j]);
      const column = Float64Array.from({ length: n }, (_, i) => samples[i * L + j]);
      const mean = points.reduce((sum, x) => sum + (2 * x - 1) / 4, 0);
      const square = points.reduce((sum, x) => sum + ((2 * x - 1) ** 2 + (0.3 + x * x) ** 2) / 4, 0);
      expectMean(estimate(column), mean, `mean ${j}`);
      expectMean(estimate(column.map((x) => x * x)), square, `square ${j}`);
    }
    expectMean(
      estimate(difference(directLogDensity(samples, POINTS), directLogDensity(others, POINTS))),
      0,
      'log p',
    );
  });
});

test('components are chosen equally often, from the first to the last', async () => {
  const n = 60_000;
  const { k } = await runOn(native, ({ x }: { x: tf.Tensor }) => ({ k: componentOf(x, 3) }), {
    x: normal(305, n),
  });
  for (const component of [0, 1, 2])
    expectMean(estimate(Array.from(k.data as Int32Array, (c) => Number(c === component))), 1 / 3);
  const { ends } = await runOn(native, ({ x }: { x: tf.Tensor }) => ({ ends: componentOf(x, 3) }), {
    x: f32([2], Float32Array.of(-40, 40)),
  });
  expect([...(ends.data as Int32Array)]).toEqual([0, 2]);
});

test('a random subset of the rows gives a lower bound of the aggregate, (51)', async () => {
  const z = normal(306, 200, L);
  const whole = await logDensities(native, z, POINTS, 'aggregate');
  const stream = new RandomStream(seedKey(307));
  const gaps: number[] = [];
  for (let i = 0; i < 60; i++) {
    const rows = [stream.integer(4), stream.integer(4)];
    const subset = f32(
      [2, L],
      Float32Array.from(rows.flatMap((r) => [...POINTS.data.subarray(r * L, (r + 1) * L)])),
    );
    const part = await logDensities(cpu, z, subset, 'aggregate');
    gaps.push(estimate(difference(whole.data, part.data)).mean);
  }
  const { mean, standardError } = estimate(gaps);
  expect(mean).toBeGreaterThan(5 * standardError);
});

const SIZE = { h: 3, w: 3 };
const withPrior = (latentPrior: PixelConfig['latentPrior']) =>
  randomVae(SIZE, { latentPrior, components: 7 });
const latentOf = ({ density }: KernelPrior) => {
  if (density.kind !== 'latent') throw new Error('a latent-variable density');
  return density;
};

describe.each(LATENT_PRIORS)('a VAE with p(z) %s', (name) => {
  test('computes the same on both engines', async () => {
    const prior = withPrior(name);
    const f = (inputs: { w: tf.Tensor; noise: tf.Tensor; own: Tensors; parameters: Tensors }) => ({
      bound: lowerBound(latentOf(prior).of(inputs.parameters), inputs.w, inputs.noise),
      samples: prior.generate(inputs.parameters, inputs.own),
    });
    const inputs = {
      w: normal(310, 5, 9),
      noise: normal(311, 4, 5, 2),
      own: Object.fromEntries(
        Object.entries(prior.generateNoise(6)).map(([part, { shape }], i) => [
          part,
          normal(312 + i, ...shape),
        ]),
      ),
      parameters: prior.parameters,
    };
    const [a, b] = [await runOn(native, f, inputs as never), await runOn(cpu, f, inputs as never)];
    const { error, path } = largestRelativeError(a, b);
    expect(error, path).toBeLessThan(1e-5);
  });

  test("the fit's bound (16) has the mean of (1)", async () => {
    const n = 20_000;
    const prior = withPrior(name);
    const row = normal(320, 9).data.map((x) => 0.2 * x);
    const w = f32(
      [n, 9],
      Float32Array.from({ length: n * 9 }, (_, i) => row[i % 9]),
    );
    if (vaePixels.fit.kind !== 'gradient') throw new Error('learned by gradients');
    const { bound } = vaePixels.fit;
    const { closed, sampled } = await runOn(
      native,
      (inputs: { w: tf.Tensor; a: tf.Tensor; b: tf.Tensor; parameters: Tensors }) => ({
        closed: bound(inputs.parameters, inputs.w, { latent: inputs.a }, SIZE, prior.config as PixelConfig),
        sampled: lowerBound(latentOf(prior).of(inputs.parameters), inputs.w, tf.expandDims(inputs.b, 0)),
      }),
      { w, a: normal(321, n, 2), b: normal(322, n, 2), parameters: prior.parameters } as never,
    );
    expectMean(estimate(difference((closed as NdArray).data, (sampled as NdArray).data)), 0, '(16) − (1)');
  });

  test('is fitted, written and read again, bit for bit', async () => {
    const stream = new RandomStream(seedKey(330));
    const data = new Float32Array(300 * 9).map(() => 0.1 * stream.normal());
    const kernels = { ...SIZE, data, count: 300 };
    const config = vaePixels.config.parse({
      latent: 2,
      hidden: 8,
      latentPrior: name,
      components: 20,
    });
    const options = { ...defaultFit, steps: 80, batch: 30, validateEvery: 40 };
    const { prior, report } = await fitPrior({
      family: vaePixels,
      kernels,
      config,
      options,
      engine: native,
      key: seedKey(331),
    });
    expect(report!.trace.at(-1)!.trainBound).toBeGreaterThan(report!.trace[0].trainBound);
    if (name === 'vamp') expect(prior.parameters['latent.points'].shape).toEqual([20, 9]);
    if (name === 'aggregate') {
      expect(prior.parameters['latent.points'].shape).toEqual([270, 9]); // not those of the validation
      const own = new Set(Array.from({ length: 300 }, (_, i) => data.slice(i * 9, i * 9 + 9).join()));
      const points = prior.parameters['latent.points'].data as Float32Array;
      for (let i = 0; i < 270; i++) expect(own.has(points.slice(i * 9, i * 9 + 9).join())).toBe(true);
    }
    const folder = join(mkdtempSync(join(tmpdir(), 'dwp-latent-')), 'prior');
    const density = { n: 1, standardError: 0 };
    writePriorFolder(
      folder,
      prior,
      {
        source: { name: 'x', sha256: 'x', train: 1, test: 1, std: 1 },
        seed: 0,
        seconds: 0,
        test: density,
        baselines: {},
      },
      { data: new Float32Array(9), count: 1 },
    );
    const read = readPriorFolder(folder).prior;
    expect(read.parameters).toEqual(prior.parameters);
    expect(read.config).toEqual(prior.config);
  });
});

test('points of another size are refused', () => {
  const { parameters, config } = withPrior('vamp');
  const make = (changed: Record<string, NdArray>) =>
    vaePixels.prior(SIZE, config as PixelConfig, { ...parameters, ...changed });
  expect(() => make({ 'latent.points': f32([7, 4]) })).toThrow(/latent\.points has shape \[7,4\]/);
  expect(() => make({ 'latent.points': f32([0, 9]) })).toThrow(/latent\.points has shape \[0,9\]/);
});
