// Mixtures of kernels whose norms are straightened: radial Gaussianisation and its volume, samples against the density,
// norms of samples; and what of a fit by steps is kept.
import { Matrix } from 'ml-matrix';
import { beforeAll, expect, test } from 'vitest';
import { type Engine, f32, type NdArray, RandomStream, seedKey, type tf } from '../../src/engine/index.js';
import { kolmogorovSmirnov } from '../../src/evaluate/two-sample.js';
import type { Tensors, TrainingKernels } from '../../src/priors/index.js';
import { componentOf } from '../../src/priors/mixture/em.js';
import { bend, drawnLogNorms, fitRadial, straighten, straightened } from '../../src/priors/mixture/radial.js';
import { mixture } from '../../src/priors/mixture.js';
import { fitPrior, roseSignificantly } from '../../src/train/fit-prior.js';
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

test('(53) integrates to 1, draws what it says, computes the same on both engines', async () => {
  const { prior } = await fitPrior({
    family: mixture,
    kernels: pairs,
    config: { members: 2 },
    engine: native,
    key: seedKey(422),
  });
  expect(prior.parameters['radial.knots'].shape[1]).toBeGreaterThan(2);
  const { density } = prior;
  if (density.kind !== 'exact') throw new Error('an exact density');
  const of = (inputs: { w: tf.Tensor; own: Tensors; parameters: Tensors }) => ({
    value: density.logDensity(inputs.parameters, inputs.w),
    samples: prior.generate(inputs.parameters, inputs.own),
  });
  const own = Object.fromEntries(
    Object.entries(prior.generateNoise(6)).map(([part, { shape }], i) => [part, normal(430 + i, ...shape)]),
  );
  const inputs = (w: NdArray) => ({ w, own, parameters: prior.parameters }) as never;
  const few = inputs(normal(424, 5, 2));
  const [a, b] = [await runOn(native, of, few), await runOn(cpu, of, few)];
  const { error, path } = largestRelativeError(a, b);
  expect(error, path).toBeLessThan(1e-4);

  const side = 241;
  const step = 0.035;
  const grid = f32(
    [side * side, 2],
    Float32Array.from(
      { length: 2 * side * side },
      (_, i) => step * ((i % 2 === 0 ? Math.floor(i / 2 / side) : (i >> 1) % side) - (side - 1) / 2),
    ),
  );
  const onGrid = (await runOn(native, of, inputs(grid))) as unknown as { value: NdArray };
  const values = Array.from(onGrid.value.data, (x) => Math.exp(x) * step * step);
  const total = values.reduce((sum, x) => sum + x, 0);
  expect(Math.abs(total - 1)).toBeLessThan(0.01);
  const inRing = (x: number, y: number) => Number(Math.hypot(x, y) < 0.8);
  const n = 20_000;
  const drawn = await samplePrior(prior, n, native, seedKey(426));
  const ring = estimate(Array.from({ length: n }, (_, i) => inRing(drawn[2 * i], drawn[2 * i + 1])));
  const expected = values.reduce((sum, x, i) => sum + x * inRing(grid.data[2 * i], grid.data[2 * i + 1]), 0);
  expect(Math.abs(ring.mean - expected)).toBeLessThan(5 * ring.standardError + 0.01);
});

test('knots that do not rise are no map', async () => {
  const { prior } = await fitPrior({
    family: mixture,
    kernels: pairs,
    config: { members: 1, components: 1 },
    engine: native,
    key: seedKey(427),
  });
  const { shape, data } = prior.parameters['radial.knots'];
  const changed = {
    ...prior.parameters,
    'radial.knots': { shape, data: data.map((x, i) => (i === 1 ? -9 : x)) },
  };
  const read = () => mixture.prior(prior.size, mixture.config.parse(prior.config), changed as never);
  expect(read).toThrow('radial.knots do not rise');
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
  // t's of two degrees of freedom: their norms are far from a normal's
  const heavy = { tails: 2, members: 1 };
  const { prior } = await fitPrior({
    family: mixture,
    kernels: rows(train),
    config: heavy,
    engine: native,
    key: seedKey(441),
  });
  const drawn = { data: await samplePrior(prior, samples, native, seedKey(442)), count: samples };
  const [distance] = kolmogorovSmirnov(norms(drawn), norms(rows(held)));
  // what sets of these sizes that are alike exceed once in a thousand times
  expect(distance).toBeLessThan(1.95 * Math.sqrt(1 / train + 1 / held + 1 / samples));
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
