// Normal and Gaussian priors: density, expected density, sampling and fit. References from SciPy:
// scripts/reference-densities.py.
import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import { beforeAll, describe, expect, test } from 'vitest';
import type { DiagonalNormal } from '../../src/distributions/normal.js';
import { createEngine, type Engine, f32, type NdArray, seedKey, type tf } from '../../src/engine/index.js';
import { DwpError } from '../../src/errors.js';
import { correlated } from '../../src/priors/correlated.js';
import { gaussian } from '../../src/priors/gaussian.js';
import type { ExactDensity, KernelPrior, Tensors, TrainingKernels } from '../../src/priors/index.js';
import { normal as normalFamily } from '../../src/priors/normal.js';
import { samplePrior } from '../../src/train/sample-prior.js';
import { normal, runOn } from '../engine/reference.js';
import { estimate, expectMean } from '../monte-carlo.js';

const D = 4;
const SIZE = { h: 2, w: 2 };
const MEAN = [0.2, -0.1, 0, 0.5];
const COVARIANCE = [
  [1, 0.3, -0.2, 0.1],
  [0.3, 0.5, 0.05, 0],
  [-0.2, 0.05, 0.8, 0.25],
  [0.1, 0, 0.25, 0.4],
];
const KERNELS = f32([2, D], Float32Array.of(0.5, 0.25, -0.75, 1, -1, 0, 0.5, 0.5));

const lower = new CholeskyDecomposition(new Matrix(COVARIANCE)).lowerTriangularMatrix;
const inverse = lower.clone();
for (let column = 0; column < D; column++)
  for (let i = 0; i < D; i++) {
    let sum = i === column ? 1 : 0;
    for (let k = 0; k < i; k++) sum -= lower.get(i, k) * inverse.get(k, column);
    inverse.set(i, column, sum / lower.get(i, i));
  }
const array = (m: Matrix) => f32([D, D], Float32Array.from(m.to1DArray()));
const GAUSSIAN = gaussian.prior(
  SIZE,
  { jitter: 1e-6 },
  { mean: f32([D], Float32Array.from(MEAN)), cholesky: array(lower), inverseCholesky: array(inverse) },
);
const NORMAL = normalFamily.prior(SIZE, { std: 0.3 }, { std: f32([], Float32Array.of(0.3)) });

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

const exact = ({ density }: KernelPrior) => density as ExactDensity;
const logDensityOf = async (prior: KernelPrior, w: NdArray): Promise<Float32Array> =>
  (
    await runOn(
      engine,
      ({ w, ...parameters }: { w: tf.Tensor }) => ({ value: exact(prior).logDensity(parameters, w) }),
      { w, ...prior.parameters },
    )
  ).value.data as Float32Array;

test.each<[string, KernelPrior, number[]]>([
  ['gaussian', GAUSSIAN, [-4.0363965162570725, -3.449103739466071]],
  ['normal', NORMAL, [-9.276529582181613, -7.193196248848281]],
])('log p(w), %s', async (_, prior, expected) => {
  const value = await logDensityOf(prior, KERNELS);
  expected.forEach((v, i) => {
    expect(value[i]).toBeCloseTo(v, 5);
  });
});

describe.each<[string, KernelPrior]>([
  ['gaussian', GAUSSIAN],
  ['normal', NORMAL],
])('%s', (_, prior) => {
  test('E_q log p(w) in closed form is the mean of log p(w) over samples of q', async () => {
    const n = 40_000;
    const mean = f32([3, D], normal(60, 3, D).data);
    const logStd = f32([3, D], normal(61, 3, D).data.map((x) => x - 1) as Float32Array);
    const { value } = await runOn(
      engine,
      ({ q, parameters }: { q: DiagonalNormal; parameters: Tensors }) => ({
        value: exact(prior).expectedLogDensity!(parameters, q),
      }),
      { q: { mean, logStd }, parameters: prior.parameters } as never,
    );
    for (let k = 0; k < 3; k++) {
      const noise = normal(70 + k, n, D).data;
      const w = Float32Array.from(noise, (e, i) => {
        const at = k * D + (i % D);
        return mean.data[at] + Math.exp(logStd.data[at]) * e;
      });
      const samples = await logDensityOf(prior, f32([n, D], w));
      expectMean(estimate(samples), (value as NdArray).data[k], `kernel ${k}`);
    }
  });

  test('samples of the prior have the entropy that their density says', async () => {
    const n = 40_000;
    const samples = await samplePrior(prior, n, engine, seedKey(62));
    const values = await logDensityOf(prior, f32([n, D], samples));
    const determinant =
      prior === NORMAL ? D * Math.log(0.3) : Math.log(lower.diagonal().reduce((a, b) => a * b));
    expectMean(estimate(values), -determinant - 0.5 * D * (Math.log(2 * Math.PI) + 1), 'E_p log p');
  });
});

describe('fit', () => {
  const n = 20_000;
  const noise = normal(63, n, D).data;
  const data = new Float32Array(n * D);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < D; j++) {
      data[i * D + j] = MEAN[j];
      for (let k = 0; k <= j; k++) data[i * D + j] += lower.get(j, k) * noise[i * D + k];
    }
  const kernels: TrainingKernels = { ...SIZE, data, count: n };

  test('a Gaussian finds the mean and the covariance that kernels were drawn with', () => {
    if (gaussian.fit.kind !== 'closed-form') throw new Error('closed form expected');
    const { mean, cholesky, inverseCholesky } = gaussian.fit.parameters(kernels, { jitter: 1e-6 });
    const l = Matrix.from1DArray(D, D, Array.from(cholesky.data));
    const covariance = l.mmul(l.transpose());
    for (let j = 0; j < D; j++) {
      expectMean(
        { mean: mean.data[j], standardError: Math.sqrt(COVARIANCE[j][j] / n) },
        MEAN[j],
        `mean ${j}`,
      );
      for (let k = 0; k < D; k++)
        expectMean(
          {
            mean: covariance.get(j, k),
            standardError: Math.sqrt((COVARIANCE[j][j] * COVARIANCE[k][k] + COVARIANCE[j][k] ** 2) / n),
          },
          COVARIANCE[j][k],
          `covariance ${j},${k}`,
        );
    }
    const product = l.mmul(Matrix.from1DArray(D, D, Array.from(inverseCholesky.data)));
    expect(product.sub(Matrix.eye(D)).abs().max()).toBeLessThan(1e-5);
    expect(cholesky.data[1]).toBe(0); // lower triangular
  });

  test('a normal finds the root mean square', () => {
    if (normalFamily.fit.kind !== 'closed-form') throw new Error('closed form expected');
    const { std } = normalFamily.fit.parameters(kernels, { std: 'fitted' });
    expect(std.data[0]).toBeCloseTo(Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length), 6);
    expect(normalFamily.fit.parameters(kernels, { std: 0.7 }).std.data[0]).toBeCloseTo(0.7, 6);
  });

  test('filters whose channels depend on each other have no bounded density', () => {
    const { fit, config } = correlated;
    if (fit.kind !== 'closed-form') throw new Error('closed form');
    const slices = normal(77, 50, 4).data;
    const twice = Float32Array.from({ length: 400 }, (_, i) => slices[4 * Math.floor(i / 8) + (i % 4)]);
    const refused = (kernels: TrainingKernels, why: RegExp) =>
      expect(() => fit.parameters(kernels, config.parse({}))).toThrow(
        expect.objectContaining({ code: 'INPUT', message: expect.stringMatching(why) }),
      );
    refused({ h: 2, w: 2, channels: 2, data: twice, count: 50 }, /the 2 channels .* linearly dependent/);
    refused({ h: 2, w: 2, data: new Float32Array(200), count: 50 }, /all kernels are 0/);
  });

  test('two kernels are refused, three are enough', () => {
    if (gaussian.fit.kind !== 'closed-form') throw new Error('closed form expected');
    const { parameters } = gaussian.fit;
    const first = (count: number) => ({ ...SIZE, data: data.slice(0, count * D), count });
    expect(() => parameters(first(2), { jitter: 1e-6 })).toThrow(DwpError);
    expect(parameters(first(3), { jitter: 1e-6 }).cholesky.data.every(Number.isFinite)).toBe(true);
  });
});

describe('parameters that cannot be right are refused by name', () => {
  const { parameters } = GAUSSIAN;
  test.each<[string, Record<string, NdArray>, RegExp]>([
    ['missing', {}, /mean is missing/],
    ['a shape', { ...parameters, cholesky: f32([1]) }, /cholesky has shape \[1\], expected \[4,4\]/],
    ['a diagonal of 0', { ...parameters, cholesky: f32([D, D]) }, /cholesky's diagonal is 0/],
  ])('gaussian: %s', (_, given, message) => {
    expect(() => gaussian.prior(SIZE, { jitter: 1e-6 }, given)).toThrow(message);
  });
  test.each<[string, Record<string, NdArray>, RegExp]>([
    ['missing', {}, /std is missing/],
    ['a shape', { std: f32([1], Float32Array.of(1)) }, /std has shape \[1\], expected \[\]/],
    ['0', { std: f32([]) }, /std is 0/],
    ['negative', { std: f32([], Float32Array.of(-1)) }, /std is -1/],
  ])('normal: %s', (_, given, message) => {
    expect(() => normalFamily.prior(SIZE, { std: 'fitted' }, given)).toThrow(message);
  });
});
