// Kernel sets that are odd: few, flat, constant in a pixel, zero, tiny, huge, with outliers, of unusual sizes. The default
// prior fits each, and gives kernels of the same source that it has not seen a density not far below that of normals, full
// or isotropic; or says in one line why it cannot.
import { beforeAll, describe, expect, test } from 'vitest';
import { createEngine, type Engine, RandomStream, seedKey } from '../../src/engine/index.js';
import { evaluateDensity } from '../../src/evaluate/density.js';
import { chooseFamily } from '../../src/prior-folders/choose-family.js';
import { gaussian } from '../../src/priors/gaussian.js';
import type { PriorFamily, TrainingKernels } from '../../src/priors/index.js';
import { mixture } from '../../src/priors/mixture.js';
import { normal } from '../../src/priors/normal.js';
import { fitPrior, refinement } from '../../src/train/fit-prior.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

/** Changes kernel `i`, whose values neighbours share. */
type Change = (kernel: Float32Array, i: number, stream: RandomStream) => void;

function kernelsOf(
  h: number,
  w: number,
  count: number,
  seed: number,
  change: Change = () => {},
): TrainingKernels {
  const stream = new RandomStream(seedKey(seed));
  const data = new Float32Array(count * h * w);
  for (let i = 0; i < count; i++) {
    const kernel = data.subarray(i * h * w, (i + 1) * h * w);
    const level = 0.1 * stream.normal();
    for (let j = 0; j < kernel.length; j++) kernel[j] = level + 0.05 * stream.normal();
    change(kernel, i, stream);
  }
  return { h, w, count, data };
}

const times =
  (factor: number) =>
  (kernel: Float32Array): void => {
    for (let j = 0; j < kernel.length; j++) kernel[j] *= factor;
  };

/** h, w, kernels, and what is odd about them. */
const ODD: [string, number, number, number, Change?][] = [
  ['3 kernels', 3, 3, 3],
  ['12 kernels of 49 weights', 7, 7, 12],
  ['200 kernels', 5, 5, 200],
  ['a constant pixel', 3, 3, 60, (kernel) => kernel.fill(0.3, 4, 5)],
  ['symmetric', 3, 3, 60, (kernel) => kernel.copyWithin(6, 0, 3)],
  ['some are zero', 3, 3, 300, (kernel, i) => i % 4 === 0 && kernel.fill(0)],
  ['tiny', 3, 3, 60, times(1e-11)],
  ['huge', 3, 3, 60, times(1e7)],
  ['outliers', 3, 3, 240, (kernel, i) => i % 40 === 7 && times(1000)(kernel)],
  ['1×1', 1, 1, 60],
  ['1×7', 1, 7, 60],
  ['2×5', 2, 5, 60],
  ['16×16', 16, 16, 20],
];

const options = { ...refinement, steps: 6, validateEvery: 2 };

describe('the default prior fits', () => {
  test.each(ODD)('%s', { timeout: 120_000 }, async (_, h, w, count, change) => {
    const train = kernelsOf(h, w, count, 450, change);
    const fresh = kernelsOf(h, w, 100, 451, change);
    const { family } = await chooseFamily(train, engine, seedKey(457));
    const { prior } = await fitPrior({ family, kernels: train, options, engine, key: seedKey(452) });
    const closed = async <C extends Record<string, unknown>>(family: PriorFamily<C>, config: C) =>
      (await fitPrior({ family, kernels: train, config, options, engine, key: seedKey(452) })).prior;
    const normals = [await closed(gaussian, { jitter: 1e-6 }), await closed(normal, { std: 'fitted' })];
    const of = (p: typeof prior) =>
      evaluateDensity({ prior: p, kernels: fresh.data, samples: 5, engine, key: seedKey(453) });
    const own = await of(prior);
    const value = own.bound ?? own.logDensity!;
    expect(Number.isFinite(value)).toBe(true);
    for (const other of [await of(normals[0]), await of(normals[1])]) {
      // half a nat per weight, and chance
      const chance = 5 * Math.hypot(own.standardError, other.standardError);
      expect(value).toBeGreaterThan(other.logDensity! - 0.5 * h * w - chance);
    }
  });
});

describe('says why it cannot fit', () => {
  test.each<[string, TrainingKernels, RegExp]>([
    ['one kernel', kernelsOf(3, 3, 1, 454), /^1 kernel: too few/],
    ['two', kernelsOf(3, 3, 2, 454), /^2 kernels: too few/],
    ['equal kernels', kernelsOf(3, 3, 30, 455, (kernel) => kernel.fill(0.2)), /all 30 kernels are the same/],
  ])('%s', async (_, kernels, message) => {
    await expect(chooseFamily(kernels, engine, seedKey(457))).rejects.toThrow(message);
    const key = seedKey(456);
    await expect(fitPrior({ family: mixture, kernels, options, engine, key })).rejects.toThrow(message);
  });
});
