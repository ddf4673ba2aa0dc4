// Priors made of others: another scale, mixtures of several; their densities, samples, folders, and what is learned of them.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { lowerBound } from '../../src/bounds/hierarchical.js';
import { expectedLogDensity, logPrior } from '../../src/bounds/prior-term.js';
import { HIERARCHICAL } from '../../src/bounds/settings.js';
import { logDensity } from '../../src/distributions/normal.js';
import {
  type Engine,
  f32,
  type NdArray,
  RandomStream,
  seedKey,
  tf,
  valueAndGradients,
} from '../../src/engine/index.js';
import { readPriorFolder, writeDerivedPrior } from '../../src/prior-folders/prior-folder.js';
import {
  type Arrays,
  adaptPrior,
  families,
  isotropicNormal,
  type KernelPrior,
  makePrior,
  mixPriors,
  type Tensors,
} from '../../src/priors/index.js';
import { scalePrior } from '../../src/priors/scaled.js';
import { samplePrior } from '../../src/train/sample-prior.js';
import { engines, normal, runOn } from '../engine/reference.js';
import { estimate } from '../monte-carlo.js';
import { randomVae } from '../train/tiny.js';

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});
const SIZE = { h: 1, w: 2 };
const rebuild = (prior: KernelPrior, parameters: Arrays) => makePrior(prior, prior.size, parameters);

/** N(μ, Σ) with a correlation, of any scale. */
function gaussian(mean: number, std: number, seed = 1): KernelPrior {
  const stream = new RandomStream(seedKey(seed));
  const data = Float32Array.from({ length: 200 }, () => mean + std * stream.normal());
  for (let i = 0; i < 200; i += 2) data[i + 1] += 0.5 * (data[i] - mean);
  const { fit, config } = families.get('gaussian')!;
  if (fit.kind !== 'closed-form') throw new Error('closed form');
  const whole = config.parse({});
  return families.get('gaussian')!.prior(SIZE, whole, fit.parameters({ ...SIZE, data, count: 100 }, whole));
}

async function evaluate(
  prior: KernelPrior,
  w: NdArray,
  engine = native,
  changed: Arrays = {},
): Promise<number[]> {
  const { density } = prior;
  if (density.kind !== 'exact') throw new Error('a density that is known');
  const parameters = { ...prior.parameters, ...changed };
  const { value } = await runOn(
    engine,
    ({ w, parameters }: { w: tf.Tensor; parameters: Tensors }) => ({
      value: density.logDensity(parameters, w),
    }),
    { w, parameters } as never,
  );
  return Array.from((value as NdArray).data);
}
const logSumExp = (x: number[]) =>
  Math.max(...x) + Math.log(x.reduce((s, y) => s + Math.exp(y - Math.max(...x)), 0));

describe('another scale', () => {
  const s = 3;
  test('(77) is the density of s·u, in closed form too, on both engines', async () => {
    const base = gaussian(0.1, 0.5);
    const prior = scalePrior(base, Math.log(s));
    const w = normal(500, 6, 2);
    const u = f32([6, 2], w.data.map((x) => x / s) as Float32Array);
    const expected = (await evaluate(base, u)).map((x) => x - 2 * Math.log(s));
    for (const engine of [native, cpu])
      for (const [i, x] of (await evaluate(prior, w, engine)).entries())
        expect(x).toBeCloseTo(expected[i], 4);
    // E_q at a q without width is the density
    const { density } = prior;
    if (density.kind !== 'exact') throw new Error('exact');
    const { value } = await runOn(
      native,
      ({ w, parameters }: { w: tf.Tensor; parameters: Tensors }) => ({
        value: density.expectedLogDensity!(parameters, { mean: w, logStd: tf.fill([6, 2], -12) }),
      }),
      { w, parameters: prior.parameters } as never,
    );
    for (const [i, x] of Array.from((value as NdArray).data).entries()) expect(x).toBeCloseTo(expected[i], 4);
  });

  test('bounds of a VAE move with it, and samples are s times as large', async () => {
    const base = randomVae({ h: 3, w: 3 });
    const prior = scalePrior(base, Math.log(s));
    const [w, noise] = [normal(501, 5, 9), normal(502, 4, 5, 2)];
    const bound = async (prior: KernelPrior, w: NdArray) => {
      const { value } = await runOn(
        native,
        ({ w, noise, parameters }: { w: tf.Tensor; noise: tf.Tensor; parameters: Tensors }) => {
          if (prior.density.kind !== 'latent') throw new Error('latent');
          return { value: lowerBound(prior.density.of(parameters), w, noise) };
        },
        { w, noise, parameters: prior.parameters } as never,
      );
      return Array.from((value as NdArray).data);
    };
    const small = f32([5, 9], w.data.map((x) => x / s) as Float32Array);
    const expected = await bound(base, small);
    for (const [i, x] of (await bound(prior, w)).entries())
      expect(x).toBeCloseTo(expected[i] - 9 * Math.log(s), 3);
    if (prior.density.kind !== 'latent') throw new Error('latent');
    const { of, decode } = prior.density;
    const { written, said } = await runOn(
      native,
      ({ w, z, parameters }: { w: tf.Tensor; z: tf.Tensor; parameters: Tensors }) => ({
        written: logDensity(w, decode!(parameters, z)),
        said: of(parameters).logLikelihood(w, z),
      }),
      { w, z: normal(503, 5, 2), parameters: prior.parameters } as never,
    );
    for (const [i, x] of Array.from(written.data).entries()) expect(x).toBeCloseTo(said.data[i], 3);
    const [a, b] = [
      await samplePrior(base, 20, native, seedKey(1)),
      await samplePrior(prior, 20, native, seedKey(1)),
    ];
    for (const [i, x] of b.entries()) expect(x).toBeCloseTo(s * a[i], 4);
  });
});

describe('a mixture of priors', () => {
  const parts = [gaussian(-0.5, 0.3), gaussian(1, 0.6, 2)];
  const weights = [0.7, 0.3];

  test('(78) of known densities, and its samples', async () => {
    const prior = mixPriors(parts, [7, 3]);
    const w = normal(503, 8, 2);
    const each = await Promise.all(parts.map((part) => evaluate(part, w)));
    for (const engine of [native, cpu])
      for (const [i, x] of (await evaluate(prior, w, engine)).entries())
        expect(x).toBeCloseTo(logSumExp(each.map((values, m) => Math.log(weights[m]) + values[i])), 4);
    const n = 4000;
    const drawn = await samplePrior(prior, n, native, seedKey(504));
    const firsts = Array.from({ length: n }, (_, i) => drawn[2 * i]);
    const means = parts.map(({ parameters }) => parameters.mean.data[0]);
    const variances = parts.map(({ parameters }) => parameters.cholesky.data[0] ** 2);
    const mean = estimate(firsts);
    expect(Math.abs(mean.mean - (0.7 * means[0] + 0.3 * means[1]))).toBeLessThan(5 * mean.standardError);
    const square = estimate(firsts.map((x) => x * x));
    const expected = weights.reduce((sum, x, m) => sum + x * (means[m] ** 2 + variances[m]), 0);
    expect(Math.abs(square.mean - expected)).toBeLessThan(5 * square.standardError);
  });

  test('a draw that was not chosen does not matter, infinite as it may be', async () => {
    const infinite: KernelPrior = {
      ...parts[1],
      generate: (parameters, noise) => tf.mul(parts[1].generate(parameters, noise), Number.POSITIVE_INFINITY),
    };
    const n = 1000;
    const drawn = await samplePrior(mixPriors([parts[0], infinite], [7, 3]), n, native, seedKey(505));
    expect(drawn.every((x) => !Number.isNaN(x))).toBe(true);
    const share = estimate(Array.from({ length: n }, (_, i) => (Number.isFinite(drawn[2 * i]) ? 1 : 0)));
    expect(Math.abs(share.mean - 0.7)).toBeLessThan(5 * share.standardError);
  });

  test('(79) is the log-sum-exp of the bounds of its parts', async () => {
    const size = { h: 3, w: 3 };
    const vaes = [randomVae(size, {}, 81), randomVae(size, { latent: 3 }, 82)];
    const all = [...vaes, isotropicNormal(size, {}, 0.3)];
    const prior = mixPriors(all, [0.2, 0.5, 0.3]);
    const [w, a, b] = [normal(505, 6, 9), normal(506, 4, 6, 2), normal(507, 4, 6, 3)];
    const { values } = await runOn(
      native,
      ({ w, a, b, parameters }: { w: tf.Tensor; a: tf.Tensor; b: tf.Tensor; parameters: Tensors[] }) => {
        const settings = { ...HIERARCHICAL, priorSamples: 4 };
        const log = (prior: KernelPrior, i: number, latent: tf.Tensor) =>
          logPrior(prior, parameters[i], w, { latent }, { settings });
        return {
          values: tf.stack([
            log(prior, 3, tf.concat([a, b], 2)),
            log(all[0], 0, a),
            log(all[1], 1, b),
            log(all[2], 2, a),
          ]),
        };
      },
      { w, a, b, parameters: [...all, prior].map(({ parameters }) => parameters) } as never,
    );
    const at = (row: number, i: number) => (values as NdArray).data[row * 6 + i];
    for (let i = 0; i < 6; i++)
      expect(at(0, i)).toBeCloseTo(logSumExp([0.2, 0.5, 0.3].map((x, m) => Math.log(x) + at(m + 1, i))), 3);
  });

  test('a folder holds it with every bit', async () => {
    const prior = scalePrior(mixPriors([...parts, gaussian(0, 1, 3)], [1, 2, 3]), 0.4);
    const folder = join(mkdtempSync(join(tmpdir(), 'dwp-composed-')), 'prior');
    writeDerivedPrior(folder, prior, 'a test', [
      { path: 'a', size: prior.size, roles: ['first', 'last'], inputs: [1] },
      { path: 'b', size: prior.size, roles: ['last'] },
    ]);
    const { prior: read, about } = readPriorFolder(folder);
    expect(about.derived).toEqual({ how: 'a test', from: ['a', 'b'] });
    expect(about.layers).toEqual({ roles: ['first', 'last'] }); // of inputs b says nothing
    const w = normal(508, 5, 2);
    expect(read.family).toBe('scaled');
    expect(await evaluate(read, w)).toEqual(await evaluate(prior, w));
  });
});

/** Adam-free ascent of Σ E_q log p(w) in the named parameters of a prior. */
async function learn(
  prior: KernelPrior,
  names: readonly string[],
  q: { mean: NdArray; logStd: NdArray },
  noise: Arrays = {},
  steps = 300,
  rate = 0.3,
) {
  let learned: Record<string, NdArray> = Object.fromEntries(
    names.map((name) => [name, prior.parameters[name]]),
  );
  const step = await native.compile(
    (
      { learned }: { learned: Tensors },
      {
        parameters,
        mean,
        logStd,
        noise,
      }: { parameters: Tensors; mean: tf.Tensor; logStd: tf.Tensor; noise: Tensors },
    ) => {
      const { objective, gradients } = valueAndGradients((learned) => {
        const each = expectedLogDensity(prior, { ...parameters, ...learned }, { mean, logStd }, noise);
        return { objective: tf.mean(each) as tf.Scalar, aux: {} };
      }, learned);
      const moved = Object.fromEntries(
        names.map((name) => [name, tf.add(learned[name], tf.mul(gradients[name], rate))]),
      );
      return { objective, moved, gradients };
    },
    { inputs: { learned } as never, constants: { parameters: prior.parameters, ...q, noise } as never },
  );
  const values: number[] = [];
  let first: Record<string, NdArray> | undefined;
  for (let i = 0; i < steps; i++) {
    const out = (await step.run({ learned } as never)) as never as {
      objective: NdArray;
      moved: Record<string, NdArray>;
      gradients: Record<string, NdArray>;
    };
    first ??= structuredClone(out.gradients);
    values.push(out.objective.data[0]);
    learned = structuredClone(out.moved);
  }
  const shifted = async (name: string, by: number) => {
    const array = prior.parameters[name];
    const data = Float32Array.from(array.data, (x, i) => x + (i === 0 ? by : 0));
    const start = Object.fromEntries(
      names.map((n) => [n, n === name ? f32([...array.shape], data) : prior.parameters[n]]),
    );
    const out = (await step.run({ learned: start } as never)) as never as { objective: NdArray };
    return out.objective.data[0];
  };
  return { learned, values, first: first!, shifted };
}

describe('what is learned of a prior', () => {
  const n = 300;
  test('its scale becomes that of the closed form, and the bound grows', async () => {
    const { prior, names } = adaptPrior(isotropicNormal(SIZE, {}, 1), ['scale'], rebuild);
    const q = {
      mean: f32([n, 2], normal(509, n, 2).data.map((x) => 0.2 * x) as Float32Array),
      logStd: f32([n, 2], new Float32Array(2 * n).fill(Math.log(0.1))),
    };
    const { learned, values, first, shifted } = await learn(prior, names, q, {}, 200, 0.1);
    // Σ E_q log N(w | 0, s²) is largest at s² = the mean of m² + σ²
    const square = q.mean.data.reduce((sum, x) => sum + x * x + 0.01, 0) / (2 * n);
    expect(learned.logScale.data[0]).toBeCloseTo(0.5 * Math.log(square), 3);
    expect(values.at(-1)).toBeGreaterThan(values[0] + 1);
    const h = 0.01;
    const difference = ((await shifted('logScale', h)) - (await shifted('logScale', -h))) / (2 * h);
    expect(first.logScale.data[0]).toBeCloseTo(difference, 2);
  });

  test('weights go to the source that the kernels are of', async () => {
    const parts = [gaussian(-0.5, 0.3), gaussian(1, 0.3, 2)];
    const { prior, names } = adaptPrior(mixPriors(parts, [1, 1]), ['weights'], rebuild);
    expect(names).toEqual(['logWeight']);
    const mean = f32([n, 2], await samplePrior(parts[1], n, native, seedKey(510)));
    const q = { mean, logStd: f32([n, 2], new Float32Array(2 * n).fill(-9)) };
    const { learned, values, first, shifted } = await learn(
      prior,
      names,
      q,
      { kernels: normal(511, n, 2) },
      400,
      1,
    );
    const [a, b] = learned.logWeight.data;
    expect(1 / (1 + Math.exp(a - b))).toBeGreaterThan(0.97);
    expect(values.at(-1)).toBeGreaterThan(values[0] + 0.5);
    const h = 0.01;
    const difference = ((await shifted('logWeight', h)) - (await shifted('logWeight', -h))) / (2 * h);
    expect(first.logWeight.data[0]).toBeCloseTo(difference, 2);
  });

  test.each([
    ['vae', () => randomVae({ h: 3, w: 3 })],
    ['a scaled vae', () => scalePrior(randomVae({ h: 3, w: 3 }), 0.3)],
    [
      'a mixture with a scaled vae',
      () =>
        mixPriors([isotropicNormal({ h: 3, w: 3 }, {}, 1), scalePrior(randomVae({ h: 3, w: 3 }))], [1, 1]),
    ],
    [
      'a mixture of vaes',
      () => mixPriors([randomVae({ h: 3, w: 3 }), randomVae({ h: 3, w: 3 }, {}, 82)], [1, 1]),
    ],
  ])('%s: p(z), decoder and scale are the same density at first, and all of them learn', async (_, make) => {
    const before = make();
    const { prior, names } = adaptPrior(before, ['scale', 'latent', 'decoder'], rebuild);
    expect(names.every((name) => name in prior.parameters)).toBe(true);
    if (before.density.kind !== 'latent') throw new Error('latent');
    const q = {
      mean: f32([n, 9], normal(512, n, 9).data.map((x) => 0.1 * x) as Float32Array),
      logStd: f32([n, 9], new Float32Array(9 * n).fill(-3)),
    };
    const noise = { kernels: normal(513, n, 9), latent: normal(514, 1, n, before.density.latentSize) };
    const old = await learn(before, before.adaptable!.decoder!.names.slice(0, 1), q, noise, 1);
    const { learned, values } = await learn(prior, names, q, noise, 30, 1e-3);
    expect(values[0]).toBeCloseTo(old.values[0], 3);
    expect(values.at(-1)).toBeGreaterThan(values[0]);
    for (const name of names) expect(learned[name].data, name).not.toEqual(prior.parameters[name].data);
  });

  test('what was learned before is where it goes on', () => {
    const { prior, names } = adaptPrior(scalePrior(randomVae({ h: 3, w: 3 })), ['latent'], rebuild);
    const moved = Object.fromEntries(names.map((name) => [name, f32([2], Float32Array.of(0.1, 0.2))]));
    const once = rebuild(prior, { ...prior.parameters, ...moved });
    expect(adaptPrior(once, ['latent'], rebuild).prior.parameters).toEqual(once.parameters);
  });

  test('a family without such a part says what it has', () => {
    expect(() => adaptPrior(gaussian(0, 1), ['decoder'], rebuild)).toThrow(/family gaussian has no decoder/);
    expect(() => adaptPrior(gaussian(0, 1), ['latent'], rebuild)).toThrow(/no p\(z\) and no weights/);
  });
});
