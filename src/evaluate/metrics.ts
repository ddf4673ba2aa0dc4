// How good predicted class probabilities are: accuracy, likelihood, calibration, uncertainty.
// Probabilities are flat arrays [n, classes], rows summing to 1; labels are [n], from 0 to classes − 1.
import { DwpError } from '../errors.js';

export interface ClassificationMetrics {
  /** Share of examples whose most probable class is right. */
  accuracy: number;
  /** Mean negative log-likelihood of the right class, nats per example. */
  nll: number;
  /** Expected calibration error, {@link expectedCalibrationError}. */
  ece: number;
  /** Brier score summed over classes, in [0, 2]. */
  brier: number;
  /** How many examples were judged. */
  examples: number;
}

/** The examples whose confidence lies in (lower, upper]. */
export interface ReliabilityBin {
  lower: number;
  upper: number;
  count: number;
  /** Mean probability of the predicted class; null for an empty bin. */
  confidence: number | null;
  /** Share of right predictions; null for an empty bin. */
  accuracy: number | null;
}

type Numbers = ArrayLike<number>;

/** Bins of the calibration error, as usual since Guo et al. 2017. */
export const CALIBRATION_BINS = 15;

/**
 * The least probability that a likelihood is computed from: the smallest normal float32, so that only what has
 * underflowed in float32 is cut off. One such example costs 87.3 nats instead of infinitely many.
 */
export const PROBABILITY_FLOOR = 2 ** -126;

/** All of the below at once. @throws as they do */
export function classificationMetrics(
  probabilities: Numbers,
  labels: Numbers,
  classes: number,
): ClassificationMetrics {
  return {
    accuracy: accuracy(probabilities, labels, classes),
    nll: negativeLogLikelihood(probabilities, labels, classes),
    ece: expectedCalibrationError(probabilities, labels, classes),
    brier: brierScore(probabilities, labels, classes),
    examples: labels.length,
  };
}

/** Share of examples whose most probable class (the first of equals) is the label. */
export function accuracy(probabilities: Numbers, labels: Numbers, classes: number): number {
  requireShape(probabilities, labels, classes);
  let right = 0;
  for (let i = 0; i < labels.length; i++)
    if (predictedClass(probabilities, i, classes) === labels[i]) right++;
  return right / labels.length;
}

/** −(1/n) Σ log p(yₙ), nats per example; probabilities below {@link PROBABILITY_FLOOR} count as that. */
export function negativeLogLikelihood(probabilities: Numbers, labels: Numbers, classes: number): number {
  requireShape(probabilities, labels, classes);
  let sum = 0;
  for (let i = 0; i < labels.length; i++)
    sum -= Math.log(Math.max(probabilities[i * classes + labels[i]], PROBABILITY_FLOOR));
  return sum / labels.length;
}

/** (1/n) Σₙ Σ_c (p(c) − [c = yₙ])², in [0, 2]. */
export function brierScore(probabilities: Numbers, labels: Numbers, classes: number): number {
  requireShape(probabilities, labels, classes);
  let sum = 0;
  for (let i = 0; i < labels.length; i++)
    for (let c = 0; c < classes; c++)
      sum += (probabilities[i * classes + c] - (c === labels[i] ? 1 : 0)) ** 2;
  return sum / labels.length;
}

/**
 * Σ_b (n_b / n) · |accuracy_b − confidence_b| over equal-width bins of the greatest probability, in [0, 1]
 * (Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3).
 */
export function expectedCalibrationError(
  probabilities: Numbers,
  labels: Numbers,
  classes: number,
  bins = CALIBRATION_BINS,
): number {
  let sum = 0;
  for (const bin of reliabilityBins(probabilities, labels, classes, bins))
    if (bin.accuracy !== null && bin.confidence !== null)
      sum += bin.count * Math.abs(bin.accuracy - bin.confidence);
  return sum / labels.length;
}

/** The bins of the calibration error, for a reliability diagram. */
export function reliabilityBins(
  probabilities: Numbers,
  labels: Numbers,
  classes: number,
  bins = CALIBRATION_BINS,
): ReliabilityBin[] {
  requireShape(probabilities, labels, classes);
  const count = new Array<number>(bins).fill(0);
  const confidence = new Array<number>(bins).fill(0);
  const right = new Array<number>(bins).fill(0);
  for (let i = 0; i < labels.length; i++) {
    const predicted = predictedClass(probabilities, i, classes);
    const p = probabilities[i * classes + predicted];
    const bin = Math.min(bins - 1, Math.max(0, Math.ceil(p * bins) - 1));
    count[bin]++;
    confidence[bin] += p;
    if (predicted === labels[i]) right[bin]++;
  }
  return count.map((n, b) => ({
    lower: b / bins,
    upper: (b + 1) / bins,
    count: n,
    confidence: n ? confidence[b] / n : null,
    accuracy: n ? right[b] / n : null,
  }));
}

/** −Σ_c p(c) log p(c) of every row, nats: [n, classes] → [n]. */
export function predictiveEntropy(probabilities: Numbers, classes: number): Float64Array {
  const n = rowCount(probabilities, classes);
  const entropy = new Float64Array(n);
  for (let i = 0; i < n; i++)
    for (let c = 0; c < classes; c++) {
      const p = probabilities[i * classes + c];
      if (p > 0) entropy[i] -= p * Math.log(p);
    }
  return entropy;
}

/**
 * Mutual information between prediction and weights, nats: H(mean of the predictions) − mean of H(prediction).
 * @param probabilities [samples, n, classes]: predictions of every example under each draw of the weights
 * @returns [n], never negative
 */
export function mutualInformation(probabilities: Numbers, samples: number, classes: number): Float64Array {
  const rows = rowCount(probabilities, classes);
  if (!(Number.isInteger(samples) && samples > 0) || rows % samples !== 0)
    throw new RangeError(`${rows} predictions are not those of ${samples} samples`);
  const size = probabilities.length / samples;
  const average = new Float64Array(size);
  for (let k = 0; k < probabilities.length; k++) average[k % size] += probabilities[k] / samples;
  const each = predictiveEntropy(probabilities, classes); // [samples, n]
  const information = predictiveEntropy(average, classes); // [n]
  for (let k = 0; k < each.length; k++) information[k % information.length] -= each[k] / samples;
  return information.map((x) => Math.max(0, x)); // rounding alone can make it negative
}

function predictedClass(probabilities: Numbers, row: number, classes: number): number {
  const start = row * classes;
  let best = 0;
  for (let c = 1; c < classes; c++) if (probabilities[start + c] > probabilities[start + best]) best = c;
  return best;
}

function rowCount(probabilities: Numbers, classes: number): number {
  const rows = probabilities.length / classes;
  if (!Number.isInteger(rows)) throw new RangeError(`${probabilities.length} values for ${classes} classes`);
  return rows;
}

/**
 * @throws RangeError when sizes do not fit or a label is out of range
 * @throws DwpError DIVERGED when a prediction is NaN
 */
function requireShape(predictions: Numbers, labels: Numbers, classes: number): void {
  if (labels.length === 0) throw new RangeError('no examples to judge');
  if (predictions.length !== labels.length * classes)
    throw new RangeError(
      `${predictions.length} probabilities for ${labels.length} examples × ${classes} classes`,
    );
  for (let i = 0; i < labels.length; i++)
    if (!(Number.isInteger(labels[i]) && labels[i] >= 0 && labels[i] < classes))
      throw new RangeError(`label ${labels[i]} of example ${i}, there are ${classes} classes`);
  for (let k = 0; k < predictions.length; k++)
    if (Number.isNaN(predictions[k]))
      throw new DwpError(
        'DIVERGED',
        `the predicted probabilities of example ${Math.floor(k / classes)} are not numbers`,
        'the training has diverged: try a lower learning rate',
      );
}
