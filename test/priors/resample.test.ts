// Kernels and priors at another size.
import { beforeAll, describe, expect, test } from 'vitest';
import { type Engine, RandomStream, seedKey } from '../../src/engine/index.js';
import { discrepancy } from '../../src/evaluate/sample-check.js';
import { families, type TrainingKernels } from '../../src/priors/index.js';
import { kernelMap, resampleKernels, resamplingMatrix } from '../../src/priors/resample.js';
import { resamplePrior } from '../../src/train/resample-prior.js';
import { samplePrior } from '../../src/train/sample-prior.js';
import { engines } from '../engine/reference.js';
import { estimate } from '../monte-carlo.js';

/** The smallest p-value that they allow is 1/200. */
const PERMUTATIONS = 199;

let native: Engine;
beforeAll(async () => {
  ({ native } = await engines());
});

/** Smooth kernels: a ramp of random slope, and a little noise. */
function ramps(k: number, count: number): TrainingKernels {
  const stream = new RandomStream(seedKey(520));
  const data = new Float32Array(count * k * k);
  for (let i = 0; i < count; i++) {
    const [a, b] = [stream.normal(), stream.normal()];
    for (let y = 0; y < k; y++)
      for (let x = 0; x < k; x++)
        data[(i * k + y) * k + x] = (a * (x + 0.5)) / k + (b * (y + 0.5)) / k + 0.05 * stream.normal();
  }
  return { h: k, w: k, data, count };
}

describe('the map', () => {
  test.each([
    [7, 5],
    [5, 7],
    [3, 5],
    [9, 3],
    [1, 4],
    [4, 1],
  ])('%i to %i: a constant stays, and rows are means', (k, m) => {
    const matrix = resamplingMatrix(k, m);
    for (const row of matrix.to2DArray()) {
      expect(row.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
      expect(Math.min(...row)).toBeGreaterThanOrEqual(0);
    }
    // symmetric: turned around, it is the same map
    expect(
      matrix
        .to2DArray()
        .map((row) => [...row].reverse())
        .reverse(),
    ).toEqual(matrix.to2DArray().map((row) => row.map((x) => expect.closeTo(x, 12))));
  });
  test('of cells: 3 to 2 by hand', () => {
    expect(resamplingMatrix(3, 2).to2DArray()).toEqual([
      [2 / 3, 1 / 3, 0].map((x) => expect.closeTo(x, 12)),
      [0, 1 / 3, 2 / 3].map((x) => expect.closeTo(x, 12)),
    ]);
    expect(kernelMap({ h: 3, w: 2 }, { h: 2, w: 1 }).to2DArray()[0]).toEqual(
      [1 / 3, 1 / 3, 1 / 6, 1 / 6, 0, 0].map((x) => expect.closeTo(x, 12)),
    );
  });
});

test.each([
  [5, 3],
  [3, 5],
])('side %i to %i: the mean squared norm stays, and the covariance is full', (k, m) => {
  const kernels = ramps(k, 500);
  const { data } = resampleKernels(kernels, { h: m, w: m }, seedKey(521));
  const energy = (x: Float32Array) => x.reduce((sum, y) => sum + y * y, 0) / 500;
  const ratio = energy(data) / energy(kernels.data);
  if (m < k) expect(ratio).toBeCloseTo(1, 4);
  else {
    expect(ratio).toBeGreaterThan(1); // ε adds its own
    expect(ratio).toBeLessThan(1.3);
  }
  const { fit, config, prior } = families.get('gaussian')!;
  if (fit.kind !== 'closed-form') throw new Error('closed form');
  const whole = config.parse({ jitter: 1e-12 });
  const made = prior({ h: m, w: m }, whole, fit.parameters({ h: m, w: m, data, count: 500 }, whole));
  const variances = Array.from(
    { length: m * m },
    (_, j) => made.parameters.cholesky.data[j * (m * m + 1)] ** 2,
  );
  expect(Math.min(...variances)).toBeGreaterThan(1e-5);
});

test('of filters every channel is resampled by itself, and the number of channels stays', () => {
  const slices = ramps(5, 300); // of 100 filters of 3
  const filters = { ...slices, channels: 3, count: 100 };
  const made = resampleKernels(filters, { h: 3, w: 3, channels: 3 }, seedKey(524));
  expect(made).toMatchObject({ h: 3, w: 3, channels: 3, count: 100 });
  const expected = resampleKernels(slices, { h: 3, w: 3 }, seedKey(524)).data;
  expect(made.data.every((x, i) => Math.abs(x - expected[i]) < 1e-6)).toBe(true);
  const larger = resampleKernels(filters, { h: 6, w: 6, channels: 3 }, seedKey(524));
  expect(larger.data).toHaveLength(100 * 3 * 36);
  expect(larger.data.every(Number.isFinite)).toBe(true);
  expect(() => resampleKernels(filters, { h: 3, w: 3 }, seedKey(524))).toThrow(
    expect.objectContaining({
      code: 'INPUT',
      message: expect.stringMatching(/3 channels do not become kernels of 1/),
    }),
  );
});

describe('a resampled prior, 7×7 to 5×5', () => {
  const [from, to] = [
    { h: 7, w: 7 },
    { h: 5, w: 5 },
  ];
  const n = 400;
  /** Smooth kernels of several scales. */
  const source = () => {
    const { fit, config, prior } = families.get('scale-mixture')!;
    if (fit.kind !== 'closed-form') throw new Error('closed form');
    const kernels = ramps(7, 1000);
    for (let i = 0; i < kernels.data.length; i++) kernels.data[i] *= i % 147 < 49 ? 3 : 1;
    const whole = config.parse({ components: 3 });
    return prior(from, whole, fit.parameters(kernels, whole));
  };

  test('is not told from kernels that were resampled, and is where its scale is wrong', async () => {
    const prior = source();
    const made = await resamplePrior(prior, to, native, seedKey(525));
    const other = await samplePrior(prior, n, native, seedKey(526)); // none of those that it was made of
    const held = resampleKernels({ ...from, data: other, count: n }, to, seedKey(527));
    const drawn = await samplePrior(made, n, native, seedKey(528));
    const pValue = (data: Float32Array) =>
      discrepancy({ data, count: n }, held, PERMUTATIONS, seedKey(529)).pValue;
    expect(pValue(drawn)).toBeGreaterThan(0.01);
    for (const scale of [0.75, 1.33]) expect(pValue(drawn.map((x) => scale * x))).toBeLessThan(0.01);
    // as large, but not as smooth
    const rough = drawn.map((_, i) => drawn[i - (i % 25) + (((i % 25) * 7) % 25)]);
    expect(pValue(rough)).toBeLessThan(0.01);
  });
});

test('a resampled Gaussian has the moments of N(Aμ, AΣAᵀ), scaled', async () => {
  const kernels = ramps(4, 400);
  const { fit, config, prior } = families.get('gaussian')!;
  if (fit.kind !== 'closed-form') throw new Error('closed form');
  const whole = config.parse({});
  const parameters = fit.parameters(kernels, whole);
  const given = prior({ h: 4, w: 4 }, whole, parameters);
  const made = await resamplePrior(given, { h: 2, w: 2 }, native, seedKey(522));
  expect(made).toMatchObject({ family: 'mixture', size: { h: 2, w: 2 } });

  const map = kernelMap({ h: 4, w: 4 }, { h: 2, w: 2 }).to2DArray();
  const lower = Array.from(parameters.cholesky.data);
  const root = map.map((row) =>
    Array.from({ length: 16 }, (_, j) => row.reduce((sum, x, i) => sum + x * lower[i * 16 + j], 0)),
  ); // A L
  const mean = map.map((row) => row.reduce((sum, x, i) => sum + x * parameters.mean.data[i], 0));
  const second = root.map((a, i) =>
    root.map((b, j) => a.reduce((s, x, l) => s + x * b[l], 0) + mean[i] * mean[j]),
  );
  const before =
    lower.reduce((s, x) => s + x * x, 0) + Array.from(parameters.mean.data).reduce((s, x) => s + x * x, 0);
  const c2 = before / second.reduce((sum, row, i) => sum + row[i], 0);
  const n = 4000;
  const drawn = await samplePrior(made, n, native, seedKey(523));
  for (let i = 0; i < 4; i++)
    for (let j = 0; j <= i; j++) {
      const { mean: found, standardError } = estimate(
        Array.from({ length: n }, (_, r) => drawn[4 * r + i] * drawn[4 * r + j]),
      );
      // of the samples here, and of the 20,000 that the mixture was fitted to
      expect(Math.abs(found - c2 * second[i][j])).toBeLessThan(5 * standardError * Math.sqrt(1 + n / 20_000));
    }
});
