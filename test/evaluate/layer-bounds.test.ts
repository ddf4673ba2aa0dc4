// Bounds of a layer from both sides: around what is known in closed form, the same however the work is cut, and in
// memory that K does not change.
import { Matrix } from 'ml-matrix';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Model } from '../../src/bounds/elbo.js';
import { boundSettings, HIERARCHICAL } from '../../src/bounds/settings.js';
import { createEngine, type Engine, f32, foldIn, leaves, seedKey, sizeOf } from '../../src/engine/index.js';
import { type LayerDraw, layerBounds } from '../../src/evaluate/layer-bounds.js';
import { makeLayer, randomLayers, weightShape } from '../../src/network/index.js';
import { meanField } from '../../src/posteriors/mean-field.js';
import type { Arrays, KernelPrior } from '../../src/priors/index.js';
import { auxiliaryParameters } from '../../src/train/auxiliary.js';
import {
  EXACT,
  exactExpectedLogDensity,
  klFromPosterior,
  linearGaussianPrior,
} from '../bounds/linear-gaussian.js';
import { linearParameters, linearPosterior } from '../bounds/linear-posterior.js';
import { normal } from '../engine/reference.js';
import { estimate, expectMean } from '../monte-carlo.js';
import { tinyModel, tinyState } from '../train/tiny.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

const N = 240;
const D = 6;
const layer = makeLayer({ kind: 'conv', name: 'conv', channels: N / 6, kernel: [2, 3] }, [[2, 3, 6]]);
const SAMPLES = [1, 10, 100];

const modelOf = (prior: KernelPrior, posterior = meanField, bound = HIERARCHICAL): Model => ({
  architecture: { name: 'one', input: { height: 2, width: 3, channels: 6 }, classes: 1, layers: [layer] },
  posterior,
  estimator: 'weight-samples',
  priors: { conv: prior },
  examples: 1,
  kernelSubsample: N,
  bound,
});

async function draws(model: Model, parameters: Arrays, count: number, seed: number) {
  const bounds = await layerBounds({ model, layer, parameters, samples: SAMPLES, engine });
  const all: LayerDraw[] = [];
  for (let m = 0; m < count; m++) all.push(await bounds.draw(foldIn(seedKey(seed), m)));
  await bounds.release();
  return { exact: bounds.exact, all };
}

describe('E_q log p(w) of a mean field under a linear-Gaussian prior', () => {
  const mean = normal(710, N, D).data;
  const std = 0.4;
  const parameters = {
    'conv.mean': f32(weightShape(layer), mean as Float32Array),
    'conv.logStd': f32(weightShape(layer), new Float32Array(N * D).fill(Math.log(std))),
  };
  const rows = Array.from({ length: N }, (_, i) => mean.subarray(i * D, (i + 1) * D));
  const expected = rows.reduce(
    (sum, row) => sum + exactExpectedLogDensity(row, new Array<number>(D).fill(std)),
    0,
  );

  test('is enclosed at every K, more closely the larger K', async () => {
    const r = { shift: -0.3, factor: 0.8 };
    const { exact, all } = await draws(modelOf(linearGaussianPrior(r)), parameters, 20, 711);
    expect(exact).toEqual({ prior: false, posterior: true });
    const gap = N * klFromPosterior(r);
    // gaps within a draw, so that the noise of w is not in them
    const width = SAMPLES.map((_, k) => estimate(all.map(({ prior }) => prior[k].upper - prior[k].lower)));
    for (const [k] of SAMPLES.entries()) {
      const below = estimate(all.map(({ prior }) => expected - prior[k].lower));
      const above = estimate(all.map(({ prior }) => prior[k].upper - expected));
      expect(below.mean, `lower, K = ${SAMPLES[k]}`).toBeGreaterThan(-5 * below.standardError);
      expect(above.mean, `upper, K = ${SAMPLES[k]}`).toBeGreaterThan(-5 * above.standardError);
      if (k > 0) expect(width[k].mean).toBeLessThan(0.4 * width[k - 1].mean);
    }
    expect(width[2].mean).toBeLessThan(0.2 * gap);
    const gain = estimate(all.map(({ prior }) => prior[2].lower - prior[0].lower));
    expect(gain.mean).toBeGreaterThan(0.8 * gap - 5 * gain.standardError);
    expect(gain.mean).toBeLessThan(gap + 5 * gain.standardError);
    for (const { prior, trained } of all) {
      expect(trained.prior).toBe(prior[0].lower); // K = 1, and so (1)
      for (const { lower, upper, widest } of prior) expect(widest).toBeLessThanOrEqual(upper - lower);
    }
  });

  test('with r = p(z|w) both sides are log p(w), draw by draw', async () => {
    const { all } = await draws(modelOf(linearGaussianPrior(EXACT)), parameters, 15, 712);
    for (const { prior } of all)
      for (const { lower, upper } of prior) {
        expect(Math.abs(upper - lower) / N).toBeLessThan(1e-5);
        expect(Math.abs(lower - prior[0].lower) / N).toBeLessThan(1e-5);
      }
    expectMean(estimate(all.map(({ prior }) => prior[0].lower)), expected, 'E_q log p');
  });

  test('p(z) as proposal: what training used is looser, the enclosure is the encoder’s', async () => {
    const bound = boundSettings('sivi', 4, 'frozen');
    const { all } = await draws(modelOf(linearGaussianPrior(EXACT), meanField, bound), parameters, 3, 713);
    for (const { prior, trained } of all) {
      expect(Math.abs(prior[0].upper - prior[0].lower) / N).toBeLessThan(1e-5);
      expect(trained.prior).toBeLessThan(prior[0].lower - 0.1 * N);
    }
  });
});

test('E_q log q(w) of a linear semi-implicit q is enclosed', async () => {
  const base = Array.from({ length: D }, (_, i) =>
    Array.from({ length: D }, (_, j) => (i === j ? 1 : 0.5 ** (Math.abs(i - j) + 1))),
  );
  const covariance = new Matrix(base);
  const means = Array.from({ length: N }, () => new Array<number>(D).fill(0));
  const arrays = linearParameters(
    layer,
    means,
    means.map(() => covariance),
  );
  const parameters = Object.fromEntries(Object.entries(arrays).map(([name, x]) => [`conv.${name}`, x]));
  const entropy = 0.5 * (D * Math.log(2 * Math.PI * Math.E) + Math.log(determinant(base)));
  const prior = linearGaussianPrior(EXACT);
  // s = q(ζ|w): exact, sample by sample
  const own = await draws(modelOf(prior, linearPosterior(D)), parameters, 20, 714);
  expect(own.exact.posterior).toBe(false);
  for (const { posterior, trained } of own.all) {
    for (const { lower, upper } of posterior) expect(Math.abs(upper - lower) / N).toBeLessThan(1e-5);
    expect(Math.abs(trained.posterior - posterior[0].upper) / N).toBeLessThan(1e-5);
  }
  expectMean(estimate(own.all.map(({ posterior }) => posterior[0].upper)), -N * entropy, 'E_q log q');
  // s = q(ζ): bounds with a gap
  const bound = boundSettings('sivi', 2, 'frozen');
  const { all } = await draws(modelOf(prior, linearPosterior(D), bound), parameters, 20, 715);
  for (const [k] of SAMPLES.entries()) {
    const below = estimate(all.map(({ posterior }) => -N * entropy - posterior[k].lower));
    const above = estimate(all.map(({ posterior }) => posterior[k].upper + N * entropy));
    for (const side of [below, above]) expect(side.mean).toBeGreaterThan(-5 * side.standardError);
  }
  const [wide, , narrow] = all[0].posterior.map(({ lower, upper }) => upper - lower);
  expect(narrow).toBeLessThan(0.5 * wide);
});

const determinant = (m: number[][]): number => {
  const a = m.map((row) => [...row]);
  let product = 1;
  for (let i = 0; i < a.length; i++) {
    product *= a[i][i];
    for (let r = i + 1; r < a.length; r++) {
      const factor = a[r][i] / a[i][i];
      for (let c = i; c < a.length; c++) a[r][c] -= factor * a[i][c];
    }
  }
  return product;
};

describe('cut into chunks', () => {
  const model = tinyModel({
    posterior: 'semi-implicit',
    bound: boundSettings('multisample', 3, 'local'),
  });
  const { parameters } = tinyState(model, -2, auxiliaryParameters(model));
  const second = randomLayers(model.architecture)[1];
  // corrections of r that differ from kernel to kernel: they must go to the right one
  const corrected = {
    ...parameters,
    'conv2.auxiliary.mean': normal(720, ...parameters['conv2.auxiliary.mean'].shape),
  };
  const drawn = async (chunk: number) => {
    const bounds = await layerBounds({
      model,
      layer: second,
      parameters: corrected,
      samples: [1, 7, 30],
      engine,
      chunk,
    });
    const draw = await bounds.draw(seedKey(721));
    await bounds.release();
    return draw;
  };
  const figures = ({ prior, posterior, trained }: LayerDraw) =>
    [...prior, ...posterior].flatMap(({ lower, upper }) => [lower, upper]).concat(Object.values(trained));

  test.each([1, 4, 31, 64, 100])('%i weights at once give what all at once give', async (chunk) => {
    const whole = figures(await drawn(1e6));
    const cut = figures(await drawn(chunk));
    cut.forEach((x, i) => {
      expect(Math.abs(x - whole[i]) / Math.abs(whole[i])).toBeLessThan(1e-5);
    });
    expect(figures(await drawn(chunk))).toEqual(cut); // and to the bit, what they gave before
  });

  test('no input of a step grows with K', async () => {
    const sizes: number[] = [];
    const watched: Engine = {
      ...engine,
      compile(fn, shapes) {
        for (const [, leaf] of leaves<{ shape: number[] }>(shapes.inputs)) sizes.push(sizeOf(leaf.shape));
        return engine.compile(fn, shapes);
      },
    };
    for (const K of [100, 100_000]) {
      const bounds = await layerBounds({
        model,
        layer: second,
        parameters: corrected,
        samples: [K],
        engine: watched,
        chunk: 1000,
      });
      expect(bounds.cost).toBe(6 * (2 * K + 1)); // (4) and (5) of six kernels, and one weight more for (27)
      await bounds.release();
    }
    const largest = Math.max(...sizes);
    expect(largest).toBeLessThanOrEqual(4 * 1000);
  });
});
