// Everything that decides a run, with its default and meaning. config.yaml of a run folder holds exactly this.
import { z } from 'zod';
import { BOUNDS, ENCODERS } from '../bounds/settings.js';
import { DEVICES, ENGINES } from '../engine/index.js';
import { usageError } from '../errors.js';
import { type DescribedNetwork, describedNetwork } from '../network/index.js';
import { ESTIMATORS, posteriors } from '../posteriors/index.js';
import { ADAPTATIONS } from '../priors/index.js';
import { isSampler, SAMPLERS } from '../train/sample-network.js';
import { DENSE_START } from '../train/train-network.js';
import { ARCHITECTURES, isArchitecture, readNetwork } from './network-file.js';

/** `dwp` is a fitted vae; the others that are fitted are called as their family; `fitted` is whatever there is. */
export const PRIORS = [
  'dwp',
  'mixture',
  'flow',
  'student-t',
  'scale-mixture',
  'gaussian',
  'correlated',
  'laplace',
  'normal',
  'log-uniform',
  'external',
  'fitted',
  'standard-normal',
  'none',
] as const;
export type PriorName = (typeof PRIORS)[number];
export const FALLBACKS = ['resample', 'normal', 'none'] as const;
export const MIXES = ['none', 'equal', 'learned'] as const;
export const DENSE_PRIORS = ['none', 'normal', 'fitted'] as const;
export const INITS = ['prior', 'samples', 'filters', 'xavier'] as const;

const whole = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  z.coerce
    .number()
    .int('must be a whole number')
    .min(min, `must be at least ${min}`)
    .max(max, `must be at most ${max}`);
const real = (min: number, max: number) =>
  z.coerce.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`);
const listOf = <S extends z.ZodType>(item: S) =>
  z.preprocess((v) => (v === undefined || Array.isArray(v) ? v : [v]), z.array(item));

const COMPONENTS = 10;
const STEPS_PER_ROOT = 10;
const CHAIN_STEPS = 1000;

export const runConfig = z.object({
  data: z.string().default('mnist').describe('mnist, fashion-mnist, or any name together with --data-dir'),
  dataDir: z.string().optional().describe('folder with the four IDX files of a dataset'),
  examples: whole(1).default(100).describe('training examples, the same number of each class'),
  split: whole(0).default(0).describe('number of the stratified draw of training examples'),
  validation: whole(0)
    .default(0)
    .describe('judge on this many other training images instead of the test images'),
  arch: z
    .union([
      z.string().refine(isArchitecture, `must be one of ${ARCHITECTURES}`),
      describedNetwork as z.ZodType<DescribedNetwork>,
    ])
    .default('lenet')
    .describe(`network: ${ARCHITECTURES}`),
  width: real(1 / 64, 16)
    .default(1)
    .describe("multiplies the network's numbers of channels"),
  channels: listOf(whole(1, 4096)).optional().describe('numbers of channels, instead of --width'),
  prior: z
    .enum(PRIORS)
    .default('dwp')
    .describe(
      'prior of convolution kernels; fitted uses the priors of --prior-path, none trains without uncertainty',
    ),
  priorPath: listOf(z.string())
    .default([])
    .describe('folders of fitted priors; each layer gets the one that fits it by size, role and inputs'),
  fallback: z
    .enum(FALLBACKS)
    .default('resample')
    .describe(
      'where no prior fits a layer: one of another role or size, resampled; N(0, 2/(inputs·h·w)); or an error',
    ),
  mixPriors: z
    .enum(MIXES)
    .default('none')
    .describe('priors that fit a layer equally well: refused, or mixed, with equal weights or learned ones'),
  adaptPrior: listOf(z.enum(ADAPTATIONS))
    .default([])
    .describe(
      'which parts of the priors of convolutions are trained jointly with the network: their scale, their p(z) or component ' +
        'weights, or their decoder',
    ),
  priorLearningRate: real(0, 10)
    .optional()
    .describe(
      'learning rate of the priors with --adapt-prior or --mix-priors learned (default: 0.01, or 0.0001 with --adapt-prior decoder)',
    ),
  posterior: z
    .enum([...Object.keys(posteriors).filter((name) => name !== 'point'), ...SAMPLERS])
    .default('mean-field')
    .describe(
      'family of the posterior: independent normals; mixtures of them for each kernel, each filter or a whole layer; ' +
        'normals whose means are multiplied by a flow; or none: draws of the posterior itself by Markov chains',
    ),
  densePrior: z
    .enum(DENSE_PRIORS)
    .default('none')
    .describe(
      'prior of the classifier: none trains it without uncertainty, fitted is the 1x1 prior of --prior-path',
    ),
  densePriorStd: real(1e-6, 1e6).default(0.1).describe('standard deviation of --dense-prior normal'),
  bound: z
    .enum(BOUNDS)
    .default('hvi')
    .describe(
      'auxiliary networks with one sample, with K samples, or K samples of the latent priors; uivi: as multisample, ' +
        'but gradients of the entropy by Markov chains, without a bound',
    ),
  boundSamples: whole(1, 1000).default(10).describe('K of --bound multisample, sivi and uivi'),
  boundSamplesFrom: whole(1, 1000)
    .optional()
    .describe('K of the first steps; K doubles in stages of equal length up to --bound-samples'),
  encoder: z
    .enum(ENCODERS)
    .default('frozen')
    .describe(
      'encoder r(z|w) of a vae prior: as fitted, trained for each layer, or corrected for every kernel',
    ),
  estimator: z.enum(ESTIMATORS).default('weight-samples').describe('estimate of the likelihood term'),
  init: z
    .enum(INITS)
    .optional()
    .describe(
      'start of the convolutions: drawn from the prior (of a vae the decoder means), samples of it with all their noise, ' +
        'real filters, or Glorot',
    ),
  filters: listOf(z.string()).default([]).describe('--init filters: kernel datasets or .npy files'),
  initialLogStd: real(-20, 5).default(-5).describe('log standard deviation that the posterior starts with'),
  denseStart: z
    .union([z.literal('fitted'), real(0, 1000)], 'must be "fitted" or a number from 0 to 1000')
    .optional()
    .describe(
      'start of the classifier: fitted to the features of the examples before training, or random, scaled by this factor of ' +
        `Glorot's standard deviation (default: fitted, or ${DENSE_START} with --init xavier or --dense-prior)`,
    ),
  components: whole(1, 1000)
    .optional()
    .describe(
      'number of networks, trained one after the other from different starts; the posterior is their equal mixture, ' +
        `and predictions use draws of each in turn (default: ${COMPONENTS})`,
    ),
  steps: whole(1, 100_000_000)
    .optional()
    .describe(
      `steps of Adam for each component, or transitions of each chain (default: ${STEPS_PER_ROOT}·√examples, for chains ${CHAIN_STEPS})`,
    ),
  batch: whole(1, 65_536).default(50).describe('examples per step'),
  learningRate: real(1e-9, 10).default(3e-3).describe('learning rate of Adam, falls linearly to 0'),
  encoderLearningRate: real(0, 10)
    .optional()
    .describe(
      'learning rate of the encoder r(z|w), with --encoder trainable or local (default: --learning-rate)',
    ),
  auxiliaryLearningRate: real(0, 10)
    .optional()
    .describe(
      'learning rate of s(ζ|w), the auxiliary network of a semi-implicit posterior (default: --learning-rate)',
    ),
  temperature: real(0, 1000)
    .default(0.1)
    .describe('weight of the divergence KL(q‖p) in training; reported bounds are at 1'),
  warmUp: whole(0).default(0).describe("steps over which the divergence's weight rises from 0"),
  kernelSubsample: whole(1).default(128).describe("kernels per layer in a step's prior term"),
  weightDecay: real(0, 1e6).default(0).describe('penalty ½ · this · ‖w‖² on convolutions, with --prior none'),
  denseDecay: z
    .union([z.literal('auto'), real(0, 1e6)], 'must be "auto" or a number from 0 to 1000000')
    .optional()
    .describe(
      'penalty ½ · this · ‖w‖² on a classifier without --dense-prior, the prior N(0, 1/this); auto: 5 over the mean square of its ' +
        'inputs before training (default: auto, or 0 with --init xavier)',
    ),
  samples: whole(1, 10_000).default(10).describe('draws of the weights that predictions average'),
  chains: whole(1, 64).default(2).describe('--posterior hmc, sgld, sghmc: Markov chains'),
  stepSize: real(1e-12, 10)
    .optional()
    .describe(
      'step size of chains, in standard deviations of the prior: hmc adapts it in the first half; sgld and sghmc use it as ' +
        'the largest step of a cycle, and choose it in the first twentieth if it is not given',
    ),
  leapfrog: whole(1, 10_000).default(20).describe('--posterior hmc: leapfrog steps of a transition'),
  cycles: whole(1, 10_000).default(4).describe('--posterior sgld, sghmc: cycles of the step size'),
  seed: whole(0).default(0).describe('determines every random number'),
  engine: z
    .enum(ENGINES)
    .default('native')
    .describe('what computes: onnxruntime, plain JavaScript (slow), or libtensorflow where installed'),
  threads: whole(0, 256).default(0).describe('threads of the native engine; 0 for one per core'),
  device: z.enum(DEVICES).default('cpu').describe('what the native engine runs on'),
  checkpointEvery: real(0, 86_400).default(10).describe('seconds between checkpoints'),
});

export type RunConfig = z.infer<typeof runConfig>;

/** Steps of each component, or of each chain. docs/networks.md says where the default comes from. */
export const stepsOf = ({ steps, posterior, examples }: RunConfig): number =>
  steps ?? (isSampler(posterior) ? CHAIN_STEPS : Math.round(STEPS_PER_ROOT * Math.sqrt(examples)));

/** Whether parameters of the prior are learned on the target. */
export const learnsPrior = ({ adaptPrior, mixPriors }: RunConfig): boolean =>
  adaptPrior.length > 0 || mixPriors === 'learned';

/** M of (120). Chains have no components, and a prior is learned with one. */
export const componentsOf = (config: RunConfig): number =>
  isSampler(config.posterior) ? 1 : (config.components ?? (learnsPrior(config) ? 1 : COMPONENTS));

/** Where the convolutions start when nothing is said: at samples of a fitted prior if there is one. */
export const initOf = (config: RunConfig): (typeof INITS)[number] =>
  config.init ?? (config.priorPath.length > 0 && config.prior !== 'standard-normal' ? 'samples' : 'xavier');

/** Whether convolutions start at draws of fitted priors, which `--prior none` and `standard-normal` need then, too. */
export const startsFromPrior = (config: RunConfig): boolean => ['prior', 'samples'].includes(initOf(config));

/**
 * Whether the classifier's prior and start look at its inputs before training: where convolutions start at kernels. Glorot-initialised
 * features carry no information yet.
 */
const looksAtFeatures = (config: RunConfig): boolean =>
  config.densePrior === 'none' && !isSampler(config.posterior) && initOf(config) !== 'xavier';

export const denseDecayOf = (config: RunConfig): number | 'auto' =>
  config.denseDecay ?? (looksAtFeatures(config) ? 'auto' : 0);

export const denseStartOf = (config: RunConfig): number | 'fitted' =>
  config.denseStart ?? (looksAtFeatures(config) ? 'fitted' : DENSE_START);

/** @throws DwpError USAGE where a run has not come to its end */
export function requireFinished(
  run: string,
  config: RunConfig,
  { component, step }: { component: number; step: number },
): void {
  const [steps, components] = [stepsOf(config), componentsOf(config)];
  if (step < steps || component < components - 1)
    throw usageError(
      `${run} has stopped at step ${component * steps + step} of ${components * steps}`,
      `continue it with dwp train --resume ${run}`,
    );
}

/**
 * Nothing is left to a default, or to a file of a network, that might be another one later.
 * @throws DwpError where the file describes no network
 */
export const withDefaults = (config: RunConfig): RunConfig => ({
  ...config,
  arch: readNetwork(config.arch),
  components: componentsOf(config),
  steps: stepsOf(config),
  denseStart: denseStartOf(config),
  denseDecay: denseDecayOf(config),
});
