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
import type { Arrays } from '../priors/index.js';
import type { RunHooks } from './hooks.js';
import { componentKey, type Problem } from './problem.js';

export interface Judgement {
  ensemble: EnsembleMetrics[];
  reliability: ReliabilityBin[];
}

/** Of draws of a trained posterior, of each component in turn (120); of a point there is one. */
export function judge(
  problem: Problem,
  components: readonly Arrays[],
  samples: number,
  engine: Engine,
  hooks: RunHooks = {},
): Promise<Judgement> {
  const draws = problem.model.posterior.kernels ? samples : components.length;
  return judgeDraws(problem, drawsOfComponents(problem, components, draws, engine), draws, hooks);
}

/** Probabilities [n, classes] of the judged images under draws of the components in turn, `count` in all. */
async function* drawsOfComponents(
  { model, judged, key, statistics }: Problem,
  components: readonly Arrays[],
  count: number,
  engine: Engine,
): AsyncGenerator<Float32Array> {
  // one component after the other, so that each is compiled once; an average does not know the order
  const shares = components.map((_, c) => Math.ceil((count - c) / components.length));
  for (const [c, parameters] of components.entries())
    if (shares[c] > 0)
      yield* predictions({
        network: model,
        parameters,
        images: judged,
        samples: shares[c],
        engine,
        key: componentKey(foldIn(key, 'predict'), c),
        statistics,
      });
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
