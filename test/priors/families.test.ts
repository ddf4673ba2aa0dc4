// Every family whose density is known, fitted with its defaults to a few kernels: the density integrates to 1, samples
// have the density's log-density and, where they have any, its moments; both engines agree; folders keep every bit.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Engine, f32, type NdArray, RandomStream, seedKey, type tf } from '../../src/engine/index.js';
import { readPriorFolder } from '../../src/prior-folders/prior-folder.js';
import { families, type KernelPrior, type Tensors, type TrainingKernels } from '../../src/priors/index.js';
import { defaultFit, fitPrior } from '../../src/train/fit-prior.js';
import { samplePrior } from '../../src/train/sample-prior.js';
import { writeTestPrior } from '../cli/prior-folder.js';
import { engines, largestRelativeError, normal, runOn } from '../engine/reference.js';
import { difference, estimate, expectMean } from '../monte-carlo.js';

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

/** Correlated pairs of two scales. */
function kernels(h: number, w: number, count = 400, seed = 400): TrainingKernels {
  const stream = new RandomStream(seedKey(seed));
  const d = h * w;
  const data = new Float32Array(count * d);
  for (let i = 0; i < count; i++) {
    const scale = i % 3 === 0 ? 0.6 : 0.2;
    const common = stream.normal();
    for (let j = 0; j < d; j++) data[i * d + j] = scale * (0.7 * common + 0.5 * stream.normal()) + 0.05 * j;
  }
  return { h, w, data, count };
}

const QUICK = { ...defaultFit, steps: 100, validateEvery: 50, batch: 50 };
const CONFIG: Record<string, Record<string, unknown>> = {
  flow: { layers: 3, hidden: 8 },
  mixture: { components: 3 },
  vae: { components: 3, members: 2, latent: 2, hidden: 8 },
};
const fitted = async (name: string, data: TrainingKernels): Promise<KernelPrior> =>
  (
    await fitPrior({
      family: families.get(name)!,
      kernels: data,
      config: families.get(name)!.config.parse(CONFIG[name] ?? {}),
      options: QUICK,
      engine: native,
      key: seedKey(401),
    })
  ).prior;

const EXACT = [...families.keys()].filter((name) => !['vae', 'vae-pixels'].includes(name));

async function logDensities(engine: Engine, { density, parameters }: KernelPrior, w: NdArray) {
  if (density.kind !== 'exact') throw new Error('an exact density');
  const { value } = await runOn(
    engine,
    ({ w, parameters }: { w: tf.Tensor; parameters: Tensors }) => ({
      value: density.logDensity(parameters, w),
    }),
    { w, parameters } as never,
  );
  return (value as NdArray).data as Float32Array;
}

const GRID_REACH = 9;
const GRID_UNIT = 1e-3;

/** ∫ ∫ p over the plane: with w = sinh(t), which reaches far on both sides. */
async function integral(prior: KernelPrior): Promise<number> {
  const side = 601;
  const [reach, unit] = [GRID_REACH, GRID_UNIT];
  const t = Array.from({ length: side }, (_, i) => reach * ((2 * i) / (side - 1) - 1));
  const grid = f32([side * side, 2]);
  t.forEach((a, i) => {
    t.forEach((b, j) => {
      grid.data.set([unit * Math.sinh(a), unit * Math.sinh(b)], 2 * (i * side + j));
    });
  });
  const values = await logDensities(native, prior, grid);
  const step = (2 * reach) / (side - 1);
  return values.reduce(
    (sum, value, at) =>
      sum +
      Math.exp(value) *
        (step * unit * Math.cosh(t[Math.floor(at / side)])) *
        (step * unit * Math.cosh(t[at % side])),
    0,
  );
}

describe.each(EXACT)('%s', (name) => {
  test('integrates to 1 over the plane of 1×2 kernels', async () => {
    const prior = await fitted(name, kernels(1, 2));
    let inside = 1;
    if (name === 'log-uniform') {
      // 1/w² goes beyond any grid: (a + b)/(reach + a) of the tail's 1/(1 + length) lies there, for either value
      const [a, b] = ['floor', 'largest'].map((part) => prior.parameters[part].data[0]);
      inside = (1 - (a + b) / (GRID_UNIT * Math.sinh(GRID_REACH) + a) / (1 + Math.log((a + b) / a))) ** 2;
    }
    expect(Math.abs((await integral(prior)) - inside)).toBeLessThan(0.01);
  });

  test('samples have the log-density that the density says', async () => {
    // E_p log p from samples, and the same by weighting draws of a wide normal mixture: two ways, one number
    const prior = await fitted(name, kernels(1, 2));
    const n = 20_000;
    const own = await logDensities(
      native,
      prior,
      f32([n, 2], await samplePrior(prior, n, native, seedKey(402))),
    );
    const stream = new RandomStream(seedKey(403));
    const scales = [0.003, 0.03, 0.15, 0.5, 2, 10];
    const draws = f32([n, 2]);
    const proposal = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const scale = scales[stream.integer(scales.length)];
      const w = [scale * stream.normal(), scale * stream.normal()];
      draws.data.set(w, 2 * i);
      const square = w[0] ** 2 + w[1] ** 2;
      proposal[i] = Math.log(
        scales.reduce((sum, s) => sum + Math.exp((-0.5 * square) / s ** 2) / (2 * Math.PI * s ** 2), 0) /
          scales.length,
      );
    }
    const values = await logDensities(native, prior, draws);
    // tanh of the log-density has finite moments whatever the tails
    const squash = (x: number) => Math.tanh(x / 4);
    const weighted = Float64Array.from(values, (v, i) => Math.exp(v - proposal[i]) * squash(v));
    const [a, b] = [estimate(Array.from(own, squash)), estimate(weighted)];
    const error = Math.hypot(a.standardError, b.standardError);
    const slack = name === 'log-uniform' ? 0.1 : 0; // axes are ridges that a round proposal hardly finds
    expect(Math.abs(a.mean - b.mean)).toBeLessThan(5 * error + slack);
  });

  test.each([
    [1, 1],
    [2, 3],
    [5, 1],
  ])('%d×%d: both engines agree, a folder keeps every bit', async (h, w) => {
    const prior = await fitted(name, kernels(h, w));
    const x = f32([7, h * w], normal(404, 7, h * w).data.map((v) => 0.3 * v) as Float32Array);
    const [a, b] = [await logDensities(native, prior, x), await logDensities(cpu, prior, x)];
    expect(Math.max(...difference(a, b).map(Math.abs))).toBeLessThan(1e-3);
    const [s, t] = [
      await samplePrior(prior, 5, native, seedKey(405)),
      await samplePrior(prior, 5, cpu, seedKey(405)),
    ];
    expect(largestRelativeError({ s: f32([s.length], s) }, { s: f32([t.length], t) }).error).toBeLessThan(
      1e-4,
    );
    expect(again(prior).parameters).toEqual(prior.parameters);
  });
});

function again(prior: KernelPrior): KernelPrior {
  const folder = join(mkdtempSync(join(tmpdir(), 'dwp-family-')), 'prior');
  writeTestPrior(folder, prior);
  const read = readPriorFolder(folder).prior;
  expect(read.config).toEqual(prior.config);
  return read;
}

test.each([
  ...['normal', 'gaussian', 'student-t', 'scale-mixture', 'mixture', 'laplace', 'correlated'],
  ...['structured', 'kernel-density'],
])('%s: samples have the second moments of a large sample of kernels that it drew', async (name) => {
  const prior = await fitted(name, kernels(1, 2));
  const n = 30_000;
  const [a, b] = [
    await samplePrior(prior, n, native, seedKey(406)),
    await samplePrior(prior, n, cpu, seedKey(407)),
  ];
  const squares = (x: Float32Array) =>
    Float64Array.from({ length: n }, (_, i) => Math.atan(x[2 * i] * x[2 * i + 1]));
  expectMean(estimate(difference(squares(a), squares(b))), 0, 'w₁ w₂');
});

test('a scale mixture of fewer kernels than weights gives others a better density than an isotropic normal', async () => {
  const [few, others] = [kernels(5, 5, 15, 420), kernels(5, 5, 200, 421)];
  const x = f32([200, 25], others.data as Float32Array);
  const [own, isotropic] = [
    await logDensities(native, await fitted('scale-mixture', few), x),
    await logDensities(native, await fitted('normal', few), x),
  ];
  const { mean, standardError } = estimate(difference(own, isotropic));
  expect(mean).toBeGreaterThan(5 * standardError);
});

test('Laplace: E_q log p in closed form, (54), is the mean over samples of q', async () => {
  const prior = await fitted('laplace', kernels(1, 2));
  const { density, parameters } = prior;
  if (density.kind !== 'exact') throw new Error('an exact density');
  const [mean, logStd] = [Float32Array.of(0.1, -0.4), Float32Array.of(-1, -2.5)];
  const { value } = await runOn(
    native,
    ({ q, parameters }: { q: { mean: tf.Tensor; logStd: tf.Tensor }; parameters: Tensors }) => ({
      value: density.expectedLogDensity!(parameters, q),
    }),
    { q: { mean: f32([1, 2], mean), logStd: f32([1, 2], logStd) }, parameters } as never,
  );
  const n = 30_000;
  const noise = normal(408, n, 2).data;
  const draws = f32(
    [n, 2],
    Float32Array.from(noise, (e, i) => mean[i % 2] + Math.exp(logStd[i % 2]) * e),
  );
  expectMean(estimate(await logDensities(native, prior, draws)), (value as NdArray).data[0], 'E_q log p');
});

test('a mixture fitted to two clusters finds them, and how many there are', async () => {
  const stream = new RandomStream(seedKey(410));
  const count = 1500;
  const data = new Float32Array(count * 2);
  for (let i = 0; i < count; i++) {
    const centre = i % 3 === 0 ? 2 : -1;
    for (let j = 0; j < 2; j++) data[2 * i + j] = centre + 0.3 * stream.normal();
  }
  const two = await fitPrior({
    family: families.get('mixture')!,
    kernels: { h: 1, w: 2, data, count },
    config: { components: 2, members: 1, tails: 'normal', straighten: false },
    options: QUICK,
    engine: native,
    key: seedKey(411),
  });
  const {
    'mixture.mean': mean,
    'mixture.logWeight': weight,
    'mixture.colouring': root,
  } = two.prior.parameters;
  expect(Math.exp(weight.data[0])).toBeCloseTo(2 / 3, 2);
  expectMean({ mean: mean.data[0], standardError: 0.3 / Math.sqrt(1000) }, -1, 'first');
  expectMean({ mean: mean.data[2], standardError: 0.3 / Math.sqrt(500) }, 2, 'second');
  expect(root.data[0]).toBeCloseTo(0.3, 1);
  const auto = await fitPrior({
    family: families.get('mixture')!,
    kernels: { h: 1, w: 2, data, count },
    config: { components: 'auto', members: 1, tails: 'normal', straighten: false },
    options: QUICK,
    engine: native,
    key: seedKey(411),
  });
  expect(auto.prior.parameters['mixture.mean'].shape[0]).toBe(4); // of 1, 4, 8, …
});
