// The VAE whose decoder moves a mixture: radial Gaussianisation and its volume, the mixture that it starts from, samples
// against the density, norms of samples, outliers, and what of a fit is kept.
import { Matrix } from 'ml-matrix';
import { beforeAll, expect, test } from 'vitest';
import { lowerBound } from '../../src/bounds/hierarchical.js';
import { type Engine, f32, type NdArray, RandomStream, seedKey, tf } from '../../src/engine/index.js';
import { kolmogorovSmirnov } from '../../src/evaluate/two-sample.js';
import type { KernelPrior, Tensors, TrainingKernels } from '../../src/priors/index.js';
import { componentLogDensities, coordinates } from '../../src/priors/mixture/components.js';
import { componentOf } from '../../src/priors/mixture/em.js';
import {
  bend,
  drawnLogNorms,
  fitRadial,
  RADIAL,
  straighten,
  straightened,
} from '../../src/priors/mixture/radial.js';
import { vae } from '../../src/priors/vae.js';
import { defaultFit, fitPrior, roseSignificantly } from '../../src/train/fit-prior.js';
import { samplePrior } from '../../src/train/sample-prior.js';
import { engines, largestRelativeError, normal, runOn } from '../engine/reference.js';
import { difference, estimate } from '../monte-carlo.js';

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

/** Pairs whose norms lie between 0.5 and 2: no normal's. */
const pairs: TrainingKernels = (() => {
  const stream = new RandomStream(seedKey(420));
  const count = 1000;
  const data = new Float32Array(2 * count);
  for (let i = 0; i < count; i++) {
    const [radius, angle] = [0.5 + 1.5 * stream.uniform() ** 2, 2 * Math.PI * stream.uniform()];
    data.set([radius * Math.cos(angle), 0.6 * radius * Math.sin(angle)], 2 * i);
  }
  return { h: 1, w: 2, data, count };
})();
const normalOfPairs = componentOf(
  0,
  new Float64Array(2),
  new Matrix([
    [0.8, 0],
    [0, 0.3],
  ]),
); // about their spread
const knots = fitRadial({ ...pairs, size: 2 }, () =>
  drawnLogNorms([normalOfPairs], Number.POSITIVE_INFINITY, new RandomStream(seedKey(421))),
);

test('straightened kernels come back, in steps as in plain numbers, and volumes are those of finite differences', async () => {
  const w = f32([200, 2], pairs.data.slice(0, 400));
  const h = 1e-3;
  const moved = (by: [number, number]) => f32([200, 2], w.data.map((x, i) => x + by[i % 2]) as Float32Array);
  const f = (inputs: Record<string, tf.Tensor>) => {
    const { x, logVolume } = straighten(inputs.w, inputs.knots);
    const at = (name: string) => straighten(inputs[name], inputs.knots).x;
    return { x, logVolume, back: bend(x, inputs.knots), r: at('r'), l: at('l'), u: at('u'), d: at('d') };
  };
  const out = (await runOn(native, f, {
    w,
    knots,
    r: moved([h, 0]),
    l: moved([-h, 0]),
    u: moved([0, h]),
    d: moved([0, -h]),
  })) as unknown as Record<string, NdArray>;
  expect(largestRelativeError({ w: out.back }, { w }).error).toBeLessThan(1e-4);
  const plain = straightened({ data: w.data, count: 200, size: 2 }, knots);
  expect(Math.max(...difference(out.x.data, plain.data).map(Math.abs))).toBeLessThan(1e-4);
  const errors = Array.from({ length: 200 }, (_, i) => {
    const [a, b] = [0, 1].map((j) => (out.r.data[2 * i + j] - out.l.data[2 * i + j]) / (2 * h));
    const [c, d] = [0, 1].map((j) => (out.u.data[2 * i + j] - out.d.data[2 * i + j]) / (2 * h));
    return Math.abs(Math.log(Math.abs(a * d - b * c)) - out.logVolume.data[i]);
  }).sort((a, b) => a - b);
  expect(errors[180]).toBeLessThan(0.02); // the others are near a knot
});

const latentOf = ({ density }: KernelPrior) => {
  if (density.kind !== 'latent') throw new Error('a latent-variable density');
  return density;
};
const config = vae.config.parse({ whitening: 'mixture', latent: 2, hidden: 8, members: 2 });
const OPTIONS = { ...defaultFit, steps: 200, validateEvery: 50, batch: 50 };

test('integrates to 1, draws what its density says, computes the same on both engines', async () => {
  const { prior } = await fitPrior({
    family: vae,
    kernels: pairs,
    config,
    options: OPTIONS,
    engine: native,
    key: seedKey(422),
  });
  // Networks that do something: the fitted ones may have learned nothing.
  const parameters = Object.fromEntries(
    Object.entries(prior.parameters).map(([name, { shape, data }], i) => [
      name,
      /^(encoder|decoder|gate)/.test(name)
        ? f32(
            shape,
            Float32Array.from(data, (x, j) => x + 0.1 * Math.sin(1 + j + i)),
          )
        : { shape, data },
    ]),
  );
  const changed = vae.prior(prior.size, config, parameters);
  const bound = (inputs: { w: tf.Tensor; noise: tf.Tensor; own: Tensors; parameters: Tensors }) => ({
    value: lowerBound(latentOf(changed).of(inputs.parameters), inputs.w, inputs.noise),
    samples: changed.generate(inputs.parameters, inputs.own),
  });
  const own = Object.fromEntries(
    Object.entries(changed.generateNoise(6)).map(([part, { shape }], i) => [part, normal(430 + i, ...shape)]),
  );
  const inputs = (w: NdArray, k: number) =>
    ({ w, noise: normal(425, k, w.shape[0], 2), own, parameters }) as never;
  const few = inputs(normal(424, 5, 2), 3);
  const [a, b] = [await runOn(native, bound, few), await runOn(cpu, bound, few)];
  const { error, path } = largestRelativeError(a, b);
  expect(error, path).toBeLessThan(1e-4);

  const side = 81;
  const step = 0.1;
  const grid = f32(
    [side * side, 2],
    Float32Array.from(
      { length: 2 * side * side },
      (_, i) => step * ((i % 2 === 0 ? Math.floor(i / 2 / side) : (i >> 1) % side) - (side - 1) / 2),
    ),
  );
  const onGrid = (await runOn(native, bound, inputs(grid, 30))) as unknown as { value: NdArray };
  const density = Array.from(onGrid.value.data, (x) => Math.exp(x) * step * step);
  const total = density.reduce((sum, x) => sum + x, 0);
  expect(total).toBeGreaterThan(0.93); // a bound of 30 samples, a grid of 0.1
  expect(total).toBeLessThan(1.03);
  const inRing = (x: number, y: number) => Number(Math.hypot(x, y) < 0.8);
  const n = 20_000;
  const drawn = await samplePrior(changed, n, native, seedKey(426));
  const ring = estimate(Array.from({ length: n }, (_, i) => inRing(drawn[2 * i], drawn[2 * i + 1])));
  const expected =
    density.reduce((sum, x, i) => sum + x * inRing(grid.data[2 * i], grid.data[2 * i + 1]), 0) / total;
  expect(Math.abs(ring.mean - expected)).toBeLessThan(5 * ring.standardError + 0.02);
});

test('(53) a decoder that says nothing leaves the mixture, wider by 1 + e⁻⁴: (1) is its density, whatever z is', async () => {
  const { prior } = await fitPrior({
    family: vae,
    kernels: pairs,
    config,
    options: { ...OPTIONS, steps: 1, validateEvery: 1 },
    engine: native,
    key: seedKey(427),
  });
  const parameters = Object.fromEntries(
    Object.entries(prior.parameters).map(([name, { shape, data }]) => [
      name,
      /^(encoder|decoder|gate)/.test(name) ? f32(shape) : { shape, data },
    ]),
  );
  const w = f32([50, 2], pairs.data.slice(0, 100));
  const { mixture, one, many } = (await runOn(
    native,
    (inputs: { w: tf.Tensor; z: tf.Tensor; noise: tf.Tensor; parameters: Tensors }) => {
      const density = latentOf(vae.prior(prior.size, config, parameters)).of(inputs.parameters);
      const { x, logVolume } = straighten(inputs.w, inputs.parameters[RADIAL]);
      const delta = Math.log1p(Math.exp(-4));
      const y = tf.mul(coordinates(inputs.parameters, x), Math.exp(-delta));
      const squares = tf.sum(tf.square(y), 2);
      const components = componentLogDensities(inputs.parameters, squares, config.tails, 2);
      return {
        mixture: tf.add(tf.sub(tf.logSumExp(components, 1), 2 * delta), logVolume),
        one: density.logLikelihood(inputs.w, inputs.z),
        many: lowerBound(density, inputs.w, inputs.noise),
      };
    },
    { w, z: normal(428, 50, 2), noise: normal(429, 20, 50, 2), parameters } as never,
  )) as unknown as Record<string, NdArray>;
  expect(Math.max(...difference(one.data, mixture.data).map(Math.abs))).toBeLessThan(1e-4);
  expect(Math.max(...difference(one.data, many.data).map(Math.abs))).toBeLessThan(0.02); // r is a little wider than p(z)
});

test('norms of samples are those of held-out kernels, where those have two modes', async () => {
  const d = 25;
  const [train, held, samples] = [1000, 4000, 4000];
  const stream = new RandomStream(seedKey(440));
  const rows = (count: number) => {
    const data = new Float32Array(count * d);
    for (let i = 0; i < count; i++) {
      const norm = (stream.uniform() < 0.5 ? 0.3 : 1) * Math.exp(0.2 * stream.normal());
      // a few directions are likely: axis k with probability ∝ 2^−k, blurred
      const axis = Math.min(d - 1, Math.floor(-Math.log2(1 - stream.uniform())));
      const u = Array.from({ length: d }, (_, j) => Number(j === axis) + 0.1 * stream.normal());
      data.set(
        u.map((x) => (norm * x) / Math.hypot(...u)),
        i * d,
      );
    }
    return { h: 5, w: 5, count, data };
  };
  const norms = ({ data, count }: { data: Float32Array; count: number }) => ({
    data: Float64Array.from({ length: count }, (_, i) => Math.hypot(...data.subarray(i * d, (i + 1) * d))),
    n: count,
    d: 1,
  });
  const start = { ...OPTIONS, steps: 1, validateEvery: 1 };
  // t's of two degrees of freedom: their norms are far from a normal's
  const heavy = { ...config, tails: 2, members: 1 };
  const { prior } = await fitPrior({
    family: vae,
    kernels: rows(train),
    config: heavy,
    options: start,
    engine: native,
    key: seedKey(441),
  });
  const drawn = { data: await samplePrior(prior, samples, native, seedKey(442)), count: samples };
  const [distance] = kolmogorovSmirnov(norms(drawn), norms(rows(held)));
  // what sets of these sizes that are alike exceed once in a thousand times
  expect(distance).toBeLessThan(1.95 * Math.sqrt(1 / train + 1 / held + 1 / samples));
});

test('the encoder sees no more of an outlier than its direction', async () => {
  const size = { h: 1, w: 2 };
  const one = { ...pairs, count: 300, data: pairs.data.slice(0, 600) };
  const { prior } = await fitPrior({
    family: vae,
    kernels: one,
    config,
    options: { ...OPTIONS, steps: 1 },
    engine: native,
    key: seedKey(443),
  });
  const parameters = {
    ...prior.parameters,
    'encoder.out.kernel': normal(444, ...prior.parameters['encoder.out.kernel'].shape),
  };
  const encode = (factor: number) =>
    runOn(
      native,
      (inputs: { w: tf.Tensor; parameters: Tensors }) => ({
        mean: latentOf(vae.prior(size, config, parameters))
          .of(inputs.parameters)
          .encode(inputs.w).mean,
      }),
      {
        w: f32(
          [2, 2],
          Float32Array.of(1, -0.5, 0.3, 0.8).map((x) => factor * x),
        ),
        parameters,
      } as never,
    );
  expect(largestRelativeError(await encode(1e6), await encode(1e3)).error).toBeLessThan(1e-6);
});

test('what is kept is the start or, on validation kernels, the best', async () => {
  const { report } = await fitPrior({
    family: vae,
    kernels: pairs,
    config,
    options: OPTIONS,
    engine: native,
    key: seedKey(423),
  });
  const { bestStep, validationBound, trace } = report!;
  if (bestStep > 0) expect(validationBound).toBe(Math.max(...trace.map((p) => p.validationBound)));
  expect(Number.isFinite(validationBound)).toBe(true);
});

test('a gain counts from two standard errors on', () => {
  // differences of mean m and deviation 1, of 100 kernels: the standard error is 0.1
  const gain = (m: number, n = 100) => {
    const each = Float64Array.from(
      { length: n },
      (_, i) => m + (i % 2 === 0 ? 1 : -1) * Math.sqrt((n - 1) / n),
    );
    return roseSignificantly(new Float64Array(n), each);
  };
  expect([0.19, 0.21, -0.21].map((m) => gain(m))).toEqual([false, true, false]);
  expect(gain(5, 1)).toBe(false);
});
