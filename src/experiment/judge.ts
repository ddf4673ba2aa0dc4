// Predictions on a run's test (or validation) images, with growing ensembles.
import { type Engine, foldIn } from '../engine/index.js';
import { DwpError } from '../errors.js';
import {
  type EnsembleMetrics,
  ensembleSizes,
  PredictiveMean,
  predictions,
  type ReliabilityBin,
  reliabilityBins,
} from '../evaluate/index.js';
import type { TrainingState } from '../train/train-network.js';
import type { Problem } from './problem.js';
import type { RunHooks } from './run.js';

export interface Judgement {
  ensemble: EnsembleMetrics[];
  reliability: ReliabilityBin[];
}

/** Of draws of a trained posterior; of a point there is one. */
export function judge(
  problem: Problem,
  parameters: TrainingState['parameters'],
  samples: number,
  engine: Engine,
  hooks: RunHooks = {},
): Promise<Judgement> {
  const { model, judged, key } = problem;
  const draws = model.posterior.kernels ? samples : 1;
  return judgeDraws(
    problem,
    predictions(model, parameters, judged, draws, engine, foldIn(key, 'predict')),
    draws,
    hooks,
  );
}

/** @param draws probabilities [n, classes] of `count` networks */
export async function judgeDraws(
  { judged }: Problem,
  draws: AsyncIterable<Float32Array>,
  count: number,
  hooks: RunHooks = {},
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
