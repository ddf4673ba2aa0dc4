// The density report of a prior whose density is known: chunks, their order and the last one that looks back.
import { beforeAll, expect, test } from 'vitest';
import { createEngine, type Engine, seedKey } from '../../src/engine/index.js';
import { evaluateDensity } from '../../src/evaluate/density.js';
import {
  draw,
  EXACT,
  exactLogDensity,
  klFromPosterior,
  linearGaussianPrior,
} from '../bounds/linear-gaussian.js';
import { estimate, expectMean } from '../monte-carlo.js';

const D = 6;
const N = 130;

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

/** Kernels whose density falls along the list: a row used twice or left out would be seen. */
const kernels = (() => {
  const { data } = draw(N, 190);
  return data.map((x, i) => x * (1 + Math.floor(i / D) / N)) as Float32Array<ArrayBuffer>;
})();
const exact = estimate(
  Array.from({ length: N }, (_, i) => exactLogDensity(kernels.subarray(i * D, (i + 1) * D))),
);

// 1000 samples make chunks of 50 kernels: 50, 50, and a last one of 30 new ones.
test.each([1, 1000])('K = %i with r the posterior: bound and ELBO are the exact mean', async (k) => {
  const done: number[] = [];
  const report = await evaluateDensity(
    { prior: linearGaussianPrior(EXACT), kernels, samples: k, engine, key: seedKey(191) },
    (n, total) => {
      expect(total).toBe(N);
      done.push(n);
    },
  );
  expect(done).toEqual(k === 1 ? [N] : [50, 100, N]);
  expect(report).toMatchObject({ n: N, samples: k });
  expect(Math.abs(report.bound! / exact.mean - 1)).toBeLessThan(1e-5);
  expect(Math.abs(report.elbo! / exact.mean - 1)).toBeLessThan(1e-5);
  expect(report.standardError).toBeCloseTo(exact.standardError, 4);
});

test('r is not the posterior: the ELBO is below by the divergence, the bound by less', async () => {
  const r = { shift: 0.3, factor: 1.4 };
  const reports = await Promise.all(
    Array.from({ length: 40 }, (_, i) =>
      evaluateDensity({
        prior: linearGaussianPrior(r),
        kernels,
        samples: 20,
        engine,
        key: seedKey(1000 + i),
      }),
    ),
  );
  expectMean(estimate(reports.map(({ elbo }) => exact.mean - elbo!)), klFromPosterior(r), 'gap of the ELBO');
  for (const { bound, elbo } of reports) expect(bound!).toBeGreaterThan(elbo!);
});
