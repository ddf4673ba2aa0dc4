// From a run's configuration to everything its training needs: data, network, priors, start.
import type { Model } from '../bounds/elbo.js';
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
  parameterKey,
  randomLayers,
  scaledChannels,
  weightShape,
  withRandomDense,
  withSpans,
  xavier,
} from '../network/index.js';
import {
  type Adaptation,
  type Arrays,
  isotropicNormal,
  type KernelPrior,
  kernelLength,
} from '../priors/index.js';
import { samplePrior } from '../train/sample-prior.js';
import { adaptPriors, type LayerPrior, layerNeeds, layerPrior, readOffer } from './layer-priors.js';
import { modelFile, storedArrays } from './model-start.js';
import { hasDensePrior, initOf, type ProblemConfig, priorPaths, startsFromPrior } from './options.js';

/** What a method makes of a network's weights. */
export interface WeightModel extends Pick<Model, 'posterior' | 'estimator' | 'kernelSubsample' | 'bound'> {
  /** Parts of the priors of convolutions that are learned along. */
  adaptPrior?: readonly Adaptation[];
}

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
  /** With --init model what the network's file holds, `layer.part`: see {@link storedArrays}. Read when it is asked for. */
  stored(): Arrays;
}

/** @throws DwpError USAGE where the network does not fit the images */
export function plainArchitecture(
  { arch, width, channels }: Pick<ProblemConfig, 'arch' | 'width' | 'channels'>,
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
  config: ProblemConfig,
  { height, width, channels, classes }: ImageSet,
): Architecture => {
  const architecture = plainArchitecture(config, { height, width, channels }, classes);
  return hasDensePrior(config) ? withRandomDense(architecture) : architecture;
};

/** Rows to train on and to judge on. The draw depends on the split alone: every prior and seed sees the same ones. */
const splitOf = ({ split, examples, validation }: ProblemConfig, { labels, classes }: ImageSet) =>
  stratifiedSplit(labels, classes, examples, validation, foldIn(seedKey(0), 'split', split));

/** Statistics of batch normalisation: what they are computed from, where they are not the running averages. */
export const statisticsOf = (config: ProblemConfig, train: ImageSet): StatisticsSource | undefined =>
  config.batchNormStatistics === 'per-draw'
    ? { images: train, rows: splitOf(config, train).train }
    : undefined;

/**
 * @param weights what the run's method makes of them
 * @param dataset the dataset that `config` names, where it has been read already
 * @param substitutes priors of layers whose size none of the given ones has (substitutes.ts), by layer
 * @throws DwpError USAGE where network, images and priors do not fit together
 */
export function prepare(
  config: ProblemConfig,
  weights: WeightModel,
  dataset: Dataset = loadDataset(config.data, config.dataDir),
  substitutes: Readonly<Record<string, { prior: KernelPrior }>> = {},
): Problem {
  modelFile(config); // or refuses networks without one
  const { train, test } = dataset;
  const network = buildArchitecture(config, train);
  const convolutions = convLayers(network);
  const { train: rows, validation } = splitOf(config, train);
  const { priors, choices } = priorsOf(config, network, substitutes);
  const withPrior = convolutions.map(({ name }) => name).filter((name) => priors[name]);
  const learned = adaptPriors(priors, withPrior, weights.adaptPrior ?? [], config.mixPriors);
  const spans = Object.entries(priors).map(([name, { size }]) => [name, size.channels]);
  const key = foldIn(seedKey(config.seed), 'run', config.split, config.examples);
  const { posterior, estimator, kernelSubsample, bound } = weights;
  let read: Arrays | undefined;
  const stored = () => {
    read ??= storedArrays(config, network);
    return read;
  };
  return {
    model: {
      ...{ posterior, estimator, kernelSubsample, bound },
      architecture: withSpans(network, Object.fromEntries(spans)),
      priors: learned.priors,
      ...(Object.keys(learned.adapted).length > 0 && { adapted: learned.adapted }),
      examples: config.examples,
    },
    train: { images: train, rows },
    statistics: statisticsOf(config, train),
    judged: config.validation > 0 ? takeImages(train, validation) : test,
    key,
    choices: Object.values(choices),
    weights: startOfConvolutions(config, convolutions, choices, key, stored),
    stored,
  };
}

/** The prior of each random layer by its name, and why fitted ones are what they are: of starts, too. */
function priorsOf(
  config: ProblemConfig,
  network: Architecture,
  substitutes: Readonly<Record<string, { prior: KernelPrior }>>,
): { priors: Record<string, KernelPrior>; choices: Record<string, LayerPrior> } {
  const offers = priorPaths(config).map(readOffer);
  const needs = layerNeeds(network);
  const choices: Record<string, LayerPrior> = {};
  const fitted = ({ name }: Layer, why: string): KernelPrior => {
    choices[name] ??= layerPrior(needs[name], offers, why, config, substitutes[name]?.prior);
    return choices[name].prior;
  };
  const priors: Record<string, KernelPrior> = {};
  for (const layer of convLayers(network)) {
    const [, , h, w] = weightShape(layer);
    if (config.prior === 'standard-normal') priors[layer.name] = isotropicNormal({ h, w }, {}, 1);
    else if (config.prior === 'dwp') priors[layer.name] = fitted(layer, '--prior dwp');
  }
  for (const layer of randomLayers(network))
    if (!isConvolution(layer))
      priors[layer.name] =
        config.densePrior === 'fitted'
          ? fitted(layer, '--dense-prior fitted')
          : isotropicNormal({ h: 1, w: 1 }, {}, config.densePriorStd!);
  if (startsFromPrior(config))
    for (const layer of convLayers(network)) fitted(layer, `--init ${initOf(config)}`);
  return { priors, choices };
}

/** With `--init prior`, as published, means start as outputs of the decoder, without the noise of p(w|z). */
function startOfConvolutions(
  config: ProblemConfig,
  convolutions: readonly Layer[],
  choices: Readonly<Record<string, LayerPrior>>,
  key: Key,
  stored: Problem['stored'],
): Problem['weights'] {
  const init = initOf(config);
  const filters = init === 'filters' ? convolutions.map((layer) => filtersFor(layer, config.filters)) : [];
  return async (engine, component) => {
    const startKey = foldIn(componentKey(key, component), 'start');
    const weights: Record<string, NdArray> = {};
    for (const [i, layer] of convolutions.entries()) {
      const layerKey = foldIn(startKey, layer.name);
      if (init === 'xavier') weights[layer.name] = xavier(layer, startKey);
      else if (init === 'model')
        weights[layer.name] = stored()[parameterKey(layer, 'weights')] ?? xavier(layer, startKey);
      else if (init === 'filters') weights[layer.name] = drawFilters(layer, filters[i], layerKey);
      else {
        const { prior } = choices[layer.name];
        const count = weightShape(layer).reduce((a, b) => a * b) / kernelLength(prior.size);
        const kernels = await samplePrior(prior, count, engine, layerKey, init === 'prior');
        weights[layer.name] = f32(weightShape(layer), kernels);
      }
    }
    return weights;
  };
}

/** Randomness of component 0, 1, …: the first has the key itself, as a run of one component. */
export const componentKey = (key: Key, component: number): Key =>
  component === 0 ? key : foldIn(key, 'component', component);

/** Randomness of everything that a component starts with, but its convolutions. */
export const startKey = (key: Key, component: number): Key => foldIn(componentKey(key, component), 'initial');

function filtersFor(layer: Layer, paths: readonly string[] = []): Kernels {
  if (paths.length === 0)
    throw usageError('--init filters needs --filters', 'add --filters with kernel datasets or .npy files');
  const [, inputs, h, w] = weightShape(layer);
  let reason: unknown;
  for (const size of [sizeText({ h, w, channels: inputs }), sizeText({ h, w })])
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
