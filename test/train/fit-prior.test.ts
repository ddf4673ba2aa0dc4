// A kernel VAE fitted on kernels whose density is known: two kinds of edges and two kinds of blobs, 3×3.
import { beforeAll, describe, expect, test } from 'vitest';
import { createEngine, type Engine, RandomStream, seedKey } from '../../src/engine/index.js';
import { evaluateDensity } from '../../src/evaluate/density.js';
import { gaussian } from '../../src/priors/gaussian.js';
import type { TrainingKernels } from '../../src/priors/index.js';
import { vaePixels } from '../../src/priors/vae-pixels.js';
import { defaultFit, type FitOptions, fitPrior } from '../../src/train/fit-prior.js';
import { difference, estimate } from '../monte-carlo.js';

const D = 9;
const TEMPLATES = [
  [1, 1, 1, 0, 0, 0, -1, -1, -1],
  [1, 0, -1, 1, 0, -1, 1, 0, -1],
  [0.2, 0.5, 0.2, 0.5, 1, 0.5, 0.2, 0.5, 0.2],
  [-0.2, -0.5, -0.2, -0.5, -1, -0.5, -0.2, -0.5, -0.2],
];
const STD = 0.15;

/** w = template + 0.15 · ε, each template as likely. */
function draw(count: number, seed: number): TrainingKernels {
  const stream = new RandomStream(seedKey(seed));
  const data = new Float32Array(count * D);
  for (let i = 0; i < count; i++) {
    const template = TEMPLATES[stream.integer(4)];
    for (let j = 0; j < D; j++) data[i * D + j] = template[j] + STD * stream.normal();
  }
  return { h: 3, w: 3, data, count };
}

/** log ¼ Σ_c N(w | template_c, 0.15² I) */
function trueLogDensity({ data, count }: TrainingKernels): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => {
    const exponents = TEMPLATES.map((t) =>
      t.reduce((sum, m, j) => sum - 0.5 * ((data[i * D + j] - m) / STD) ** 2, 0),
    );
    const largest = Math.max(...exponents);
    const sum = exponents.reduce((total, e) => total + Math.exp(e - largest), 0);
    return largest + Math.log(sum / 4) - D * (Math.log(STD) + 0.5 * Math.log(2 * Math.PI));
  });
}

const train = draw(1500, 180);
const held = draw(600, 181);
const config = vaePixels.config.parse({ latent: 4, hidden: 32 });
const options: FitOptions = { ...defaultFit, steps: 1200, batch: 100, learningRate: 4e-3 };

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

test('the VAE passes the full-covariance Gaussian, and never the density that kernels were drawn from', async () => {
  const { prior, report } = await fitPrior({
    family: vaePixels,
    kernels: train,
    config,
    options,
    engine,
    key: seedKey(182),
  });
  const baseline = await fitPrior({
    family: gaussian,
    kernels: train,
    config: gaussian.config.parse({}),
    options,
    engine,
    key: seedKey(182),
  });
  const [fitted, normal] = await Promise.all(
    [prior, baseline.prior].map((p) =>
      evaluateDensity({ prior: p, kernels: held.data, samples: 100, engine, key: seedKey(183) }),
    ),
  );
  const truth = estimate(trueLogDensity(held));
  expect(fitted.n).toBe(600);
  expect(fitted.bound!).toBeGreaterThan(normal.logDensity! + 1); // the Gaussian cannot have four modes
  expect(fitted.bound!).toBeLessThan(truth.mean + 5 * (truth.standardError + fitted.standardError));
  expect(fitted.bound!).toBeGreaterThan(fitted.elbo!);
  expect(normal.logDensity!).toBeLessThan(truth.mean);

  expect(baseline.report).toBeUndefined();
  expect(report!.steps).toBeLessThanOrEqual(1200);
  expect(report!.trace.map(({ step }) => step)).toContain(report!.bestStep);
  expect(report!.validationBound).toBe(Math.max(...report!.trace.map((point) => point.validationBound)));
  const [first, last] = [report!.trace[0], report!.trace.at(-1)!];
  expect(last.trainBound).toBeGreaterThan(first.trainBound);
});

test('the exact density of the Gaussian is the mean of its log-density, and its error shrinks with n', async () => {
  const { prior } = await fitPrior({
    family: gaussian,
    kernels: train,
    config: gaussian.config.parse({}),
    options,
    engine,
    key: seedKey(0),
  });
  const whole = await evaluateDensity({ prior, kernels: held.data, samples: 1, engine, key: seedKey(0) });
  const [a, b] = await Promise.all(
    [held.data.subarray(0, 300 * D), held.data.subarray(300 * D)].map((half) =>
      evaluateDensity({ prior, kernels: half as Float32Array, samples: 1, engine, key: seedKey(0) }),
    ),
  );
  expect((a.logDensity! + b.logDensity!) / 2).toBeCloseTo(whole.logDensity!, 5);
  expect(a.standardError / whole.standardError).toBeCloseTo(Math.SQRT2, 0);
});

describe('same seed, same bits', () => {
  const short: FitOptions = { ...options, steps: 120, validateEvery: 40 };
  const fitShort = (seed: number) =>
    fitPrior({ family: vaePixels, kernels: train, config, options: short, engine, key: seedKey(seed) });

  test('parameters and report', async () => {
    const [first, second] = [await fitShort(184), await fitShort(184)];
    expect(second.prior.parameters).toEqual(first.prior.parameters);
    expect(second.report).toEqual(first.report);
  });

  test('another seed gives others', async () => {
    const [first, second] = [await fitShort(184), await fitShort(185)];
    const name = 'decoder.out.kernel';
    expect(difference(first.prior.parameters[name].data, second.prior.parameters[name].data)).not.toEqual(
      new Float64Array(first.prior.parameters[name].data.length),
    );
  });

  test('evaluation with the same key repeats itself', async () => {
    const { prior } = await fitShort(184);
    const [a, b] = [
      await evaluateDensity({ prior, kernels: held.data, samples: 20, engine, key: seedKey(186) }),
      await evaluateDensity({ prior, kernels: held.data, samples: 20, engine, key: seedKey(186) }),
    ];
    expect(a).toEqual(b);
  });
});

test('a fit can be interrupted', async () => {
  const abort = new AbortController();
  abort.abort();
  await expect(
    fitPrior(
      { family: vaePixels, kernels: train, config, options, engine, key: seedKey(0) },
      { signal: abort.signal },
    ),
  ).rejects.toMatchObject({ code: 'INTERRUPTED' });
});
