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
export const BATCH_NORM_STATISTICS = ['per-draw', 'running'] as const;
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
  data: z
    .string()
    .default('mnist')
    .describe('dataset: mnist, fashion-mnist, or any name together with --data-dir'),
  dataDir: z.string().optional().describe('folder with the four IDX files of a dataset'),
  examples: whole(1).default(100).describe('number of training examples, balanced over the classes'),
  split: whole(0).default(0).describe('selects which training examples are drawn'),
  validation: whole(0)
    .default(0)
    .describe(
      'evaluate on this many other training images instead of the test images; 0 means the test images',
    ),
  arch: z
    .union([
      z.string().refine(isArchitecture, `must be one of ${ARCHITECTURES}`),
      describedNetwork as z.ZodType<DescribedNetwork>,
    ])
    .default('lenet')
    .describe(`architecture of the network: ${ARCHITECTURES}`),
  width: real(1 / 64, 16)
    .default(1)
    .describe('factor of the numbers of channels'),
  channels: listOf(whole(1, 4096))
    .optional()
    .describe('number of channels of each convolution, instead of --width'),
  prior: z
    .enum(PRIORS)
    .default('dwp')
    .describe(
      'prior of the convolution kernels; dwp is a fitted vae, fitted accepts priors of any family, none trains without uncertainty',
    ),
  priorPath: listOf(z.string())
    .default([])
    .describe(
      'folders of fitted priors; each layer uses the one that matches its kernel size, role and inputs',
    ),
  fallback: z
    .enum(FALLBACKS)
    .default('resample')
    .describe(
      'prior of a layer that no fitted prior matches: resample (a prior of another role or size), normal (N(0, 2/(inputs·h·w))) or none (stop with an error)',
    ),
  mixPriors: z
    .enum(MIXES)
    .default('none')
    .describe(
      'several priors that match a layer equally well: none (stop with an error), equal (mix them with equal weights) or learned (mix them with learned weights)',
    ),
  adaptPrior: listOf(z.enum(ADAPTATIONS))
    .default([])
    .describe(
      'which parts of the priors of convolutions are trained jointly with the network: their scale, their latent prior ' +
        'p(z) or component weights, or their decoder',
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
      'family of the posterior: independent normals, semi-implicit mixtures, multiplicative normalising flows; or ' +
        'draws by Markov chains',
    ),
  densePrior: z
    .enum(DENSE_PRIORS)
    .default('none')
    .describe(
      'prior of the classifier: none (no uncertainty), normal (with --dense-prior-std) or fitted (the 1x1 prior of --prior-path)',
    ),
  densePriorStd: real(1e-6, 1e6).default(0.1).describe('standard deviation of --dense-prior normal'),
  bound: z
    .enum(BOUNDS)
    .default('hvi')
    .describe(
      'bound of prior and entropy: hvi (auxiliary networks, one sample), multisample (auxiliary networks, K samples), sivi ' +
        '(K samples of the latent priors) or uivi (unbiased gradients of the entropy by Markov chains)',
    ),
  boundSamples: whole(1, 1000)
    .default(10)
    .describe('number of samples K of --bound multisample, sivi and uivi'),
  boundSamplesFrom: whole(1, 1000)
    .optional()
    .describe(
      'number of samples K of the first steps; K doubles in stages of equal length up to --bound-samples',
    ),
  encoder: z
    .enum(ENCODERS)
    .default('frozen')
    .describe(
      'encoder r(z|w) of a vae prior: frozen (as fitted), trainable (trained for each layer) or local (corrected for every kernel)',
    ),
  estimator: z.enum(ESTIMATORS).default('weight-samples').describe('estimator of the likelihood term'),
  init: z
    .enum(INITS)
    .optional()
    .describe(
      'start of the convolutions: prior (samples of the prior, without the noise of a vae), samples (with the noise), ' +
        'filters (kernels of --filters) or xavier (Glorot initialisation) (default: samples, or xavier ' +
        'without a fitted prior)',
    ),
  filters: listOf(z.string()).default([]).describe('with --init filters: kernel datasets or .npy files'),
  initialLogStd: real(-20, 5).default(-5).describe('log standard deviation of the posterior at the start'),
  denseStart: z
    .union([z.literal('fitted'), real(0, 1000)], 'must be "fitted" or a number from 0 to 1000')
    .optional()
    .describe(
      'start of the classifier: fitted (to the features of the examples before training), or random, scaled by this ' +
        `factor of Glorot's standard deviation (default: fitted, or ${DENSE_START} with --init xavier or --dense-prior)`,
    ),
  components: whole(1, 1000)
    .optional()
    .describe(
      'number of networks, trained one after the other from different starts, that form the mixture posterior ' +
        `(default: ${COMPONENTS}, or 1 if a prior is learned)`,
    ),
  steps: whole(1, 100_000_000)
    .optional()
    .describe(
      `number of steps of Adam for each component, or of transitions of each chain (default: ${STEPS_PER_ROOT}·√examples, ` +
        `or ${CHAIN_STEPS} for chains)`,
    ),
  batch: whole(1, 65_536).default(50).describe('number of examples in each step'),
  learningRate: real(1e-9, 10).default(3e-3).describe('learning rate of Adam; it falls linearly to 0'),
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
  warmUp: whole(0).default(0).describe('number of steps in which the weight of the divergence rises from 0'),
  kernelSubsample: whole(1)
    .default(128)
    .describe('number of kernels of each layer in the prior term of a step'),
  weightDecay: real(0, 1e6)
    .default(0)
    .describe('with --prior none: weight λ of the penalty ½λ‖w‖² of the convolutions'),
  denseDecay: z
    .union([z.literal('auto'), real(0, 1e6)], 'must be "auto" or a number from 0 to 1000000')
    .optional()
    .describe(
      'without --dense-prior: weight λ of the penalty ½λ‖w‖² of the classifier, which is the prior N(0, 1/λ); auto means ' +
        '5 divided by the mean square of its inputs before training (default: auto, or 0 with --init xavier)',
    ),
  samples: whole(1, 10_000).default(10).describe('number of weight draws that predictions average over'),
  chains: whole(1, 64).default(2).describe('with --posterior hmc, sgld or sghmc: number of Markov chains'),
  stepSize: real(1e-12, 10)
    .optional()
    .describe(
      'step size of Markov chains, in standard deviations of the prior. hmc adapts it in the first half of the steps; ' +
        'for sgld and sghmc it is the largest step of a cycle (default: chosen in the first twentieth of the steps)',
    ),
  leapfrog: whole(1, 10_000)
    .default(20)
    .describe('with --posterior hmc: number of leapfrog steps of a transition'),
  cycles: whole(1, 10_000)
    .default(4)
    .describe('with --posterior sgld or sghmc: number of cycles of the step size'),
  seed: whole(0).default(0).describe('seed of all random numbers'),
  batchNormStatistics: z
    .enum(BATCH_NORM_STATISTICS)
    .default('per-draw')
    .describe(
      'means and variances that batch normalisation predicts with: computed from the training examples for each draw of the ' +
        'weights, or the running averages of training',
    ),
  engine: z
    .enum(ENGINES)
    .default('native')
    .describe('engine that computes: native (onnxruntime), cpu (JavaScript, slow) or tensorflow'),
  threads: whole(0, 256).default(0).describe('threads of the native engine; 0 means one per core'),
  device: z
    .enum(DEVICES)
    .default('cpu')
    .describe('device that the native engine runs on, if the installed onnxruntime supports it'),
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
