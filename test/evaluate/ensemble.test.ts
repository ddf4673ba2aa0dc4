import { describe, expect, it } from 'vitest';
import { foldIn, RandomStream, seedKey } from '../../src/engine/random.js';
import {
  type EnsembleMetrics,
  ensembleMetrics,
  ensembleSizes,
  PredictiveMean,
} from '../../src/evaluate/ensemble.js';
import { classificationMetrics, mutualInformation } from '../../src/evaluate/metrics.js';

const collect = async (of: AsyncIterable<EnsembleMetrics>) => {
  const all: EnsembleMetrics[] = [];
  for await (const one of of) all.push(one);
  return all;
};

const labels = [0, 1, 2, 1];
const draw = (m: number) => {
  const s = new RandomStream(foldIn(seedKey(2), m));
  return Float32Array.from(
    labels.flatMap(() => {
      const weights = [s.uniform(), s.uniform(), s.uniform()];
      return weights.map((w) => w / (weights[0] + weights[1] + weights[2]));
    }),
  );
};
const draws = Array.from({ length: 12 }, (_, m) => draw(m));

describe('ensembleSizes', () => {
  it.each([
    [1, [1]],
    [2, [1, 2]],
    [3, [1, 2, 3]],
    [10, [1, 2, 5, 10]],
    [64, [1, 2, 5, 10, 20, 50, 64]],
    [500, [1, 2, 5, 10, 20, 50, 100, 200, 500]],
  ])('up to %d', (samples, sizes) => {
    expect(ensembleSizes(samples)).toEqual(sizes);
  });
});

describe('PredictiveMean', () => {
  it('averages draws', () => {
    const predictive = new PredictiveMean(1, 2);
    predictive.add([1, 0]);
    expect([...predictive.probabilities()]).toEqual([1, 0]);
    predictive.add([0.5, 0.5]);
    expect([...predictive.probabilities()]).toEqual([0.75, 0.25]);
    expect(predictive.samples).toBe(2);
  });

  it('knows the mutual information that all draws together have', () => {
    const predictive = new PredictiveMean(4, 3);
    for (const one of draws) predictive.add(one);
    const expected = mutualInformation(
      draws.flatMap((one) => [...one]),
      draws.length,
      3,
    );
    predictive.mutualInformation().forEach((information, i) => {
      expect(information).toBeCloseTo(expected[i], 12);
      expect(information).toBeGreaterThan(0.01);
    });
  });

  it('refuses a draw of another size', () => {
    expect(() => new PredictiveMean(4, 3).add([1, 0])).toThrow('2 probabilities for 4 examples × 3 classes');
  });
});

describe('ensembleMetrics', () => {
  it('judges the mean of the first 1, 2, 5, 10 and all draws', async () => {
    const metrics = await collect(ensembleMetrics(draws, labels, 3, 12));
    expect(metrics.map((m) => m.samples)).toEqual([1, 2, 5, 10, 12]);
    for (const { samples, ...rest } of metrics) {
      const average = Array.from(
        draws[0],
        (_, k) => draws.slice(0, samples).reduce((sum, one) => sum + one[k], 0) / samples,
      );
      const expected = classificationMetrics(average, labels, 3);
      expect(rest.accuracy).toBe(expected.accuracy);
      expect(rest.examples).toBe(4);
      for (const metric of ['nll', 'ece', 'brier'] as const)
        expect(rest[metric]).toBeCloseTo(expected[metric], 12);
    }
  });

  it('takes draws as they come, in one buffer, and asks for no more than it needs', async () => {
    let asked = 0;
    async function* endless() {
      const buffer = new Float32Array(12);
      for (;;) {
        buffer.set(draws[asked++]);
        yield buffer;
      }
    }
    expect(await collect(ensembleMetrics(endless(), labels, 3, 5))).toEqual(
      await collect(ensembleMetrics(draws, labels, 3, 5)),
    );
    expect(asked).toBe(5);
  });

  it('a mean is never worse than its parts are on average, in NLL and Brier score (Jensen)', async () => {
    const [, , , , all] = await collect(ensembleMetrics(draws, labels, 3, 12));
    const each = draws.map((one) => classificationMetrics(one, labels, 3));
    for (const metric of ['nll', 'brier'] as const)
      expect(all[metric]).toBeLessThan(each.reduce((sum, one) => sum + one[metric], 0) / each.length);
  });

  it('says when draws end too early', async () => {
    await expect(collect(ensembleMetrics(draws, labels, 3, 13))).rejects.toThrow(
      '12 draws for an ensemble of 13',
    );
  });
});
