// What a run is about, whatever its method: images, network, priors, and the machine. A method adds options of its own.
import { z } from 'zod';
import { DEVICES, ENGINES } from '../engine/index.js';
import { type DescribedNetwork, describedNetwork } from '../network/index.js';
import { shippedPriors } from '../prior-folders/shipped.js';
import { ARCHITECTURES, isArchitecture } from './network-file.js';
import { listOf, option, real, type Settings, whole } from './option.js';

/** `dwp` is a prior that was fitted to kernels, of any family. */
export const PRIORS = ['dwp', 'standard-normal', 'none'] as const;
export type PriorName = (typeof PRIORS)[number];
export const FALLBACKS = ['resample', 'normal', 'none'] as const;
export const MIXES = ['none', 'equal', 'learned'] as const;
export const DENSE_PRIORS = ['none', 'normal', 'fitted'] as const;
export const BATCH_NORM_STATISTICS = ['per-draw', 'running'] as const;
export const INITS = ['prior', 'samples', 'filters', 'model', 'xavier'] as const;

export const imageOptions = {
  data: option(
    z.string().default('mnist'),
    'data',
    '<name>',
    'dataset: mnist, fashion-mnist, or any name together with --data-dir',
  ),
  dataDir: option(z.string().optional(), 'data', '<dir>', 'folder with the four IDX files of a dataset'),
  examples: option(
    whole(1).default(100),
    'data',
    '<n>',
    'number of training examples, balanced over the classes',
  ),
  split: option(whole(0).default(0), 'data', '<s>', 'selects which training examples are drawn'),
  validation: option(
    whole(0).default(0),
    'data',
    '<n>',
    'evaluate on this many other training images; 0 means the test images',
  ),
};

export const networkOptions = {
  arch: option(
    z
      .union([
        z.string().refine(isArchitecture, `must be one of ${ARCHITECTURES}`),
        describedNetwork as z.ZodType<DescribedNetwork>,
      ])
      .default('lenet'),
    'network',
    '<name>',
    `architecture of the network: ${ARCHITECTURES}`,
  ),
  width: option(real(1 / 64, 16).default(1), 'network', '<x>', 'factor of the numbers of channels'),
  channels: option(
    listOf(whole(1, 4096)).optional(),
    'network',
    '<n...>',
    'number of channels of each convolution, instead of --width',
    'rare',
  ),
  batchNormStatistics: option(
    z.enum(BATCH_NORM_STATISTICS).default('per-draw'),
    'network',
    '<kind>',
    'means and variances that batch normalisation predicts with: computed from the training examples for each draw of the ' +
      'weights, or the running averages of training',
    'rare',
  ),
};

export const priorOptions = {
  prior: option(
    z.preprocess((name) => (name === 'fitted' ? 'dwp' : name), z.enum(PRIORS)),
    'prior',
    '<name>',
    'prior of the kernels: dwp (fitted priors: those of --prior-path, else those that ship), standard-normal, or none, with --method point (default: dwp)',
  ),
  priorPath: option(
    listOf(z.string()).default([]),
    'prior',
    '<dirs...>',
    'folders of fitted priors, or names of those that ship, such as shipped:3x3-inner; each layer uses the one that matches its kernel size, role and inputs',
  ),
  fallback: option(
    z.enum(FALLBACKS).default('resample'),
    'prior',
    '<kind>',
    'prior of a layer that no fitted prior matches: resample (a prior of another role or size), normal (N(0, 2/(inputs·h·w))) or none (stop with an error)',
  ),
  mixPriors: option(
    z.enum(MIXES).default('none'),
    'prior',
    '<kind>',
    'several priors that match a layer equally well: none (stop with an error), equal (mix them with equal weights) or learned (mix them with learned weights)',
    'rare',
  ),
};

export const machineOptions = {
  seed: option(whole(0).default(0), 'training', '<n>', 'seed of all random numbers'),
  engine: option(
    z.enum(ENGINES).default('native'),
    'training',
    '<name>',
    'engine that computes: native (onnxruntime), cpu (JavaScript, slow) or tensorflow',
    'rare',
  ),
  threads: option(whole(0, 256).default(0), 'training', '<n>', 'threads; 0 means one per core'),
  device: option(
    z.enum(DEVICES).default('cpu'),
    'training',
    '<name>',
    'device that the native engine runs on, if the installed onnxruntime supports it',
    'rare',
  ),
  checkpointEvery: option(
    real(0, 86_400).default(10),
    'output',
    '<seconds>',
    'seconds between checkpoints',
    'rare',
  ),
};

export const problemOptions = { ...imageOptions, ...networkOptions, ...priorOptions, ...machineOptions };

/** Priors of dense layers, of methods that have them. */
export const densePriorOptions = {
  densePrior: option(
    z.enum(DENSE_PRIORS).default('none'),
    'prior',
    '<kind>',
    'prior of the classifier: none (no uncertainty), normal (with --dense-prior-std) or fitted (the 1x1 prior of --prior-path)',
  ),
  densePriorStd: option(
    real(1e-6, 1e6).default(0.1),
    'prior',
    '<x>',
    'standard deviation of --dense-prior normal',
    'rare',
  ),
};

/** Where convolutions start, of methods that move from a start. */
export const startOptions = {
  init: option(
    z.enum(INITS).optional(),
    'network',
    '<kind>',
    'start of the convolutions: prior (samples of the prior, without the noise of a vae), samples (with the noise), ' +
      'filters (kernels of --filters), model (all weights of --arch model.onnx) or xavier (Glorot) ' +
      '(default: samples, or xavier without a fitted prior)',
  ),
  filters: option(
    listOf(z.string()).default([]),
    'network',
    '<paths...>',
    'with --init filters: kernel datasets or .npy files',
    'rare',
  ),
};

/** What every run says, and what only some methods let one say. */
export type ProblemConfig = Settings<typeof problemOptions> &
  Partial<Settings<typeof densePriorOptions> & Settings<typeof startOptions>>;

type Start = Pick<ProblemConfig, 'init' | 'priorPath' | 'prior'>;

/** Where the convolutions start when nothing is said: at samples of a fitted prior if there is one. */
export const initOf = (start: Start): (typeof INITS)[number] =>
  start.init ?? (priorPaths(start).length > 0 && start.prior !== 'standard-normal' ? 'samples' : 'xavier');

/** Folders of the fitted priors at hand: those that ship where one is needed and none are named. */
export const priorPaths = ({ priorPath, prior, init }: Start): string[] =>
  priorPath.length === 0 && (prior === 'dwp' || init === 'prior' || init === 'samples')
    ? shippedPriors()
    : priorPath;

/** Whether convolutions start at draws of fitted priors, which `--prior none` and `standard-normal` need then, too. */
export const startsFromPrior = (config: Start): boolean => ['prior', 'samples'].includes(initOf(config));

/** Whether parts of the network other than convolutions have a prior. */
export const hasDensePrior = ({ densePrior = 'none' }: Pick<ProblemConfig, 'densePrior'>): boolean =>
  densePrior !== 'none';
