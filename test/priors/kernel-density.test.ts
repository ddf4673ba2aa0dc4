// Noise on real kernels: the density against its sum written out, and the width and the kind of noise that are chosen.
import { beforeAll, expect, test } from 'vitest';
import {
  createEngine,
  type Engine,
  f32,
  type NdArray,
  RandomStream,
  seedKey,
} from '../../src/engine/index.js';
import { noiseOf, widthsOf } from '../../src/priors/density-estimate/noise.js';
import { chooseWidth } from '../../src/priors/density-estimate/width.js';
import type { Tensors, TrainingKernels } from '../../src/priors/index.js';
import { kernelDensity } from '../../src/priors/kernel-density.js';
import { fitPrior } from '../../src/train/fit-prior.js';
import { samplePrior } from '../../src/train/sample-prior.js';
import { runOn } from '../engine/reference.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

/** Clusters far apart: a centre of norm about 5 √d, and `std` around it, times the size of the cluster. */
function clusters(count: number, d: number, std: number, sizes = [1]): TrainingKernels {
  const stream = new RandomStream(seedKey(900));
  const centres = Array.from({ length: 40 * d }, () => 5 * stream.normal());
  const data = new Float32Array(count * d);
  for (let i = 0; i < count; i++) {
    const [centre, size] = [stream.integer(40), sizes[i % sizes.length]];
    for (let j = 0; j < d; j++) data[i * d + j] = size * (centres[centre * d + j] + std * stream.normal());
  }
  return { h: 1, w: d, data, count };
}
const rows = ({ data, count, w }: TrainingKernels) => ({ data: Float64Array.from(data), count, size: w });
const fitted = async (kernels: TrainingKernels, config = {}) =>
  (await fitPrior({ family: kernelDensity, kernels, config, engine, key: seedKey(901) })).prior;

test.each(['isotropic', 'correlated'] as const)(
  '%s noise: log p(w) is the sum over kernels, (142)',
  async (noise) => {
    const kernels = clusters(30, 3, 0.5, [1, 0.2]);
    const prior = await fitted(kernels, { noise });
    const { parameters, density } = prior;
    if (density.kind !== 'exact') throw new Error('an exact density');
    const x = clusters(4, 3, 2);
    const { value } = await runOn(
      engine,
      ({ w, ...parameters }: Tensors) => ({ value: density.logDensity(parameters, w) }),
      { w: f32([4, 3], x.data), ...parameters } as never,
    );
    const { kernels: kept, logWidth, whitening } = parameters;
    const whiten = (row: ArrayLike<number>) =>
      [0, 1, 2].map((j) => [0, 1, 2].reduce((sum, i) => sum + row[i] * whitening.data[3 * i + j], 0));
    for (let i = 0; i < 4; i++) {
      const y = whiten(x.data.subarray(3 * i, 3 * i + 3));
      let sum = 0;
      for (let k = 0; k < 30; k++) {
        const s = Math.exp(logWidth.data[k]);
        const square = y.reduce((total, v, j) => total + (v - kept.data[3 * k + j]) ** 2, 0);
        sum += Math.exp((-0.5 * square) / s ** 2) / (30 * (2 * Math.PI * s * s) ** 1.5);
      }
      const expected = Math.log(sum) + parameters.logVolume.data[0];
      expect(Math.abs((value as NdArray).data[i] - expected)).toBeLessThan(
        1e-3 * Math.max(1, Math.abs(expected)),
      );
    }
  },
);

test('the width of the noise is near the one of the clusters that the kernels are from', async () => {
  const points = rows(clusters(1500, 4, 0.3));
  const noise = noiseOf('isotropic', points);
  const unit = noise.colouring.get(0, 0); // kernels are divided by their root mean square
  const { width } = chooseWidth(noise, 'same');
  // of some 34 kernels in each cluster: a little narrower than the cluster, which they fill
  expect((width * unit) / 0.3).toBeGreaterThan(0.4);
  expect((width * unit) / 0.3).toBeLessThan(1);
});

test('kernels of two sizes are better described by noise of their size, or as far as their neighbours', () => {
  const noise = noiseOf('isotropic', rows(clusters(1200, 4, 0.3, [1, 0.05])));
  const same = chooseWidth(noise, 'same').value;
  for (const local of ['norm', 'neighbour'] as const)
    expect(chooseWidth(noise, local).value).toBeGreaterThan(same + 1);
  for (const local of ['same', 'norm', 'neighbour'] as const) {
    const widths = widthsOf(noise.coordinates, local);
    expect(widths.reduce((a, b) => a + b, 0) / widths.length).toBeCloseTo(1, 6);
  }
});

test('correlated noise has the covariance of the directions of kernels, and auto takes the better of the two', async () => {
  const stream = new RandomStream(seedKey(902));
  const data = new Float32Array(800 * 4);
  for (let i = 0; i < 800; i++) {
    const common = 3 * stream.normal();
    for (let j = 0; j < 4; j++) data[4 * i + j] = common + 0.1 * stream.normal();
  }
  const kernels = { h: 2, w: 2, data, count: 800 };
  const noise = noiseOf('correlated', { data: Float64Array.from(data), count: 800, size: 4 });
  const back = noise.colouring.mmul(noise.whitening);
  for (let i = 0; i < 4; i++)
    for (let j = 0; j < 4; j++) expect(back.get(i, j)).toBeCloseTo(i === j ? 1 : 0, 9);
  const covariance = noise.colouring.mmul(noise.colouring);
  expect(covariance.get(0, 1) / covariance.get(0, 0)).toBeGreaterThan(0.9);
  const auto = await fitted(kernels);
  expect(auto.parameters.colouring.data[1]).toBeGreaterThan(0);
  expect((await fitted(kernels, { noise: 'isotropic' })).parameters.colouring.data[1]).toBe(0);
});

test('at most so many kernels are kept, and draws lie around all of them', async () => {
  const kernels = clusters(200, 3, 0);
  const prior = await fitted(kernels, { kept: 50, noise: 'isotropic' });
  expect(prior.parameters.kernels.shape).toEqual([50, 3]);
  const narrow = {
    ...prior,
    parameters: { ...prior.parameters, logWidth: f32([50], new Float32Array(50).fill(-20)) },
  };
  const draws = await samplePrior(narrow, 2000, engine, seedKey(903));
  const found = new Set(Array.from({ length: 2000 }, (_, i) => draws[3 * i].toFixed(3)));
  const kept = new Set(
    Array.from({ length: 50 }, (_, i) =>
      (prior.parameters.kernels.data[3 * i] * prior.parameters.colouring.data[0]).toFixed(3),
    ),
  );
  expect(found.size).toBe(kept.size);
});
