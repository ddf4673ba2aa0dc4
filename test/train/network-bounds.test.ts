// The report on a network: intervals that fit together, draw by draw, and the sentences about them.
import { beforeAll, describe, expect, test } from 'vitest';
import { boundSettings } from '../../src/bounds/settings.js';
import { boundsText, gapSentence } from '../../src/cli/bounds-text.js';
import { createEngine, type Engine, f32, seedKey } from '../../src/engine/index.js';
import { posteriors } from '../../src/posteriors/index.js';
import type { Arrays } from '../../src/priors/index.js';
import { auxiliaryParameters } from '../../src/train/auxiliary.js';
import { finalBound } from '../../src/train/final-bound.js';
import { type NetworkBounds, networkBounds } from '../../src/train/network-bounds.js';
import { normal } from '../engine/reference.js';
import { allRows, type TinyOptions, tinyImages, tinyModel, tinyState } from './tiny.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

const SAMPLES = [1, 8, 64];

async function boundsOf(
  options: TinyOptions,
  draws = 4,
  seed = 730,
  change: (parameters: Arrays) => Arrays = (parameters) => parameters,
): Promise<NetworkBounds> {
  const model = tinyModel(options);
  const parameters = change(tinyState(model, -2, auxiliaryParameters(model)).parameters);
  return networkBounds({
    ...{ model, images: tinyImages, rows: allRows, parameters },
    ...{ samples: SAMPLES, draws, engine, key: seedKey(seed) },
  });
}

describe('a semi-implicit posterior and a VAE prior', () => {
  let bounds: NetworkBounds;
  beforeAll(async () => {
    bounds = await boundsOf({ posterior: 'semi-implicit' });
  });

  test('the whole is the sum of the layers, KL and bound what follows from them', () => {
    const { layers, total, expectedLogLikelihood: fit } = bounds;
    expect(layers.map(({ layer, kernels, size }) => [layer, kernels, size])).toEqual([
      ['conv1', 2, '7x7'],
      ['conv2', 6, '5x5'],
    ]);
    for (const [k, K] of SAMPLES.entries()) {
      for (const term of ['logPrior', 'logPosterior'] as const)
        for (const side of ['lower', 'upper'] as const) {
          expect(total[term].at[k].samples).toBe(K);
          const sum = layers.reduce((all, layer) => all + layer[term].at[k][side].mean, 0);
          expect(total[term].at[k][side].mean).toBeCloseTo(sum, 6);
        }
      const { logPrior, logPosterior } = total;
      const kl = total.divergence[k];
      expect(kl.upper.mean).toBeCloseTo(logPosterior.at[k].upper.mean - logPrior.at[k].lower.mean, 6);
      expect(kl.lower.mean).toBeCloseTo(
        Math.max(0, logPosterior.at[k].lower.mean - logPrior.at[k].upper.mean),
        6,
      );
      expect(total.elbo[k].lower.mean).toBeCloseTo(fit.mean - kl.upper.mean, 6);
      expect(total.elbo[k].upper.mean).toBeCloseTo(fit.mean - kl.lower.mean, 6);
    }
    expect(total.trained.mean).toBeCloseTo(
      fit.mean + total.logPrior.trained.mean - total.logPosterior.trained.mean,
      6,
    );
    expect(total.trained.mean).toBeLessThan(total.elbo[2].lower.mean);
  });

  test('the tightest bounds lie within the looser ones, around what was trained on its side', () => {
    for (const { logPrior, logPosterior } of bounds.layers)
      for (const { at, exact } of [logPrior, logPosterior]) {
        expect(exact).toBe(false);
        expect(at[2].lower.mean).toBeGreaterThan(at[0].lower.mean);
        expect(at[2].upper.mean).toBeLessThan(at[0].upper.mean);
        expect(at[2].upper.mean).toBeGreaterThan(at[2].lower.mean);
      }
    for (const { logPrior, logPosterior } of bounds.layers) {
      expect(logPrior.trained.samples).toBe(1);
      expect(logPosterior.trained.samples).toBe(0);
      expect(logPrior.gap.lower.mean).toBeCloseTo(logPrior.at[2].lower.mean - logPrior.trained.mean, 6);
      expect(logPrior.gap.upper.mean).toBeCloseTo(logPrior.at[2].upper.mean - logPrior.trained.mean, 6);
      expect(logPosterior.gap.lower.mean).toBeCloseTo(
        logPosterior.trained.mean - logPosterior.at[2].upper.mean,
        6,
      );
    }
  });

  test('the largest gap, in a sentence', () => {
    const { largestGap, layers } = bounds;
    const gaps = layers.flatMap(({ logPrior, logPosterior }) => [logPrior.gap, logPosterior.gap]);
    expect(largestGap!.gap.lower.mean).toBe(Math.max(...gaps.map(({ lower }) => lower.mean)));
    expect(gapSentence(bounds)).toMatch(
      new RegExp(`^The largest inner gap is in ${largestGap!.layer}: as trained \\(K = [01]\\), its .* nats`),
    );
    expect(boundsText(bounds)).toMatch(/conv2 \(6 of 5x5\) +1 /);
  });

  test('the same seed, the same bits; another seed, other draws', async () => {
    expect(await boundsOf({ posterior: 'semi-implicit' })).toEqual(bounds);
    const other = await boundsOf({ posterior: 'semi-implicit' }, 4, 731);
    expect(other.expectedLogLikelihood.mean).not.toBe(bounds.expectedLogLikelihood.mean);
  });
});

test('a mean field and a normal prior: everything is exact', async () => {
  const { layers, total, largestGap, expectedLogLikelihood: fit } = await boundsOf({ prior: 'normal' });
  for (const { logPrior, logPosterior } of layers)
    for (const { exact, at, gap, trained } of [logPrior, logPosterior]) {
      expect(exact).toBe(true);
      expect(gap.upper.mean).toBe(0);
      for (const { lower, upper, widestShare } of at) {
        expect(upper).toEqual(lower);
        expect(lower.mean).toBe(trained.mean);
        expect(lower.standardError).toBe(0);
        expect(widestShare).toBe(0);
      }
    }
  expect(largestGap).toBeNull();
  expect(gapSentence({ largestGap })).toMatch(/known exactly/);
  expect(total.elbo[0].lower.mean).toBeCloseTo(fit.mean - total.divergence[0].lower.mean, 6);
});

test.each(Object.keys(posteriors).filter((name) => name !== 'point'))(
  '%s: both expectations are enclosed, ever more closely',
  async (posterior) => {
    // networks that are not at their start, where some s is exact
    const moved = (parameters: Arrays): Arrays =>
      Object.fromEntries(
        Object.entries(parameters).map(([name, { shape, data }], i) => [
          name,
          f32(shape, normal(750 + i, ...shape).data.map((x, j) => data[j] + 0.1 * x) as Float32Array),
        ]),
      );
    const { layers } = await boundsOf({ posterior: posterior as TinyOptions['posterior'] }, 4, 730, moved);
    for (const { logPrior, logPosterior } of layers)
      for (const { at, exact } of [logPrior, logPosterior]) {
        if (exact) continue;
        const width = ({ lower, upper }: (typeof at)[number]) => upper.mean - lower.mean;
        expect(width(at[2])).toBeGreaterThan(0);
        expect(width(at[2])).toBeLessThan(width(at[0]));
      }
  },
);

test('the bound of a finished run lies where this report says', async () => {
  const bound = boundSettings('multisample', 8, 'trainable');
  const options: TinyOptions = { posterior: 'semi-implicit', bound };
  const model = tinyModel(options);
  const { parameters } = tinyState(model, -2, auxiliaryParameters(model));
  const report = await finalBound({
    model,
    images: tinyImages,
    rows: allRows,
    components: [parameters],
    engine,
    key: seedKey(740),
  });
  const { total, expectedLogLikelihood } = await boundsOf(options, 30);
  const near = (a: number, b: { mean: number; standardError: number }) =>
    expect(Math.abs(a - b.mean)).toBeLessThan(5 * Math.hypot(b.standardError, report.standardError));
  near(report.expectedLogLikelihood, expectedLogLikelihood);
  near(report.total, total.trained);
  near(report.total, total.elbo[1].lower); // K = 8
});
