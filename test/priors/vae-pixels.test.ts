// The kernel VAE with either kind of networks: shapes, engines, gradients, and its bounds against each other.
import { beforeAll, describe, expect, test } from 'vitest';
import { lowerBound } from '../../src/bounds/hierarchical.js';
import { type Engine, f32, type NdArray, seedKey, tf, valueAndGradients } from '../../src/engine/index.js';
import type { KernelPrior, KernelSize, Tensors } from '../../src/priors/index.js';
import type { PixelConfig } from '../../src/priors/pixels/networks.js';
import { vaePixels } from '../../src/priors/vae-pixels.js';
import { engines, largestRelativeError, normal, runOn } from '../engine/reference.js';
import { difference, estimate } from '../monte-carlo.js';
import { randomVae } from '../train/tiny.js';

const SIZES: KernelSize[] = [
  { h: 3, w: 3 },
  { h: 5, w: 5 },
  { h: 7, w: 7 },
  { h: 3, w: 5 },
];
const KINDS: Partial<PixelConfig>[] = (['dense', 'convolutional'] as const).flatMap((networks) =>
  (['latent', 'shared'] as const).map((variance) => ({ networks, variance })),
);

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

const latentOf = ({ density }: KernelPrior) => {
  if (density.kind !== 'latent') throw new Error('a latent-variable density');
  return density;
};
const scaled = (seed: number, n: number, d: number) =>
  f32([n, d], normal(seed, n, d).data.map((x) => 0.2 * x) as Float32Array);

describe.each(KINDS)('$networks networks, $variance variance', (config) => {
  test.each(SIZES)('$h×$w: shapes, and the same numbers on both engines', async ({ h, w }) => {
    const n = 5;
    const k = 3;
    const d = h * w;
    const prior = randomVae({ h, w }, config);
    const { latentSize, of } = latentOf(prior);
    const f = (inputs: {
      w: tf.Tensor;
      z: tf.Tensor;
      many: tf.Tensor;
      noise: Tensors;
      parameters: Tensors;
    }) => {
      const density = of(inputs.parameters);
      const { mean, logStd } = density.encode(inputs.w);
      return {
        mean,
        logStd,
        likelihood: density.logLikelihood(inputs.w, inputs.z),
        bound: lowerBound(density, inputs.w, tf.expandDims(inputs.z, 0)),
        weighted: lowerBound(density, inputs.w, inputs.many),
        samples: prior.generate(inputs.parameters, inputs.noise),
      };
    };
    const inputs = {
      w: scaled(150, n, d),
      z: normal(151, n, latentSize),
      many: normal(152, k, n, latentSize),
      noise: { latent: normal(153, n, latentSize), kernels: normal(154, n, d) },
      parameters: prior.parameters,
    };
    const [a, b] = [await runOn(native, f, inputs as never), await runOn(cpu, f, inputs as never)];
    const shapes = Object.fromEntries(
      Object.entries(a as unknown as Record<string, NdArray>).map(([name, { shape }]) => [name, shape]),
    );
    expect(shapes).toEqual({
      mean: [n, latentSize],
      logStd: [n, latentSize],
      likelihood: [n],
      bound: [n],
      weighted: [n],
      samples: [n, d],
    });
    const { error, path } = largestRelativeError(a, b);
    expect(error, path).toBeLessThan(1e-5);
  });
});

describe.each(KINDS)('$networks networks, $variance variance', (config) => {
  test("the fit's bound has finite gradients, none of them 0, the same on both engines", async () => {
    const n = 8;
    const whole = vaePixels.config.parse({ latent: 2, hidden: 6, ...config });
    const size = { h: 5, w: 5 };
    if (vaePixels.fit.kind !== 'gradient') throw new Error('learned by gradients');
    const { bound, initial } = vaePixels.fit;
    const data = scaled(160, 50, 25).data;
    const { trainable, fixed } = initial({ ...size, data, count: 50 }, whole, seedKey(161));
    const f = (inputs: { parameters: Tensors; fixed: Tensors; w: tf.Tensor; latent: tf.Tensor }) =>
      valueAndGradients((parameters: Tensors) => {
        const value = bound(
          { ...parameters, ...inputs.fixed },
          inputs.w,
          { latent: inputs.latent },
          size,
          whole,
        );
        return { objective: tf.mean(value) as tf.Scalar, aux: {} };
      }, inputs.parameters).gradients;
    const inputs = { parameters: trainable, fixed, w: scaled(162, n, 25), latent: normal(163, n, 2) };
    const [a, b] = [await runOn(native, f, inputs as never), await runOn(cpu, f, inputs as never)];
    const gradients = Object.entries(a as unknown as Record<string, NdArray>);
    expect(gradients.map(([name]) => name).sort()).toEqual(Object.keys(trainable).sort());
    for (const [name, { data }] of gradients) {
      expect(data.every(Number.isFinite), name).toBe(true);
      expect(
        data.some((x) => x !== 0),
        name,
      ).toBe(true);
    }
    const { error, path } = largestRelativeError(a, b);
    expect(error, path).toBeLessThan(1e-4);
  });
});

test("the fit's bound, with its divergence in closed form, has the mean of (1)", async () => {
  const n = 20_000;
  const prior = randomVae({ h: 3, w: 3 });
  const row = scaled(170, 1, 9).data;
  const w = f32(
    [n, 9],
    Float32Array.from({ length: n * 9 }, (_, i) => row[i % 9]),
  );
  if (vaePixels.fit.kind !== 'gradient') throw new Error('learned by gradients');
  const { bound } = vaePixels.fit;
  const { closed, sampled } = await runOn(
    native,
    (inputs: { w: tf.Tensor; a: tf.Tensor; b: tf.Tensor; parameters: Tensors }) => ({
      closed: bound(
        inputs.parameters,
        inputs.w,
        { latent: inputs.a },
        prior.size,
        prior.config as PixelConfig,
      ),
      sampled: lowerBound(latentOf(prior).of(inputs.parameters), inputs.w, tf.expandDims(inputs.b, 0)),
    }),
    { w, a: normal(171, n, 2), b: normal(172, n, 2), parameters: prior.parameters } as never,
  );
  const { mean, standardError } = estimate(difference((closed as NdArray).data, (sampled as NdArray).data));
  expect(Math.abs(mean)).toBeLessThan(5 * standardError);
  expect(standardError).toBeLessThan(0.05);
});

test('weights that do not fit the configuration are refused by name', () => {
  const { parameters, size, config } = randomVae({ h: 3, w: 3 });
  const { 'decoder.out.bias': _, ...missing } = parameters;
  expect(() => vaePixels.prior(size, config as PixelConfig, missing)).toThrow(
    /decoder\.out\.bias is missing/,
  );
  expect(() => vaePixels.prior({ h: 5, w: 5 }, config as PixelConfig, parameters)).toThrow(
    /encoder\.0\.kernel/,
  );
  expect(() =>
    vaePixels.prior(size, { ...(config as PixelConfig), networks: 'convolutional' }, parameters),
  ).toThrow(/is missing|has shape/);
});

test('a scale that is not positive, or a shared variance that is missing, is refused', () => {
  const { parameters, size, config } = randomVae({ h: 3, w: 3 }, { variance: 'shared' });
  const make = (changed: Record<string, NdArray>) =>
    vaePixels.prior(size, config as PixelConfig, { ...parameters, ...changed });
  expect(() => make({ scale: f32([]) })).toThrow(/scale is 0, it must be above 0/);
  expect(() => make({ scale: f32([], Float32Array.of(-1)) })).toThrow(/scale is -1/);
  expect(() => make({ 'decoder.logStd': f32([3]) })).toThrow(
    /decoder\.logStd has shape \[3\], expected \[9\]/,
  );
  expect(Object.keys(make({ other: f32([]) }).parameters)).not.toContain('other');
});

describe.each(['dense', 'convolutional'] as const)('%s networks', (networks) => {
  test('end in a linear layer, in units of the scale', async () => {
    const prior = randomVae({ h: 5, w: 5 }, { networks, variance: 'shared' });
    const [encoder, decoder] =
      networks === 'dense' ? ['encoder.out', 'decoder.out'] : ['encoder.1', 'decoder.0'];
    const n = 3;
    const outputs = async (changed: Record<string, NdArray>) => {
      const { mean, samples } = await runOn(
        native,
        (inputs: { w: tf.Tensor; noise: Tensors; parameters: Tensors }) => ({
          mean: tf.clone(latentOf(prior).of(inputs.parameters).encode(inputs.w).mean),
          samples: prior.generate(inputs.parameters, inputs.noise),
        }),
        {
          w: scaled(180, n, 25),
          noise: { latent: normal(181, n, 2), kernels: f32([n, 25]) }, // the decoder's means
          parameters: { ...prior.parameters, ...changed },
        } as never,
      );
      return [(mean as NdArray).data, (samples as NdArray).data];
    };
    const biased = (name: string, by: number): Record<string, NdArray> => {
      const { shape, data } = prior.parameters[`${name}.bias`];
      return {
        [`${name}.bias`]: f32(
          shape,
          (data as Float32Array).map((x) => x + by),
        ),
      };
    };
    const before = await outputs({});
    const after = await outputs({ ...biased(encoder, 3), ...biased(decoder, -5) });
    const scale = prior.parameters.scale.data[0];
    for (const change of difference(after[0], before[0])) expect(change).toBeCloseTo(3, 4);
    for (const change of difference(after[1], before[1])) expect(change / scale).toBeCloseTo(-5, 4);
  });
});
