// Draws of the weights from their posterior by Markov chains: slow, and as exact as the chains are long.
import { z } from 'zod';
import { foldIn } from '../engine/index.js';
import { usageError } from '../errors.js';
import { predictions } from '../evaluate/index.js';
import { posteriors } from '../posteriors/index.js';
import { option, real, type Settings, whole } from '../problems/option.js';
import { densePriorOptions, hasDensePrior, type ProblemConfig } from '../problems/options.js';
import type { Problem } from '../problems/problem.js';
import { type Observation, SAMPLERS, type SamplingOptions, sampleNetwork } from '../train/sample-network.js';
import {
  hasSample,
  hasState,
  readObservations,
  readSample,
  readState,
  stepOfChains,
  writeObservations,
  writeSample,
  writeState,
} from './chain-files.js';
import { chainReport } from './chain-report.js';
import { checkpointed } from './checkpointed.js';
import type { Method } from './method.js';
import { CHAIN_STEPS, posteriorOptions, stepOptions } from './options.js';
import { requireFixedPrior } from './requirements.js';

const options = {
  ...densePriorOptions,
  ...posteriorOptions,
  ...stepOptions,
  sampler: option(
    z.enum(SAMPLERS).default('hmc'),
    'method',
    '<name>',
    'Markov chains: hmc (on all examples, the reference), sgld or sghmc (on batches)',
  ),
  chains: option(whole(1, 64).default(2), 'method', '<n>', 'number of Markov chains', 'rare'),
  stepSize: option(
    real(1e-12, 10).optional(),
    'method',
    '<x>',
    'step size of Markov chains, in standard deviations of the prior. hmc adapts it in the first half of the steps; ' +
      'for sgld and sghmc it is the largest step of a cycle (default: chosen in the first twentieth of the steps)',
    'rare',
  ),
  leapfrog: option(
    whole(1, 10_000).default(20),
    'method',
    '<n>',
    'with --sampler hmc: number of leapfrog steps of a transition',
    'rare',
  ),
  cycles: option(
    whole(1, 10_000).default(4),
    'method',
    '<n>',
    'with --sampler sgld or sghmc: number of cycles of the step size',
    'rare',
  ),
};

export type ChainsConfig = ProblemConfig & Settings<typeof options>;

const samplingOptions = (config: ChainsConfig): SamplingOptions => ({
  ...config,
  method: config.sampler,
  steps: stepsOf(config),
  kept: Math.ceil(config.samples / config.chains),
});

const stepsOf = ({ steps }: ChainsConfig): number => steps ?? CHAIN_STEPS;

export const chains: Method<ChainsConfig> = {
  name: 'chains',
  summary: 'draws by Markov chains, slow',
  priors: ['dwp', 'standard-normal'],
  options,
  complete: (config) => ({ ...config, steps: stepsOf(config) }),
  model: () => ({ posterior: posteriors.point, estimator: 'weight-samples', kernelSubsample: 1 }), // of each draw
  check(config, problem) {
    requireFixedPrior('chains', config);
    requireDensity(config, problem);
  },
  start: async () => () => {}, // chains begin at draws of the prior, and the first save makes the first file
  async advance({ config, folder, problem, engine, hooks }) {
    const { model, train, judged, key } = problem;
    const sampling = samplingOptions(config);
    const start = hasState(folder) ? readState(folder, sampling) : undefined;
    const trace: Observation[] = readObservations(folder).filter(({ step }) => step <= (start?.step ?? 0));
    let latest = start;
    const save = () => {
      writeObservations(folder, trace);
      if (latest) writeState(folder, latest);
    };
    const { seconds } = await checkpointed(folder, config.checkpointEvery, save, (stepped) =>
      sampleNetwork(
        {
          model,
          images: train.images,
          rows: train.rows,
          judged,
          options: sampling,
          engine,
          key,
          from: start,
        },
        {
          signal: hooks.signal,
          observed: (observation) => trace.push(observation),
          sampled(number, parameters) {
            if (number < config.samples) writeSample(folder, number, parameters);
          },
          stepped(state, detail) {
            latest = state;
            hooks.progress?.('sampling', state.step, sampling.steps, detail);
            stepped();
          },
        },
      ),
    );
    return seconds;
  },
  steps: stepsOf,
  stepsDone: (folder) => (hasState(folder) ? stepOfChains(folder) : undefined),
  networks: (folder, { samples }, network) =>
    Array.from({ length: countOf(folder, samples) }, (_, i) => readSample(folder, i, network)),
  predictions({ config, folder, problem, engine }, samples = config.samples) {
    const count = countOf(folder, samples);
    const { model, judged, key } = problem;
    async function* draws() {
      for (let i = 0; i < count; i++)
        yield* predictions({
          network: model,
          parameters: readSample(folder, i, model),
          images: judged,
          samples: 1,
          engine,
          key: foldIn(key, 'predict'),
        });
    }
    return { count, draws: draws() };
  },
  report: async ({ config, folder }) => {
    const sampling = samplingOptions(config);
    return {
      init: 'prior',
      chains: chainReport(sampling, readObservations(folder), readState(folder, sampling)),
    };
  },
};

/**
 * How many of the kept networks are there, which are of the chains in turn: `samples` at most.
 * @throws DwpError USAGE where there is none yet
 */
function countOf(folder: string, samples: number): number {
  let count = 0;
  while (count < samples && hasSample(folder, count)) count++;
  if (count === 0)
    throw usageError(`${folder} holds no networks yet`, `continue it with dwp train --resume ${folder}`);
  return count;
}

/** @throws DwpError USAGE where a network's weights have no posterior that chains could walk in */
function requireDensity(config: ChainsConfig, { model: { architecture } }: Problem): void {
  const norm = architecture.layers.find(({ kind }) => kind === 'batch-norm');
  if (norm)
    throw usageError(
      `--method chains with --arch ${architecture.name}: its layer ${norm.name} normalises over batches`,
      'so the likelihood of an image depends on the images beside it, and the weights have no posterior that chains could ' +
        'draw from; use --method variational, or a network without batch normalisation',
    );
  if (!hasDensePrior(config))
    throw usageError(
      '--method chains also needs a prior of the classifier',
      'add --dense-prior normal or --dense-prior fitted',
    );
  if (config.temperature === 0)
    throw usageError(
      '--method chains cannot be used with --temperature 0',
      'the temperature must be above 0',
    );
}
