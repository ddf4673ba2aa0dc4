// Predictions on a run's test (or validation) images, with growing ensembles.
import { DwpError } from '../errors.js';
import {
  type EnsembleMetrics,
  ensembleSizes,
  PredictiveMean,
  type ReliabilityBin,
  reliabilityBins,
} from '../evaluate/index.js';
import type { Problem } from '../problems/problem.js';
import type { Draws, TaskHooks } from './method.js';

export interface Judgement {
  ensemble: EnsembleMetrics[];
  reliability: ReliabilityBin[];
}

/** @throws DwpError INTERRUPTED */
export async function judge(
  { judged }: Pick<Problem, 'judged'>,
  { count, draws }: Draws,
  hooks: TaskHooks = {},
): Promise<Judgement> {
  const predictive = new PredictiveMean(judged.count, judged.classes);
  const ensemble: EnsembleMetrics[] = [];
  const sizes = ensembleSizes(count);
  for await (const probabilities of draws) {
    if (hooks.signal?.aborted)
      throw new DwpError('INTERRUPTED', 'interrupted while predicting', 'resume the run to predict again');
    predictive.add(probabilities);
    if (sizes.includes(predictive.samples)) ensemble.push(predictive.metrics(judged.labels));
    hooks.progress?.(
      'predicting',
      predictive.samples,
      count,
      `accuracy ${ensemble.at(-1)?.accuracy.toFixed(4)}`,
    );
  }
  return {
    ensemble,
    reliability: reliabilityBins(predictive.probabilities(), judged.labels, judged.classes),
  };
}
