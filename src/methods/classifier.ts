// The classifier of a run where it is a point: the prior N(0, 1/λ) of its weights, and what it starts with. Both look at
// its features, what the layers before it make of training images before the first step.
import { type Engine, foldIn, type NdArray, RandomStream } from '../engine/index.js';
import { usageError } from '../errors.js';
import { parameterKey } from '../network/index.js';
import { hasDensePrior, initOf } from '../problems/options.js';
import { componentKey, type Problem, startKey } from '../problems/problem.js';
import {
  featureMap,
  fittedClassifier,
  type LinearClassifier,
  NEGLIGIBLE_SCALE,
} from '../train/random-features.js';
import { classifierLayer, DENSE_START, hiddenDenseStart, storedClassifier } from '../train/train-network.js';
import type { TrainedConfig } from './options.js';

/** λ for features whose mean square is 1; docs/networks.md says where it comes from. */
export const UNIT_DECAY = 5;

/** Examples whose features are looked at: more would change little. */
const MOST_EXAMPLES = 2000;

export interface Classifier {
  /** λ of the classifier's weights in (18); 0 with --dense-prior, whose classifier is random. */
  decay: number;
  /** Start of component c, whose convolutions start at `convolutions`. */
  start(
    component: number,
    convolutions: Readonly<Record<string, NdArray>>,
  ): Promise<number | LinearClassifier>;
}

/**
 * Whether the classifier's prior and start look at its inputs before training: where convolutions start at kernels. Glorot-initialised
 * features carry no information yet.
 */
const looksAtFeatures = (config: TrainedConfig): boolean =>
  !hasDensePrior(config) && initOf(config) !== 'xavier';

export const denseDecayOf = (config: TrainedConfig): number | 'auto' =>
  config.denseDecay ?? (looksAtFeatures(config) ? 'auto' : 0);

export function denseStartOf(config: TrainedConfig): number | 'fitted' | 'model' {
  const fromModel = initOf(config) === 'model';
  if (config.denseStart === 'model' && !fromModel)
    throw usageError('--dense-start model needs --init model', 'add it, or choose another --dense-start');
  if (config.denseStart !== undefined) return config.denseStart;
  if (fromModel) return 'model';
  return looksAtFeatures(config) ? 'fitted' : DENSE_START;
}

const made = new WeakMap<Problem, Promise<Classifier>>();

/** The same for the same configuration, on one machine bit for bit: nothing of it is kept in checkpoints. */
export function classifierOf(config: TrainedConfig, problem: Problem, engine: Engine): Promise<Classifier> {
  const classifier = made.get(problem) ?? makeClassifier(config, problem, engine);
  made.set(problem, classifier);
  return classifier;
}

async function makeClassifier(config: TrainedConfig, problem: Problem, engine: Engine): Promise<Classifier> {
  const [denseDecay, denseStart] = [denseDecayOf(config), denseStartOf(config)];
  const { model, train, key, weights } = problem;
  const { architecture } = model;
  const stored = problem.stored();
  const layer = classifierLayer(architecture);
  if (!layer) return { decay: denseDecay === 'auto' ? 0 : denseDecay, start: async () => DENSE_START };
  const rowsOf = (component: number) => {
    const stream = new RandomStream(foldIn(componentKey(key, component), 'classifier'));
    return train.rows.length <= MOST_EXAMPLES
      ? train.rows
      : stream
          .permutation(train.rows.length)
          .slice(0, MOST_EXAMPLES)
          .map((i) => train.rows[i]);
  };
  const hiddenOf = (component: number) => hiddenDenseStart(architecture, startKey(key, component), stored);
  const meanSquare = async () => {
    const map = await featureMap(architecture, train.images, engine, stored);
    try {
      const start = { ...hiddenOf(0), ...(await weights(engine, 0)) };
      const { scale } = await map.features(start, train.images, rowsOf(0));
      return scale > NEGLIGIBLE_SCALE ? scale ** 2 : 1;
    } finally {
      await map.release();
    }
  };
  const decay = denseDecay === 'auto' ? UNIT_DECAY / (await meanSquare()) : denseDecay; // (124)
  return {
    decay,
    start: async (component, convolutions) => {
      if (typeof denseStart === 'number') return denseStart;
      if (denseStart === 'model' && stored[parameterKey(layer, 'weights')])
        return storedClassifier(layer, stored);
      return fittedClassifier({
        architecture,
        weights: { ...hiddenOf(component), ...convolutions },
        images: train.images,
        rows: rowsOf(component),
        decay,
        engine,
        stored,
      });
    },
  };
}
