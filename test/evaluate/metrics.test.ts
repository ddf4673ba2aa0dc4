import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foldIn, RandomStream, seedKey } from '../../src/engine/random.js';
import {
  accuracy,
  brierScore,
  classificationMetrics,
  expectedCalibrationError,
  mutualInformation,
  negativeLogLikelihood,
  predictiveEntropy,
  reliabilityBins,
} from '../../src/evaluate/metrics.js';

/** Random softmax rows and labels. */
const predictions = fc
  .record({ classes: fc.integer({ min: 2, max: 6 }), n: fc.integer({ min: 1, max: 25 }), seed: fc.nat() })
  .map(({ classes, n, seed }) => {
    const s = new RandomStream(seedKey(seed));
    const sharpness = 5 * s.uniform();
    const weights = Float64Array.from({ length: n * classes }, () => Math.exp(sharpness * s.normal()));
    const probabilities = Float32Array.from(weights, (w, k) => {
      const row = weights.subarray(Math.floor(k / classes) * classes).subarray(0, classes);
      return w / row.reduce((a, b) => a + b, 0);
    });
    return { probabilities, labels: Int32Array.from({ length: n }, () => s.integer(classes)), classes, n, s };
  });

/** Four examples of three classes, worked out by hand below. */
const P = [0.7, 0.2, 0.1, /**/ 0.1, 0.3, 0.6, /**/ 0.25, 0.5, 0.25, /**/ 0.9, 0.05, 0.05];
const Y = [0, 1, 1, 0];

describe('by hand', () => {
  it('accuracy: all but the second', () => {
    expect(accuracy(P, Y, 3)).toBe(0.75);
  });

  it('negative log-likelihood: −(log .7 + log .3 + log .5 + log .9)/4 = −log(.0945)/4', () => {
    expect(negativeLogLikelihood(P, Y, 3)).toBeCloseTo(-Math.log(0.0945) / 4, 14);
  });

  it('Brier score: (.14 + .86 + .375 + .015)/4', () => {
    // .09+.04+.01 · .01+.49+.36 · .0625+.25+.0625 · .01+.0025+.0025
    expect(brierScore(P, Y, 3)).toBeCloseTo((0.14 + 0.86 + 0.375 + 0.015) / 4, 14);
  });

  it('calibration error: every example alone in its bin', () => {
    // |1 − .7| + |0 − .6| + |1 − .5| + |1 − .9| over 4
    expect(expectedCalibrationError(P, Y, 3)).toBeCloseTo((0.3 + 0.6 + 0.5 + 0.1) / 4, 14);
  });

  it('calibration error with two bins: three examples share one', () => {
    // (0, .5] holds .5, right; (.5, 1] holds .7, .6, .9, two right: 1/4·|1 − .5| + 3/4·|2/3 − 2.2/3|
    expect(expectedCalibrationError(P, Y, 3, 2)).toBeCloseTo(0.125 + 0.05, 14);
  });

  it('all at once', () => {
    expect(classificationMetrics(P, Y, 3)).toEqual({
      accuracy: 0.75,
      nll: negativeLogLikelihood(P, Y, 3),
      ece: expectedCalibrationError(P, Y, 3),
      brier: brierScore(P, Y, 3),
      examples: 4,
    });
  });

  it('entropy: log 2 of a fair coin, 0 of certainty', () => {
    const entropy = predictiveEntropy([0.5, 0.5, 1, 0, 0.25, 0.75], 2);
    expect(entropy[0]).toBeCloseTo(Math.log(2), 15);
    expect(entropy[1]).toBe(0);
    expect(entropy[2]).toBeCloseTo(-0.25 * Math.log(0.25) - 0.75 * Math.log(0.75), 15);
  });

  it('mutual information: log 2 when two samples are sure of different classes, 0 when they agree', () => {
    //            example 0  1           2
    const first = [1, 0, /**/ 0.3, 0.7, /**/ 0.5, 0.5];
    const second = [0, 1, /**/ 0.3, 0.7, /**/ 1, 0];
    const information = mutualInformation([...first, ...second], 2, 2);
    expect(information[0]).toBeCloseTo(Math.log(2), 14);
    expect(information[1]).toBeCloseTo(0, 14);
    // H(.75, .25) − (log 2 + 0)/2
    expect(information[2]).toBeCloseTo(-0.75 * Math.log(0.75) - 0.25 * Math.log(0.25) - Math.log(2) / 2, 14);
  });
});

describe('details', () => {
  it('the first of equal classes is predicted', () => {
    expect(accuracy([0.5, 0.5, 0.5, 0.5], [0, 1], 2)).toBe(0.5);
  });

  it('bins are open below and closed above: (1/15, 2/15] and so on', () => {
    const bins = reliabilityBins([0.5, 0.5, 0.75, 0.25, 1, 0], [0, 0, 0], 2, 4);
    expect(bins.map((bin) => bin.count)).toEqual([0, 1, 1, 1]);
    expect(bins[0]).toEqual({ lower: 0, upper: 0.25, count: 0, confidence: null, accuracy: null });
    expect(bins[2]).toEqual({ lower: 0.5, upper: 0.75, count: 1, confidence: 0.75, accuracy: 1 });
    expect(reliabilityBins(P, Y, 3)).toHaveLength(15);
  });

  it('a confidence above 1 by rounding falls into the last bin', () => {
    expect(reliabilityBins([1.0000001, 0], [0], 2)[14].count).toBe(1);
  });

  it('a probability that underflowed costs 126 log 2 nats, not infinity', () => {
    expect(negativeLogLikelihood([0, 1], [0], 2)).toBeCloseTo(126 * Math.log(2), 12);
    expect(negativeLogLikelihood([1e-30, 1], [0], 2)).toBeCloseTo(30 * Math.log(10), 12);
  });

  it('NaN is a divergence: exit code 4 and the example', () => {
    const damaged = Float32Array.from(P);
    damaged[7] = Number.NaN;
    expect(() => classificationMetrics(damaged, Y, 3)).toThrow(
      expect.objectContaining({ exitCode: 4, message: expect.stringContaining('example 2') }),
    );
  });

  it('sizes and labels that do not fit are refused', () => {
    expect(() => accuracy(P, [0, 1, 1], 3)).toThrow('12 probabilities for 3 examples × 3 classes');
    expect(() => accuracy(P, [0, 1, 1, 3], 3)).toThrow('label 3 of example 3');
    expect(() => accuracy(P, [0, -1, 1, 2], 3)).toThrow(RangeError);
    expect(() => accuracy([], [], 3)).toThrow('no examples');
    expect(() => predictiveEntropy(P, 5)).toThrow(RangeError);
    expect(() => mutualInformation(P, 3, 3)).toThrow('4 predictions are not those of 3 samples');
    expect(() => mutualInformation(P, 0, 3)).toThrow(RangeError);
  });
});

describe('of any predictions', () => {
  it('metrics lie in their ranges', () => {
    fc.assert(
      fc.property(predictions, ({ probabilities, labels, classes, n }) => {
        const m = classificationMetrics(probabilities, labels, classes);
        expect(m.accuracy * n).toBeCloseTo(Math.round(m.accuracy * n), 9);
        expect(m.accuracy).toBeLessThanOrEqual(1);
        expect(m.nll).toBeGreaterThanOrEqual(-1e-6);
        expect(m.ece).toBeGreaterThanOrEqual(0);
        expect(m.ece).toBeLessThanOrEqual(1 + 1e-6);
        expect(m.brier).toBeGreaterThanOrEqual(0);
        expect(m.brier).toBeLessThanOrEqual(2 + 1e-6);
        for (const entropy of predictiveEntropy(probabilities, classes)) {
          expect(entropy).toBeGreaterThanOrEqual(-1e-6);
          expect(entropy).toBeLessThanOrEqual(Math.log(classes) + 1e-6);
        }
      }),
    );
  });

  it('the order of the examples and the names of the classes do not matter', () => {
    fc.assert(
      fc.property(predictions, ({ probabilities, labels, classes, n, s }) => {
        const rows = s.permutation(n);
        const names = s.permutation(classes);
        const shuffled = new Float32Array(probabilities.length);
        rows.forEach((row, i) => {
          for (let c = 0; c < classes; c++)
            shuffled[i * classes + names[c]] = probabilities[row * classes + c];
        });
        const a = classificationMetrics(probabilities, labels, classes);
        const b = classificationMetrics(
          shuffled,
          rows.map((row) => names[labels[row]]),
          classes,
        );
        for (const metric of ['accuracy', 'nll', 'ece', 'brier'] as const)
          expect(b[metric]).toBeCloseTo(a[metric], 9);
      }),
    );
  });

  it('bins hold every example, and one bin gives |accuracy − mean confidence|', () => {
    fc.assert(
      fc.property(predictions, ({ probabilities, labels, classes, n }) => {
        const bins = reliabilityBins(probabilities, labels, classes);
        expect(bins.reduce((sum, bin) => sum + bin.count, 0)).toBe(n);
        for (const { lower, upper, count, confidence } of bins)
          if (count && confidence !== null) {
            expect(confidence).toBeGreaterThan(lower - 1e-6);
            expect(confidence).toBeLessThan(upper + 1e-6);
          }
        const [one] = reliabilityBins(probabilities, labels, classes, 1);
        const gap = Math.abs(one.accuracy! - one.confidence!);
        expect(expectedCalibrationError(probabilities, labels, classes, 1)).toBeCloseTo(gap, 12);
        expect(expectedCalibrationError(probabilities, labels, classes)).toBeGreaterThanOrEqual(gap - 1e-9);
      }),
    );
  });

  it('uniform predictions cost log C nats and have Brier score 1 − 1/C', () => {
    for (const classes of [2, 3, 10]) {
      const labels = Int32Array.from({ length: classes }, (_, i) => i);
      const uniform = new Float64Array(classes * classes).fill(1 / classes);
      const m = classificationMetrics(uniform, labels, classes);
      expect(m.nll).toBeCloseTo(Math.log(classes), 12);
      expect(m.brier).toBeCloseTo(1 - 1 / classes, 12);
      expect(m.ece).toBeCloseTo(0, 12); // right once in C, as confident as that
    }
  });

  it('mutual information is between 0 and the entropy of the mean; copies of one sample give 0', () => {
    fc.assert(
      fc.property(predictions, ({ probabilities, classes, n }) => {
        const same = mutualInformation([...probabilities, ...probabilities], 2, classes);
        for (const information of same) expect(information).toBeCloseTo(0, 6);
        if (n % 2) return;
        const information = mutualInformation(probabilities, 2, classes); // halves as two samples
        for (const value of information) {
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThanOrEqual(Math.log(2) + 1e-6); // two samples carry one bit
        }
      }),
    );
  });

  it('a predictor that draws labels from its own probabilities is calibrated', () => {
    const n = 200_000;
    const s = new RandomStream(foldIn(seedKey(5), 'calibrated'));
    const probabilities = new Float64Array(2 * n);
    const labels = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      probabilities[2 * i] = s.uniform();
      probabilities[2 * i + 1] = 1 - probabilities[2 * i];
      labels[i] = s.uniform() < probabilities[2 * i] ? 0 : 1;
    }
    // Each of the 8 bins in use is off by at most five of its standard errors.
    const bound = 5 * 8 * Math.sqrt(0.25 / n);
    expect(expectedCalibrationError(probabilities, labels, 2)).toBeLessThan(bound);
    // Always sure and as often right, the same predictor is not.
    expect(
      expectedCalibrationError(
        probabilities.map((p) => (p > 0.5 ? 1 : 0)),
        labels,
        2,
      ),
    ).toBeGreaterThan(0.24);
  });
});
