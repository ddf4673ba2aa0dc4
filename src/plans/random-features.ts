// Carries out a plan of kind random-features: each run draws convolutions as training would start with them, leaves them
// as they are, and fits a classifier to their features; `samples` draws make an ensemble.
import { loadDataset } from '../data/index.js';
import { createEngine, type Engine } from '../engine/index.js';
import { DwpError, usageError } from '../errors.js';
import { classificationMetrics, mean, PredictiveMean, reliabilityBins } from '../evaluate/index.js';
import { UNIT_DECAY } from '../methods/classifier.js';
import { posteriors } from '../posteriors/index.js';
import { readNetwork } from '../problems/network-file.js';
import { initOf } from '../problems/options.js';
import { type Problem, prepare, startKey, type WeightModel } from '../problems/problem.js';
import { makeSubstitutes } from '../problems/substitutes.js';
import { classify, featureMap, labelsOf, linearClassifier } from '../train/random-features.js';
import { hiddenDenseStart } from '../train/train-network.js';
import type { CompareHooks, FinishedRun } from './compare.js';
import type { FeatureSettings } from './feature-options.js';
import type { Plan, PlannedRun } from './plan.js';

const UNTRAINED: WeightModel = {
  posterior: posteriors.point,
  estimator: 'weight-samples',
  kernelSubsample: 1,
};

/** A run without a folder. */
export interface FeatureRun extends Omit<FinishedRun, 'path'> {
  /** Accuracy of one draw: the mean over draws. */
  oneDraw: number;
}

/** @throws DwpError USAGE before any run where a run has nothing to draw from */
export async function runFeatures(plan: Plan, hooks: CompareHooks = {}): Promise<FeatureRun[]> {
  const [{ config: first }] = plan.runs;
  for (const { label, config } of plan.runs)
    if ((['data', 'dataDir', 'engine', 'threads', 'device'] as const).some((k) => config[k] !== first[k]))
      throw usageError(
        `method "${label}": all methods of random features must have the same dataset and engine`,
        'set data, dataDir, engine, threads and device in base',
      );
  const dataset = loadDataset(first.data, first.dataDir);
  const engine = await createEngine(first.engine, first.threads, first.device);
  const problems: Problem[] = [];
  for (const { config: given } of plan.runs) {
    const config = { ...given, arch: readNetwork(given.arch) };
    const substitutes = await makeSubstitutes(config, dataset.train, engine, { signal: hooks.signal });
    problems.push(prepare(config, UNTRAINED, dataset, substitutes));
  }
  const finished: FeatureRun[] = [];
  for (const [i, run] of plan.runs.entries()) {
    hooks.starting?.(run, i + 1, plan.runs.length);
    finished.push(await runOne(run, problems[i], engine, hooks));
  }
  return finished;
}

async function runOne(
  { label, config: given }: PlannedRun,
  { model, train, judged, weights, key }: Problem,
  engine: Engine,
  { signal, progress }: CompareHooks,
): Promise<FeatureRun> {
  const began = Date.now();
  const config = given as PlannedRun['config'] & FeatureSettings;
  const { images, rows } = train;
  const { classes } = model.architecture;
  const decay = typeof config.denseDecay === 'number' ? config.denseDecay : UNIT_DECAY; // of features of mean square 1
  const labels = labelsOf(images, rows);
  const all = Int32Array.from({ length: judged.count }, (_, i) => i);
  const map = await featureMap(model.architecture, images, engine);
  const predictive = new PredictiveMean(judged.count, classes);
  const singles: number[] = [];
  try {
    for (let draw = 0; draw < config.samples; draw++) {
      if (signal?.aborted)
        throw new DwpError('INTERRUPTED', `interrupted at ${label}`, 'give the command again');
      const hidden = hiddenDenseStart(model.architecture, startKey(key, draw));
      const kernels = { ...hidden, ...(await weights(engine, draw)) };
      const features = await map.features(kernels, images, rows);
      const classifier = await linearClassifier(features.values, labels, classes, decay, engine);
      const probabilities = classify(await map.features(kernels, judged, all, features), classifier);
      predictive.add(probabilities);
      singles.push(classificationMetrics(probabilities, judged.labels, classes).accuracy);
      progress?.('predicting', draw + 1, config.samples, `accuracy ${mean(singles).toFixed(4)}`);
    }
  } finally {
    await map.release();
  }
  const ensemble = predictive.metrics(judged.labels);
  const { samples: _, ...test } = ensemble;
  return {
    label,
    oneDraw: mean(singles),
    summary: {
      prior: label,
      init: initOf(config),
      examples: config.examples,
      split: config.split,
      judgedOn: config.validation > 0 ? 'validation' : 'test',
      test,
      ensemble: [ensemble],
      reliability: reliabilityBins(predictive.probabilities(), judged.labels, classes).filter(
        ({ count }) => count > 0,
      ),
      steps: 0,
      seconds: (Date.now() - began) / 1000,
    },
  };
}
