// The evidence lower bound (7) of a posterior q(W) of one's choice, maximised by Adam; with components a mixture of such
// posteriors (120).
import { z } from 'zod';
import { BOUNDS, boundSettings, ENCODERS } from '../bounds/settings.js';
import { foldIn } from '../engine/index.js';
import { usageError } from '../errors.js';
import { ESTIMATORS, posteriors } from '../posteriors/index.js';
import { ADAPTATIONS } from '../priors/index.js';
import { listOf, option, real, type Settings, whole } from '../problems/option.js';
import { densePriorOptions, hasDensePrior, type ProblemConfig, startOptions } from '../problems/options.js';
import { adaptedPrior } from '../train/auxiliary.js';
import { finalBound } from '../train/final-bound.js';
import type { Method } from './method.js';
import { adamOptions, componentsByStart, posteriorOptions } from './options.js';
import { requireTrainable, trainedNetworks } from './trained-networks.js';

const boundOptions = {
  bound: option(
    z.enum(BOUNDS).default('hvi'),
    'method',
    '<name>',
    'bound of prior and entropy: hvi (auxiliary networks, one sample), multisample (auxiliary networks, K samples), sivi ' +
      '(K samples of the latent priors) or uivi (unbiased gradients of the entropy)',
  ),
  boundSamples: option(
    whole(1, 1000).default(10),
    'method',
    '<K>',
    'number of samples K of --bound multisample, sivi and uivi',
    'rare',
  ),
  boundSamplesFrom: option(
    whole(1, 1000).optional(),
    'method',
    '<K>',
    'number of samples K of the first steps; K doubles in stages of equal length up to --bound-samples',
    'rare',
  ),
  encoder: option(
    z.enum(ENCODERS).default('frozen'),
    'method',
    '<kind>',
    'encoder r(z|w) of a vae prior: frozen (as fitted), trainable (trained for each layer) or local (corrected for every kernel)',
    'rare',
  ),
  encoderLearningRate: option(
    real(0, 10).optional(),
    'method',
    '<x>',
    'learning rate of the encoder r(z|w), with --encoder trainable or local (default: --learning-rate)',
    'rare',
  ),
  auxiliaryLearningRate: option(
    real(0, 10).optional(),
    'method',
    '<x>',
    'learning rate of s(ζ|w), the auxiliary network of a semi-implicit posterior (default: --learning-rate)',
    'rare',
  ),
};

const learnedPriorOptions = {
  adaptPrior: option(
    listOf(z.enum(ADAPTATIONS)).default([]),
    'prior',
    '<parts...>',
    'which parts of the priors of convolutions are trained jointly with the network: their scale, their latent prior ' +
      'p(z) or component weights, or their decoder',
    'rare',
  ),
  priorLearningRate: option(
    real(0, 10).optional(),
    'prior',
    '<x>',
    'learning rate of the priors with --adapt-prior or --mix-priors learned (default: 0.01, or 0.0001 with --adapt-prior decoder)',
    'rare',
  ),
};

const options = {
  ...densePriorOptions,
  ...learnedPriorOptions,
  posterior: option(
    z.enum(Object.keys(posteriors).filter((name) => name !== 'point')).default('mean-field'),
    'method',
    '<name>',
    'family of the posterior: independent normals, semi-implicit mixtures, or normalising flows',
  ),
  ...boundOptions,
  estimator: option(
    z.enum(ESTIMATORS).default('weight-samples'),
    'method',
    '<name>',
    'estimator of the likelihood term',
    'rare',
  ),
  ...startOptions,
  initialLogStd: option(
    real(-20, 5).default(-5),
    'method',
    '<x>',
    'log standard deviation of the posterior at the start',
    'rare',
  ),
  ...adamOptions,
  ...posteriorOptions,
  warmUp: option(
    whole(0).default(0),
    'method',
    '<n>',
    'number of steps in which the weight of the divergence rises from 0',
    'rare',
  ),
  kernelSubsample: option(
    whole(1).default(128),
    'method',
    '<n>',
    'number of kernels of each layer in the prior term of a step',
    'rare',
  ),
};

export type VariationalConfig = ProblemConfig & Settings<typeof options>;

/** Whether parameters of the prior are learned on the target. */
const learnsPrior = ({ adaptPrior, mixPriors }: VariationalConfig): boolean =>
  adaptPrior.length > 0 || mixPriors === 'learned';

/** A prior is learned with one network. */
const componentsOf = (config: VariationalConfig): number =>
  config.components ?? (learnsPrior(config) ? 1 : componentsByStart(config));

/** A scale or a weight has far to go, a decoder is nearly right. */
const priorRateOf = (config: VariationalConfig): number | undefined =>
  config.priorLearningRate ??
  (learnsPrior(config) ? (config.adaptPrior.includes('decoder') ? 1e-4 : 1e-2) : undefined);

const ratesOf = (config: VariationalConfig) => ({
  learningRate: config.learningRate,
  encoderLearningRate: config.encoderLearningRate,
  auxiliaryLearningRate: config.auxiliaryLearningRate,
  priorLearningRate: priorRateOf(config),
});

const training = trainedNetworks<VariationalConfig>({
  components: componentsOf,
  networkOptions: (config) => ({
    ...ratesOf(config),
    batch: config.batch,
    boundSamplesFrom: config.boundSamplesFrom,
    temperature: config.temperature,
    warmUp: config.warmUp,
    weightDecay: 0, // the prior takes its place
  }),
  initialLogStd: ({ initialLogStd }) => initialLogStd,
  samples: ({ samples }) => samples,
});

export const variational: Method<VariationalConfig> = {
  name: 'variational',
  summary: 'a posterior, by a bound of the evidence',
  priors: ['dwp', 'standard-normal'],
  options,
  ...training,
  model: (config) => ({
    posterior: posteriors[config.posterior],
    estimator: config.estimator,
    kernelSubsample: config.kernelSubsample,
    bound: boundSettings(config.bound, config.boundSamples, config.encoder),
    adaptPrior: config.adaptPrior,
  }),
  check(config, problem) {
    requireOnePriorOfClassifier(config);
    requireBound(config);
    requireLearnable(config, problem.model.adapted !== undefined);
    requireTrainable(problem.model, ratesOf(config), problem);
  },
  async report({ folder, config, problem, engine }) {
    const { model, train, key, statistics } = problem;
    const networks = training.networks(folder, config, model);
    const boundKey = foldIn(key, 'bound');
    return {
      bound: await finalBound({
        model,
        images: train.images,
        rows: train.rows,
        components: networks,
        engine,
        key: boundKey,
        statistics,
      }),
      adapted: Object.fromEntries(
        Object.keys(model.adapted ?? {}).map((layer) => [
          layer,
          adaptedPrior(model, layer, networks.at(-1)!),
        ]),
      ),
    };
  },
};

/** @throws DwpError USAGE where the classifier has two */
function requireOnePriorOfClassifier(config: VariationalConfig): void {
  if (hasDensePrior(config) && config.denseDecay)
    throw usageError(
      '--dense-decay and --dense-prior are both priors of the classifier',
      'leave one of them out',
    );
}

/** @throws DwpError USAGE for a bound that the posterior has no use for, or numbers of samples that do not grow */
function requireBound({ bound, posterior, boundSamples, boundSamplesFrom }: VariationalConfig): void {
  if (bound === 'uivi' && !posteriors[posterior].latent)
    throw usageError(
      `--bound uivi cannot be used with --posterior ${posterior}`,
      'this entropy needs no bound: use --posterior semi-implicit, or another --bound',
    );
  if (boundSamplesFrom !== undefined && (bound === 'hvi' || boundSamplesFrom > boundSamples))
    throw usageError(
      bound === 'hvi'
        ? '--bound-samples-from cannot be used with --bound hvi, which has one sample'
        : `--bound-samples-from ${boundSamplesFrom} is more than --bound-samples ${boundSamples}`,
      'it is the number of samples of the first steps, which grows to --bound-samples',
    );
}

/** @throws DwpError USAGE where there is nothing that could be learned of a prior, or several networks would learn it */
function requireLearnable(config: VariationalConfig, adapted: boolean): void {
  if (!learnsPrior(config)) return;
  if (componentsOf(config) > 1)
    throw usageError(
      `--components ${config.components} cannot be used with a learned prior: every component would learn a different one`,
      'leave one of them out',
    );
  const { adaptPrior } = config;
  if (!adapted)
    throw usageError(
      `${adaptPrior.length > 0 ? `--adapt-prior ${adaptPrior.join(' ')}` : '--mix-priors learned'} has no effect: no layer ` +
        'has more than one prior that matches it',
      'give several priors of one size with --prior-path',
    );
}
