// Expectation maximisation by matrix products beside the loops in double precision.
import { beforeAll, expect, test } from 'vitest';
import { createEngine, type Engine, RandomStream, seedKey } from '../../src/engine/index.js';
import { expectationMaximisation, meanLogDensity, type Points } from '../../src/priors/mixture/em.js';
import { fitByProducts } from '../../src/priors/mixture/em-products.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

/** Three clouds of different widths in 16 dimensions, far from 0 for their size. */
function clouds(count: number, scale: number): Points {
  const stream = new RandomStream(seedKey(950));
  const data = new Float64Array(count * 16);
  for (let i = 0; i < count; i++) {
    const c = i % 3;
    const shared = stream.normal();
    for (let j = 0; j < 16; j++)
      data[16 * i + j] = scale * ((c - 1) * (j % 4) + [0.05, 0.3, 1][c] * (stream.normal() + 0.8 * shared));
  }
  return { data, count, size: 16 };
}

// 8,011 points do not fill their blocks
test.each([
  ["t's", 15, 1],
  ['normals', Number.POSITIVE_INFINITY, 1],
  ["t's, tiny kernels", 15, 1e-7],
  ["t's, huge kernels", 4, 1e6],
])('%s: the same mixture', async (_, dof, scale) => {
  const points = clouds(8011, scale);
  const options = { components: 6, dof, shrinkage: 5, ridge: 0.001, iterations: 8, negligible: 0 };
  const key = seedKey(951);
  const expected = expectationMaximisation(points, options, new RandomStream(key));
  const found = await fitByProducts(points, options, new RandomStream(key), engine);
  const at = (components: typeof found) => meanLogDensity(points, components, dof);
  expect(Math.abs(at(found) - at(expected))).toBeLessThan(1e-3);
  found.forEach(({ logWeight, mean, covariance }, c) => {
    expect(logWeight).toBeCloseTo(expected[c].logWeight, 2);
    const spread = Math.sqrt(covariance.trace() / 16);
    mean.forEach((x, j) => {
      expect(Math.abs(x - expected[c].mean[j])).toBeLessThan(0.01 * spread);
    });
    expect(Math.abs(covariance.trace() / expected[c].covariance.trace() - 1)).toBeLessThan(0.01);
  });
});

test('few points are left to the loops: the same bits', async () => {
  const points = clouds(200, 1);
  const options = { components: 3, dof: 15, shrinkage: 5, ridge: 0.1, iterations: 5 };
  const found = await fitByProducts(points, options, new RandomStream(seedKey(952)), engine);
  const expected = expectationMaximisation(points, options, new RandomStream(seedKey(952)));
  expect(found.map(({ mean }) => mean)).toEqual(expected.map(({ mean }) => mean));
});
