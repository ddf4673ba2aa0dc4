import { describe, expect, test } from 'vitest';
import { foldIn, RandomStream, seedKey } from '../../src/engine/random.js';
import { looksLikeNoise, QualityAccumulator } from '../../src/kernels/index.js';
import { noiseEntropy } from '../../src/kernels/quality/entropy.js';
import { lagOne } from '../../src/kernels/quality/lag-one.js';
import { flatness } from '../../src/kernels/quality/noise.js';
import { orthogonality } from '../../src/kernels/quality/orthogonality.js';
import { estimate, expectMean } from '../monte-carlo.js';

const normals = (count: number, ...name: (string | number)[]) => {
  const random = new RandomStream(foldIn(seedKey(4), ...name));
  return Float32Array.from({ length: count }, () => random.normal());
};

/** Kernels of [h, w] in which a share of every weight is that of its kernel. */
function smooth(n: number, h: number, w: number, share: number) {
  const noise = normals(n * h * w, 'smooth', h, w);
  const common = normals(n, 'common', h, w);
  return noise.map((x, i) => (1 - share) * x + share * common[Math.floor(i / (h * w))]);
}

const qualityOf = (data: Float32Array, h: number, w: number) => {
  const quality = new QualityAccumulator(h, w);
  quality.add(data);
  return quality.finish();
};

describe('lag-one correlation', () => {
  // the published figures: -0.125 (3x3), -0.042 (5x5), -0.021 (7x7)
  test.each([
    [3, 3, -0.125],
    [5, 5, -0.042],
    [7, 7, -0.021],
    [1, 7, -1 / 6],
    [3, 1, -0.5],
    [2, 4, -1 / 7],
  ])('of white noise of %ix%i is %d on average', (h, w, expected) => {
    const n = 20_000;
    const data = normals(n * h * w, 'noise', h, w);
    const values = Array.from({ length: n }, (_, k) => lagOne(data, h, w, k * h * w));
    expectMean(estimate(values), -1 / (h * w - 1));
    expect(-1 / (h * w - 1)).toBeCloseTo(expected, 3);
  });

  test('by hand: a ramp, stripes, a chessboard, one value', () => {
    // ramp along x: centred -1 0 1; 6 horizontal pairs give 0, 6 vertical give 2 columns of ones twice: 4 / 12 over 6 / 9
    expect(lagOne([1, 2, 3, 1, 2, 3, 1, 2, 3], 3, 3)).toBeCloseTo(0.5, 12);
    expect(lagOne([1, -1, 1, -1], 1, 4)).toBe(-1);
    expect(lagOne([1, -1, -1, 1], 2, 2)).toBe(-1);
    expect(lagOne([5, 5, 5, 5], 2, 2)).toBeNaN();
    expect(lagOne([0, 0, 9, 1, 2, 3, 1, 2, 3, 1, 2, 3], 3, 3, 3)).toBeCloseTo(0.5, 12);
  });

  test('median, mean and standard error of a stream are those of the values', () => {
    const data = normals(999 * 25, 'median');
    const values = Array.from({ length: 999 }, (_, k) => lagOne(data, 5, 5, k * 25)).sort((a, b) => a - b);
    const { lagOne: found } = qualityOf(data, 5, 5);
    expect(Math.abs(found!.median - values[499])).toBeLessThan(0.001);
    const { mean, standardError } = estimate(values);
    expect(found!.mean).toBeCloseTo(mean, 12);
    expect(found!.standardError).toBeCloseTo(standardError, 12);
  });
});

describe('variance entropy', () => {
  test('threshold of 3x3 kernels', () => {
    expect(noiseEntropy(4096, 9)).toBeCloseTo(0.95107, 4);
    expect(noiseEntropy(2, 9)).toBeUndefined();
  });

  test.each([
    [3, 3, 2000],
    [5, 5, 2000],
    [7, 7, 300],
    [7, 7, 30],
    [1, 7, 500],
  ])('of noise of %ix%i, %i kernels, is about 1', (h, w, n) => {
    const { varianceEntropy } = qualityOf(normals(n * h * w, 'entropy', h, w, n), h, w);
    expect(Math.abs(varianceEntropy! - 1)).toBeLessThan(0.02);
  });

  test('of copies of one shape is 0', () => {
    const shape = normals(9, 'shape');
    const data = Float32Array.from({ length: 90 }, (_, i) => shape[i % 9] * (1 + Math.floor(i / 9)));
    expect(qualityOf(data, 3, 3).varianceEntropy).toBeCloseTo(0, 4);
  });
});

test('axes come in the order of their variance', () => {
  const data = normals(9 * 200, 'axes').map((x, i) => x * (1 + (i % 9)));
  const { explainedVariance } = qualityOf(data, 3, 3);
  expect(explainedVariance).toEqual([...explainedVariance!].sort((a, b) => b - a));
  expect(explainedVariance!.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
});

test('kernels that are not finite are left out', () => {
  const data = normals(9 * 100, 'finite');
  const spoiled = new Float32Array(9 * 102);
  spoiled.set(data, 9);
  spoiled[3] = Number.NaN;
  spoiled[9 * 101 + 8] = Number.NEGATIVE_INFINITY;
  expect(qualityOf(spoiled, 3, 3)).toEqual(qualityOf(data, 3, 3));
});

test('layers count alike, whatever their scale', () => {
  const noise = normals(9 * 100, 'one');
  const stripes = normals(9 * 100, 'two').map((x, i) => (i % 9 < 3 ? x : x / 8));
  const together = (scale: number) => {
    const quality = new QualityAccumulator(3, 3);
    quality.add(noise);
    quality.add(stripes.map((x) => scale * x));
    return quality.finish();
  };
  const { sparsity, varianceEntropy } = together(1);
  expect(together(1024)).toMatchObject({ sparsity, varianceEntropy });
});

describe('flatness', () => {
  test.each([
    [3, 3, 15],
    [3, 3, 200],
    [5, 5, 40],
  ])('of noise of %ix%i, %i kernels, is 0 on average, with the standard error that is said', (h, w, n) => {
    const found = Array.from({ length: 300 }, (_, i) =>
      flatness(qualityOf(normals(n * h * w, 'flat', h, n, i), h, w).directions!),
    );
    const excess = found.map(({ excess }) => excess);
    expectMean(estimate(excess), 0);
    const deviation = estimate(excess).standardError * Math.sqrt(excess.length);
    // the deviation of 300 values is known to about 4 %, of skewed ones to less
    expect(Math.abs(deviation / found[0].standardError - 1)).toBeLessThan(0.25);
  });

  test('of copies of one shape is d − 1', () => {
    const data = Float32Array.from({ length: 9 * 1000 }, (_, i) => 1 + (i % 9));
    expect(flatness(qualityOf(data, 3, 3).directions!).excess).toBeCloseTo(8 - 8 / 1000, 6);
  });
});

test('both the correlation and the spectrum have to be those of noise, and known well enough', () => {
  const identity = Float64Array.from({ length: 81 }, (_, i) => (i % 10 === 0 ? 1 / 9 : 0));
  const judge = (mean: number, standardError: number, kernels = 1e6, directions = identity) =>
    looksLikeNoise({
      lagOne: { median: 0, mean, standardError, kernels },
      directions: { mean: directions, kernels },
    });
  expect(judge(-0.125, 0.001)).toBe(true);
  expect(judge(-0.125, 0.03)).toBe(false);
  expect(judge(-0.06, 0.001)).toBe(false);
  expect(judge(-0.19, 0.001)).toBe(false);
  expect(judge(-0.125, 0.001, 50)).toBe(false);
  expect(
    judge(
      -0.125,
      0.001,
      1e6,
      identity.map((x, i) => (i === 0 ? 2 * x : x)),
    ),
  ).toBe(false);
});

test('noise is told from kernels with structure, and nothing is said of a few', () => {
  for (const [h, w] of [
    [3, 3],
    [5, 5],
    [1, 7],
  ]) {
    expect(looksLikeNoise(qualityOf(normals(3000 * h * w, 'n', h, w), h, w))).toBe(true);
    expect(looksLikeNoise(qualityOf(smooth(3000, h, w, 0.5), h, w))).toBe(false);
  }
  expect(looksLikeNoise(qualityOf(normals(20 * 9, 'few'), 3, 3))).toBe(false);
  expect(looksLikeNoise(qualityOf(normals(300 * 2, 'two'), 1, 2))).toBe(false);
  // layers of very different scales, and a uniform law, are noise all the same
  const uniform = new RandomStream(seedKey(1));
  const mixed = new QualityAccumulator(3, 3);
  for (const scale of [1, 0.01, 100])
    mixed.add(Float32Array.from({ length: 9000 }, () => scale * (uniform.uniform() - 0.5)));
  expect(looksLikeNoise(mixed.finish())).toBe(true);
});

test('orthogonality by hand', () => {
  expect(orthogonality(Float32Array.of(1, 0, 0, 2), 2)).toBe(1);
  expect(orthogonality(Float32Array.of(1, 2, -2, -4), 2)).toBeCloseTo(0, 12);
  expect(orthogonality(Float32Array.of(1, 0, 3, 3, 0, 5), 3)).toBeCloseTo(1 - (4 * Math.SQRT1_2) / 6, 12);
  expect(orthogonality(new Float32Array(12), 3)).toBe(0.5); // 1 - 3 / 6: a zero row misses the identity by 1
  expect(orthogonality(Float32Array.of(1, 2), 1)).toBeUndefined();
  expect(orthogonality(Float32Array.of(1, 0, Number.NaN, 1, 0, 1), 3)).toBe(1);
});
