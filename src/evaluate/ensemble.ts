// The predictive distribution (19): class probabilities averaged over draws of the weights, one draw after another.
import { type ClassificationMetrics, classificationMetrics, predictiveEntropy } from './metrics.js';

export interface EnsembleMetrics extends ClassificationMetrics {
  /** How many draws of the weights were averaged. */
  samples: number;
}

/** 1, 2, 5, 10, 20, 50, … below `samples`, then `samples` itself. */
export function ensembleSizes(samples: number): number[] {
  const sizes: number[] = [];
  for (let power = 1; power < samples; power *= 10)
    for (const digit of [1, 2, 5]) if (digit * power < samples) sizes.push(digit * power);
  return [...sizes, samples];
}

/** p(y|x, D) ≈ (1/M) Σ_m p(y|x, W_m), kept up to date as draws arrive; sums are float64. */
export class PredictiveMean {
  /** Draws added so far. */
  samples = 0;
  private readonly sum: Float64Array; // [n, classes]
  private readonly entropySum: Float64Array; // [n]

  constructor(
    readonly examples: number,
    readonly classes: number,
  ) {
    this.sum = new Float64Array(examples * classes);
    this.entropySum = new Float64Array(examples);
  }

  /**
   * @param probabilities [n, classes] under one draw of the weights; copied
   * @throws RangeError for another size
   */
  add(probabilities: ArrayLike<number>): void {
    if (probabilities.length !== this.sum.length)
      throw new RangeError(
        `${probabilities.length} probabilities for ${this.examples} examples × ${this.classes} classes`,
      );
    const entropy = predictiveEntropy(probabilities, this.classes);
    for (let k = 0; k < this.sum.length; k++) this.sum[k] += probabilities[k];
    for (let i = 0; i < entropy.length; i++) this.entropySum[i] += entropy[i];
    this.samples++;
  }

  /** [n, classes], rows summing to 1. */
  probabilities(): Float64Array {
    return this.sum.map((p) => p / this.samples);
  }

  /** Mutual information between prediction and weights, nats, [n]; 0 with one draw. */
  mutualInformation(): Float64Array {
    return predictiveEntropy(this.probabilities(), this.classes).map((entropy, i) =>
      Math.max(0, entropy - this.entropySum[i] / this.samples),
    );
  }

  /** @throws as {@link classificationMetrics} */
  metrics(labels: ArrayLike<number>): EnsembleMetrics {
    return { samples: this.samples, ...classificationMetrics(this.probabilities(), labels, this.classes) };
  }
}

/**
 * Metrics of the growing ensemble after 1, 2, 5, 10, … draws, the last at `samples`.
 * @param draws at least `samples` arrays [n, classes]; a buffer may be used again for the next
 * @throws RangeError when the draws end too early
 */
export async function* ensembleMetrics(
  draws: Iterable<ArrayLike<number>> | AsyncIterable<ArrayLike<number>>,
  labels: ArrayLike<number>,
  classes: number,
  samples: number,
): AsyncGenerator<EnsembleMetrics> {
  const predictive = new PredictiveMean(labels.length, classes);
  const sizes = ensembleSizes(samples);
  for await (const probabilities of draws) {
    predictive.add(probabilities);
    if (sizes.includes(predictive.samples)) yield predictive.metrics(labels);
    if (predictive.samples === samples) return;
  }
  throw new RangeError(`${predictive.samples} draws for an ensemble of ${samples}`);
}
