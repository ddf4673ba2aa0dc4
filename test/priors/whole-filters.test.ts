// Priors of kernels that span several input channels: their layout, what a block-diagonal one must be, and training.
import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import { beforeAll, expect, test } from 'vitest';
import type { Model } from '../../src/bounds/elbo.js';
import { boundSettings } from '../../src/bounds/settings.js';
import { type Engine, f32, RandomStream, seedKey, type tf } from '../../src/engine/index.js';
import { evaluateDensity } from '../../src/evaluate/density.js';
import {
  convLayers,
  kernelLayout,
  namedArchitecture,
  weightShape,
  withSpans,
} from '../../src/network/index.js';
import { kernelRows, posteriors } from '../../src/posteriors/index.js';
import { correlated, correlationMatrix } from '../../src/priors/correlated.js';
import { gaussian } from '../../src/priors/gaussian.js';
import {
  type Arrays,
  families,
  type KernelPrior,
  type KernelSize,
  kernelLength,
} from '../../src/priors/index.js';
import { lowerInverse } from '../../src/priors/mixture/linear-algebra.js';
import { defaultFit, fitPrior } from '../../src/train/fit-prior.js';
import { samplePrior } from '../../src/train/sample-prior.js';
import { type TracePoint, trainNetwork } from '../../src/train/train-network.js';
import { engines, largestRelativeError, normal, runOn } from '../engine/reference.js';
import { allRows, CLASSES, randomVae, tinyImages, tinyOptions, tinyState } from '../train/tiny.js';

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

const gaussianOf = (size: KernelSize, mean: readonly number[], covariance: Matrix): KernelPrior => {
  const d = kernelLength(size);
  const lower = new CholeskyDecomposition(covariance).lowerTriangularMatrix;
  const array = (m: Matrix) => f32([d, d], Float32Array.from(m.to1DArray()));
  return gaussian.prior(
    size,
    { jitter: 1e-6 },
    {
      mean: f32([d], Float32Array.from(mean)),
      cholesky: array(lower),
      inverseCholesky: array(lowerInverse(lower)),
    },
  );
};
const slices = (h: number, w: number): KernelPrior =>
  gaussianOf(
    { h, w },
    Array.from({ length: h * w }, (_, i) => 0.1 * Math.sin(i)),
    correlationMatrix({ h, w }, { length: 2, nugget: 0.2, power: 1 }).mul(0.04),
  );
/** The same slices, side by side in a filter and independent: Σ is block-diagonal (102). */
const blocks = (channels: number, h: number, w: number): KernelPrior => {
  const one = correlationMatrix({ h, w }, { length: 2, nugget: 0.2, power: 1 }).mul(0.04);
  const mean = Array.from({ length: channels * h * w }, (_, i) => 0.1 * Math.sin(i % (h * w)));
  return gaussianOf({ h, w, channels }, mean, Matrix.eye(channels).kroneckerProduct(one));
};

test('weights [out, in, h, w] are rows of consecutive inputs, and lie where they lay', async () => {
  const network = namedArchitecture('lenet', { height: 20, width: 20, channels: 3 }, CLASSES, [4, 2]);
  const [conv1, conv2] = convLayers(withSpans(network, { conv1: 3, conv2: 2 }));
  expect(kernelLayout(conv1)).toEqual({ count: 4, length: 3 * 49 });
  expect(kernelLayout(conv2)).toEqual({ count: 2 * 2, length: 2 * 25 });
  expect(withSpans(network, {})).toEqual(network);
  const [out, inputs, h, w] = weightShape(conv2);
  // a weight's value says its place
  const weights = f32(
    weightShape(conv2),
    Float32Array.from({ length: out * inputs * h * w }, (_, i) => i),
  );
  const { rows, some } = await runOn(
    native,
    ({ x, which }: { x: tf.Tensor; which: tf.Tensor }) => ({
      rows: kernelRows(conv2, x),
      some: kernelRows(conv2, x, which as tf.Tensor1D),
    }),
    { x: weights, which: { shape: [1], data: Int32Array.of(2) } },
  );
  expect(rows.shape).toEqual([4, 50]);
  expect(Array.from(rows.data)).toEqual(Array.from(weights.data));
  // kernel 2 is output 1, inputs 0 and 1
  expect([some.data[0], some.data[25]]).toEqual([1 * inputs * 25, 1 * inputs * 25 + 25]);
});

test('a block-diagonal Gaussian of filters is the sum over their slices, exactly', async () => {
  const [n, c, h, w] = [6, 3, 2, 2];
  const filters = normal(1, n, c * h * w).data as Float32Array;
  const key = seedKey(0);
  const whole = await evaluateDensity({
    prior: blocks(c, h, w),
    kernels: filters,
    samples: 1,
    engine: native,
    key,
  });
  const apart = await evaluateDensity({
    prior: slices(h, w),
    kernels: filters,
    samples: 1,
    engine: native,
    key,
    together: c,
  });
  expect(apart.n).toBe(n);
  expect(whole.logDensity).toBeCloseTo(apart.logDensity!, 4);
  expect(whole.standardError).toBeCloseTo(apart.standardError, 4);
});

function colourModel(priors: Model['priors'], more: Partial<Model> = {}): Model {
  const network = namedArchitecture('lenet', { height: 20, width: 20, channels: 3 }, CLASSES, [2, 3]);
  const spans = Object.entries(priors).map(([name, { size }]) => [name, size.channels]);
  return {
    architecture: withSpans(network, Object.fromEntries(spans)),
    posterior: posteriors['mean-field'],
    estimator: 'weight-samples',
    priors,
    examples: tinyImages.count,
    kernelSubsample: 1000,
    ...more,
  };
}
const colours = {
  ...tinyImages,
  channels: 3,
  images: Uint8Array.from({ length: 3 * tinyImages.images.length }, (_, i) =>
    Math.floor(tinyImages.images[Math.floor(i / 3)] * [1, 0.5, 0.25][i % 3]),
  ),
};

async function oneStep(model: Model, engine: Engine) {
  let point: TracePoint | undefined;
  const state = await trainNetwork(
    {
      model,
      images: colours,
      rows: allRows,
      options: { ...tinyOptions, steps: 1 },
      engine,
      key: seedKey(100),
      state: tinyState(model),
    },
    {
      trace: (traced) => {
        point = traced;
      },
    },
  );
  return { state, point: point! };
}

test('training with it is training with the prior of slices', async () => {
  const apart = await oneStep(colourModel({ conv1: slices(7, 7), conv2: slices(5, 5) }), native);
  const whole = await oneStep(colourModel({ conv1: blocks(3, 7, 7), conv2: blocks(2, 5, 5) }), native);
  for (const term of ['expectedLogLikelihood', 'priorTerm', 'entropyTerm'] as const)
    expect(Math.abs(whole.point[term] / apart.point[term] - 1), term).toBeLessThan(1e-5);
  const { error, path } = largestRelativeError(whole.state.moments.first, apart.state.moments.first);
  expect(error, path).toBeLessThan(1e-5);
});

test.each([
  ['mean-field', 'convolutional'],
  ['semi-implicit', 'dense'],
] as const)('%s posterior and a %s VAE of filters: native is cpu', async (name, networks) => {
  const model = colourModel(
    {
      conv1: randomVae({ h: 7, w: 7, channels: 3 }, { networks }),
      conv2: randomVae({ h: 5, w: 5, channels: 2 }, { networks }),
    },
    { posterior: posteriors[name], kernelSubsample: 2, bound: boundSettings('multisample', 2, 'frozen') },
  );
  const [a, b] = await Promise.all([native, cpu].map((engine) => oneStep(model, engine)));
  const { error, path } = largestRelativeError(a.state.moments.first, b.state.moments.first);
  expect(error, path).toBeLessThan(1e-5);
  expect(Math.abs(a.point.priorTerm / b.point.priorTerm - 1)).toBeLessThan(1e-5);
});

/** n filters of N(0, A ⊗ C). */
function drawn(n: number, size: KernelSize, between: Matrix, within: Matrix): Float32Array {
  const d = kernelLength(size);
  const lower = new CholeskyDecomposition(between.kroneckerProduct(within)).lowerTriangularMatrix;
  const noise = new RandomStream(seedKey(7)).fillNormal(new Float32Array(n * d));
  const rows = Matrix.from1DArray(n, d, Array.from(noise)).mmul(lower.transpose());
  return Float32Array.from(rows.to1DArray());
}
const SIZE = { h: 3, w: 3, channels: 3 };
const BETWEEN = new Matrix([
  [0.5, 0.4, 0.2],
  [0.4, 0.6, 0.3],
  [0.2, 0.3, 0.4],
]);

test('the correlated family finds A and C (100)', () => {
  const n = 4000;
  const within = correlationMatrix(SIZE, { length: 1.5, nugget: 0.1, power: 1 });
  const kernels = { ...SIZE, count: n, data: drawn(n, SIZE, BETWEEN, within) };
  if (correlated.fit.kind !== 'closed-form') throw new Error('closed form');
  const { cholesky } = correlated.fit.parameters(kernels, {});
  const lower = Matrix.from1DArray(27, 27, Array.from(cholesky.data));
  const found = lower.mmul(lower.transpose());
  const wanted = BETWEEN.kroneckerProduct(within);
  // a covariance of n draws has a standard error of √((σ_ii σ_jj + σ_ij²)/n); 5 of them
  for (let i = 0; i < 27; i++)
    for (let j = 0; j < 27; j++) {
      const variance = wanted.get(i, i) * wanted.get(j, j) + wanted.get(i, j) ** 2;
      expect(Math.abs(found.get(i, j) - wanted.get(i, j)), `${i}, ${j}`).toBeLessThan(
        5 * Math.sqrt(variance / n),
      );
    }
});

test('every family fits filters, and draws them; those that see covariance gain from it', async () => {
  const n = 400;
  const within = correlationMatrix(SIZE, { length: 1.5, nugget: 0.1, power: 1 });
  const data = drawn(n, SIZE, BETWEEN, within);
  const options = { ...defaultFit, steps: 20, validateEvery: 20 };
  const fitted = async (name: string, size: KernelSize, count: number) => {
    const { config } = families.get(name)!;
    const few = Object.fromEntries(
      Object.entries({ members: 1, components: 2 }).filter(
        ([field]) => field in (config.parse({}) as object) || name === 'mixture',
      ),
    );
    const parsed = config.parse(few);
    return (
      await fitPrior({
        family: families.get(name)!,
        kernels: { ...size, data, count },
        config: parsed,
        options,
        engine: native,
        key: seedKey(1),
      })
    ).prior;
  };
  for (const name of [...families.keys()]) {
    const prior = await fitted(name, SIZE, n);
    expect(prior.size, name).toEqual(SIZE);
    expect((await samplePrior(prior, 5, native, seedKey(2))).length, name).toBe(5 * 27);
    const density = await evaluateDensity({
      prior,
      kernels: data.subarray(0, 27 * 50),
      samples: 4,
      engine: native,
      key: seedKey(3),
    });
    expect(Number.isFinite(density.logDensity ?? density.bound), name).toBe(true);
    if (name !== 'gaussian' && name !== 'correlated') continue;
    const apart = await fitted(name, { h: 3, w: 3 }, 3 * n);
    const sum = await evaluateDensity({
      prior: apart,
      kernels: data,
      samples: 1,
      engine: native,
      key: seedKey(3),
      together: 3,
    });
    const whole = await evaluateDensity({
      prior,
      kernels: data,
      samples: 1,
      engine: native,
      key: seedKey(3),
    });
    // −½ log det of A's correlations for each of 9 pixels: what knowing the channels together is worth
    expect(whole.logDensity! - sum.logDensity!, name).toBeGreaterThan(4);
  }
});

test('arrays of a prior of slices are none of filters', () => {
  const { parameters } = slices(3, 3);
  expect(() => gaussian.prior(SIZE, { jitter: 1e-6 }, parameters as Arrays)).toThrow(/mean has shape/);
});
