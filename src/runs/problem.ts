// From a run's configuration to everything its training needs: data, network, priors, start.
import type { Model } from '../bounds/elbo.js';
import { boundSettings } from '../bounds/settings.js';
import { type Dataset, type ImageSet, loadDataset, stratifiedSplit } from '../data/index.js';
import { type Engine, f32, foldIn, type Key, type NdArray, RandomStream, seedKey } from '../engine/index.js';
import { usageError } from '../errors.js';
import type { StatisticsSource } from '../evaluate/index.js';
import { type Kernels, readKernelDataset, sizeText } from '../kernels/index.js';
import {
  type Architecture,
  architectures,
  convLayers,
  describedArchitecture,
  type ImageShape,
  isConvolution,
  type Layer,
  namedArchitecture,
  randomLayers,
  scaledChannels,
  weightShape,
  withRandomDense,
  withSpans,
  xavier,
} from '../network/index.js';
import { posteriors } from '../posteriors/index.js';
import { isotropicNormal, type KernelPrior, kernelLength } from '../priors/index.js';
import { isSampler } from '../train/sample-network.js';
import { samplePrior } from '../train/sample-prior.js';
import { componentsOf, initOf, learnsPrior, type RunConfig, startsFromPrior } from './config.js';
import {
  adaptPriors,
  type LayerPrior,
  layerNeeds,
  layerPrior,
  readOffer,
  requireFamily,
} from './layer-priors.js';

export interface Problem {
  model: Model;
  train: { images: ImageSet; rows: Int32Array };
  /** What predictions compute statistics of batch normalisation from; without it they are the running averages. */
  statistics?: StatisticsSource;
  /** What the run is judged on. */
  judged: ImageSet;
  /** Root of all randomness of the training. */
  key: Key;
  /** Fitted priors of layers, and why they have them. */
  choices: LayerPrior[];
  /** Start of each convolution, of component 0, 1, … */
  weights(engine: Engine, component: number): Promise<Record<string, NdArray>>;
}

const sizeOf = (layer: Layer) => weightShape(layer).slice(2).join('x');

/** @throws DwpError USAGE where the network does not fit the images */
export function plainArchitecture(
  { arch, width, channels }: Pick<RunConfig, 'arch' | 'width' | 'channels'>,
  input: ImageShape,
  classes: number,
): Architecture {
  if (typeof arch === 'string') {
    const scaled = channels ?? scaledChannels(architectures.get(arch)!.channels, width);
    return namedArchitecture(arch, input, classes, scaled);
  }
  if (channels)
    throw usageError('--channels is for named architectures', 'use --width, or change the network itself');
  return describedArchitecture(arch, input, classes, width);
}

export const buildArchitecture = (
  config: RunConfig,
  { height, width, channels, classes }: ImageSet,
): Architecture => {
  const architecture = plainArchitecture(config, { height, width, channels }, classes);
  return config.densePrior === 'none' ? architecture : withRandomDense(architecture);
};

/** Rows to train on and to judge on. The draw depends on the split alone: every prior and seed sees the same ones. */
const splitOf = ({ split, examples, validation }: RunConfig, { labels, classes }: ImageSet) =>
  stratifiedSplit(labels, classes, examples, validation, foldIn(seedKey(0), 'split', split));

/** Statistics of batch normalisation: what they are computed from, where they are not the running averages. */
export const statisticsOf = (config: RunConfig, train: ImageSet): StatisticsSource | undefined =>
  config.batchNormStatistics === 'per-draw'
    ? { images: train, rows: splitOf(config, train).train }
    : undefined;

/** The posterior that `config` asks for: a point when there is no prior, and for each draw of a Markov chain. */
export const posteriorOf = ({ prior, posterior }: RunConfig) =>
  posteriors[prior === 'none' || isSampler(posterior) ? 'point' : posterior];

/**
 * @param dataset the dataset that `config` names, where it has been read already
 * @param substitutes priors of layers whose size none of the given ones has (substitutes.ts), by layer
 */
export function prepare(
  config: RunConfig,
  dataset: Dataset = loadDataset(config.data, config.dataDir),
  substitutes: Readonly<Record<string, { prior: KernelPrior }>> = {},
): Problem {
  const { train, test } = dataset;
  const network = buildArchitecture(config, train);
  const layers = convLayers(network);
  const { train: rows, validation } = splitOf(config, train);

  const fitted = config.priorPath.map(readOffer);
  const needs = layerNeeds(network);
  const chosen: Record<string, LayerPrior> = {};
  const requireFitted = ({ name }: Layer, why: string): KernelPrior => {
    chosen[name] ??= layerPrior(needs[name], fitted, why, config, substitutes[name]?.prior);
    return chosen[name].prior;
  };
  requireFamily(config, fitted);
  const priors: Record<string, KernelPrior> = {};
  for (const layer of layers) {
    const [, , h, w] = weightShape(layer);
    if (config.prior === 'standard-normal') priors[layer.name] = isotropicNormal({ h, w }, {}, 1);
    else if (config.prior !== 'none') priors[layer.name] = requireFitted(layer, `--prior ${config.prior}`);
  }
  if (config.densePrior !== 'none' && config.prior === 'none')
    throw usageError(
      `--dense-prior ${config.densePrior} cannot be used with --prior none, which trains without uncertainty`,
      'choose another --prior, or use --dense-decay',
    );
  if (config.densePrior !== 'none' && config.denseDecay)
    throw usageError(
      '--dense-decay and --dense-prior are both priors of the classifier',
      'leave one of them out',
    );
  for (const layer of randomLayers(network))
    if (!isConvolution(layer))
      priors[layer.name] =
        config.densePrior === 'fitted'
          ? requireFitted(layer, '--dense-prior fitted')
          : isotropicNormal({ h: 1, w: 1 }, {}, config.densePriorStd);
  if (config.bound === 'uivi' && !posteriorOf(config).latent)
    throw usageError(
      `--bound uivi cannot be used with ${config.prior === 'none' ? '--prior none' : `--posterior ${config.posterior}`}`,
      'this entropy needs no bound: use --posterior semi-implicit, or another --bound',
    );
  const { bound, boundSamples, boundSamplesFrom } = config;
  if (boundSamplesFrom !== undefined && (bound === 'hvi' || boundSamplesFrom > boundSamples))
    throw usageError(
      bound === 'hvi'
        ? '--bound-samples-from cannot be used with --bound hvi, which has one sample'
        : `--bound-samples-from ${boundSamplesFrom} is more than --bound-samples ${boundSamples}`,
      'it is the number of samples of the first steps, which grows to --bound-samples',
    );

  if (learnsPrior(config) && componentsOf(config) > 1)
    throw usageError(
      `--components ${config.components} cannot be used with a learned prior: every component would learn a different one`,
      'leave one of them out',
    );
  if (isSampler(config.posterior)) requireDensity(config, network);
  const learned = adaptPriors(priors, config.prior === 'none' ? [] : layers.map(({ name }) => name), config);
  requireAdaptable(config, Object.keys(learned.adapted).length > 0);
  const spans = Object.entries(priors).map(([name, { size }]) => [name, size.channels]);
  const architecture = withSpans(network, Object.fromEntries(spans));
  const init = initOf(config);
  if (startsFromPrior(config)) for (const layer of layers) requireFitted(layer, `--init ${init}`);
  const filters = init === 'filters' ? layers.map((layer) => filtersFor(layer, config.filters)) : [];
  const key = foldIn(seedKey(config.seed), 'run', config.split, config.examples);
  return {
    model: {
      architecture,
      posterior: posteriorOf(config),
      estimator: config.estimator,
      priors: learned.priors,
      ...(Object.keys(learned.adapted).length > 0 && { adapted: learned.adapted }),
      examples: config.examples,
      kernelSubsample: config.kernelSubsample,
      bound: boundSettings(config.bound, config.boundSamples, config.encoder),
    },
    train: { images: train, rows },
    statistics: statisticsOf(config, train),
    judged: config.validation > 0 ? takeImages(train, validation) : test,
    key,
    choices: Object.values(chosen),
    async weights(engine, component) {
      const startKey = foldIn(componentKey(key, component), 'start');
      const weights: Record<string, NdArray> = {};
      for (const [i, layer] of layers.entries()) {
        const layerKey = foldIn(startKey, layer.name);
        if (init === 'xavier') weights[layer.name] = xavier(layer, startKey);
        else if (init === 'filters') weights[layer.name] = drawFilters(layer, filters[i], layerKey);
        else {
          // With `prior`, as published, means start as outputs of the decoder, without the noise of p(w|z).
          const { prior } = chosen[layer.name];
          const count = weightShape(layer).reduce((a, b) => a * b) / kernelLength(prior.size);
          const kernels = await samplePrior(prior, count, engine, layerKey, init === 'prior');
          weights[layer.name] = f32(weightShape(layer), kernels);
        }
      }
      return weights;
    },
  };
}

/** Randomness of component 0, 1, …: the first has the key itself, as a run of one component. */
export const componentKey = (key: Key, component: number): Key =>
  component === 0 ? key : foldIn(key, 'component', component);

/** Randomness of everything that a component starts with, but its convolutions. */
export const startKey = (key: Key, component: number): Key => foldIn(componentKey(key, component), 'initial');

function filtersFor(layer: Layer, paths: readonly string[]): Kernels {
  if (paths.length === 0)
    throw usageError('--init filters needs --filters', 'add --filters with kernel datasets or .npy files');
  const [, inputs, h, w] = weightShape(layer);
  let reason: unknown;
  for (const size of [sizeText({ h, w, channels: inputs }), sizeOf(layer)])
    for (const path of paths)
      try {
        return readKernelDataset(path, size).train;
      } catch (error) {
        reason = error;
      }
  throw reason;
}

function drawFilters(layer: Layer, kernels: Kernels, key: Key): NdArray {
  const weights = f32(weightShape(layer));
  const d = kernelLength(kernels);
  const stream = new RandomStream(key);
  for (let at = 0; at < weights.data.length; at += d) {
    const row = stream.integer(kernels.count);
    weights.data.set(kernels.data.subarray(row * d, (row + 1) * d), at);
  }
  return weights;
}

function takeImages(set: ImageSet, rows: Int32Array): ImageSet {
  const size = set.height * set.width * set.channels;
  const images = new Uint8Array(rows.length * size);
  rows.forEach((row, i) => {
    images.set(set.images.subarray(row * size, (row + 1) * size), i * size);
  });
  return { ...set, count: rows.length, images, labels: Int32Array.from(rows, (row) => set.labels[row]) };
}

/** @throws DwpError USAGE where a network's weights have no posterior that chains could walk in */
function requireDensity(
  { posterior, prior, densePrior, temperature }: RunConfig,
  { name, layers }: Architecture,
): void {
  const norm = layers.find(({ kind }) => kind === 'batch-norm');
  if (norm)
    throw usageError(
      `--posterior ${posterior} with --arch ${name}: its layer ${norm.name} normalises over batches`,
      'so the likelihood of an image depends on the images beside it, and the weights have no posterior that chains could ' +
        'draw from; use a variational --posterior, or a network without batch normalisation',
    );
  if (prior === 'none')
    throw usageError(
      `--posterior ${posterior} cannot be used with --prior none`,
      'Markov chains draw from a posterior: choose another --prior',
    );
  if (densePrior === 'none')
    throw usageError(
      `--posterior ${posterior} also needs a prior of the classifier`,
      'add --dense-prior normal or --dense-prior fitted',
    );
  if (temperature === 0)
    throw usageError(
      `--posterior ${posterior} cannot be used with --temperature 0`,
      'the temperature must be above 0',
    );
}

/** @throws DwpError USAGE where there is nothing that could be learned of a prior */
function requireAdaptable({ adaptPrior, mixPriors, posterior, prior }: RunConfig, adapted: boolean): void {
  const option = adaptPrior.length > 0 ? `--adapt-prior ${adaptPrior.join(' ')}` : '--mix-priors learned';
  if (adaptPrior.length === 0 && mixPriors !== 'learned') return;
  if (prior === 'none')
    throw usageError(`${option} cannot be used with --prior none`, 'choose another --prior');
  if (isSampler(posterior))
    throw usageError(
      `${option} cannot be used with --posterior ${posterior}`,
      'Markov chains need a fixed prior: use a variational --posterior',
    );
  if (!adapted)
    throw usageError(
      `${option} has no effect: no layer has more than one prior that matches it`,
      'give several priors of one size with --prior-path',
    );
}
