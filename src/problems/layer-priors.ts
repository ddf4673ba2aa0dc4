// The fitted priors of a run's layers: read from their folders, and chosen layer by layer.

import { usageError } from '../errors.js';
import type { LayerKind } from '../importers/index.js';
import { heStd, roleOf, sizeText } from '../kernels/index.js';
import {
  type Architecture,
  convLayers,
  inputChannels,
  type Layer,
  randomLayers,
  weightShape,
} from '../network/index.js';
import {
  choosePrior,
  chooseSubstitute,
  type LayerNeed,
  nothingFits,
  type PriorOffer,
} from '../prior-folders/choose-prior.js';
import { readPriorFolder } from '../prior-folders/prior-folder.js';
import {
  type Adaptation,
  type Arrays,
  adaptPrior,
  isotropicNormal,
  type KernelPrior,
  LOG_SCALE,
  LOG_WEIGHT,
  makePrior,
  mixPriors,
  scalePrior,
} from '../priors/index.js';
import type { ProblemConfig } from './options.js';

/** A fitted prior at hand. */
export interface FittedPrior extends PriorOffer {
  prior: KernelPrior;
}

/** What a layer got, and why. */
export interface LayerPrior {
  need: LayerNeed;
  prior: KernelPrior;
  /** Of the prior before it is brought to the layer's scale. */
  family: string;
  /** What it is made of: one, several that are mixed, none where it is a normal. */
  offers: PriorOffer[];
  reason: string;
  /** Not made for such a layer: a fallback. */
  substitute?: boolean;
}

/** What a summary says of it. */
export interface LayerPriorReport {
  layer: string;
  size: string;
  role?: string;
  inputs: number;
  family: string;
  paths: string[];
  reason: string;
  substitute?: true;
  /** What was learned of it: its scale s, and the weights of a mixture of priors in the order of `paths`. */
  learned?: { scale?: number; weights?: number[] };
}

export function readOffer(path: string): FittedPrior {
  const { prior, about } = readPriorFolder(path);
  return { path, prior, size: prior.size, ...(about.units && { units: about.units }), ...about.layers };
}

/** What an importer would call a convolution. */
function importedKind(layer: Layer): LayerKind {
  if (layer.kind === 'transposed-conv') return 'transposed';
  const [, inputs] = weightShape(layer);
  return inputs === 1 && inputChannels(layer) > 1 ? 'depthwise' : 'conv';
}

/** What each layer with random weights asks of its prior, by name. */
export function layerNeeds(architecture: Architecture): Record<string, LayerNeed> {
  const convolutions = convLayers(architecture);
  return Object.fromEntries(
    [...convolutions, ...randomLayers(architecture)].map((layer): [string, LayerNeed] => {
      const [, inputs, h, w] = weightShape(layer);
      const index = convolutions.findIndex(({ name }) => name === layer.name);
      const role =
        index >= 0
          ? roleOf({ kind: importedKind(layer), shape: [...weightShape(layer)] }, index, convolutions.length)
          : undefined;
      return [layer.name, { name: layer.name, size: { h, w }, ...(role && { role }), inputs }];
    }),
  );
}

/**
 * @param why who asks, such as `--prior dwp`
 * @param substitute a prior of the layer's size, made of another one, where that is what the layer gets
 * @throws DwpError USAGE when none fits, or several do equally well
 */
export function layerPrior(
  need: LayerNeed,
  offers: readonly FittedPrior[],
  why: string,
  { fallback, mixPriors: mix }: Pick<ProblemConfig, 'fallback' | 'mixPriors'>,
  substitute?: KernelPrior,
): LayerPrior {
  const choice = choosePrior(need, offers, mix !== 'none');
  if (choice) {
    const priors = choice.offers.map((offer) => inWeights(offer.prior, offer, need));
    const equal = priors.map(() => 1);
    const prior = priors.length > 1 ? mixPriors(priors, equal) : priors[0];
    const family = priors.length > 1 ? prior.family : choice.offers[0].prior.family;
    return { need, ...choice, prior, family };
  }
  const { h, w } = need.size;
  if (fallback === 'normal') {
    const std = heStd([1, need.inputs, h, w]); // He et al. 2015
    const prior = isotropicNormal({ h, w }, {}, std);
    return {
      need,
      prior,
      family: prior.family,
      offers: [],
      reason: `no given prior fits its ${sizeText(need.size)} kernels: N(0, σ²) by He's rule, σ = √(2/(inputs·h·w)) = ${std.toPrecision(3)}`,
      substitute: true,
    };
  }
  const other = fallback === 'resample' ? chooseSubstitute(need, offers) : undefined;
  if (!other) throw nothingFits(need, offers, why);
  const { offers: from, reason, resampled } = other;
  const prior = resampled ? substitute : from[0].prior;
  if (!prior)
    throw usageError(
      `the resampled prior of layer ${need.name} is not in the run's folder`,
      'start the run again',
    );
  return {
    need,
    prior: inWeights(prior, from[0], need),
    family: prior.family,
    offers: from,
    reason,
    substitute: true,
  };
}

/** (140) A prior of kernels in units of their layer, at the scale of He's start of this one. */
const inWeights = (prior: KernelPrior, { units }: PriorOffer, { inputs, size: { h, w } }: LayerNeed) =>
  units === undefined ? prior : scalePrior(prior, Math.log(heStd([1, inputs, h, w])));

/**
 * Priors of convolutions with what is learned of them, and the names of that.
 * @throws DwpError USAGE where a family has no such part
 */
export function adaptPriors(
  priors: Readonly<Record<string, KernelPrior>>,
  layers: readonly string[],
  parts: readonly Adaptation[],
  mix: ProblemConfig['mixPriors'],
): { priors: Record<string, KernelPrior>; adapted: Record<string, string[]> } {
  const result = { priors: { ...priors }, adapted: {} as Record<string, string[]> };
  const rebuild = (prior: KernelPrior, parameters: Arrays) => makePrior(prior, prior.size, parameters);
  for (const layer of layers) {
    const prior = priors[layer];
    const weights = mix === 'learned' && prior.family === 'mixed' ? (['weights'] as const) : [];
    const { prior: adapted, names } = adaptPrior(prior, [...weights, ...parts], rebuild);
    if (names.length === 0) continue;
    result.priors[layer] = adapted;
    result.adapted[layer] = names;
  }
  return result;
}

/** @param adapted the prior as it is after training, and which of its parameters were learned */
export const reportOf = (
  { need, family, offers, reason, substitute }: LayerPrior,
  adapted?: { prior: KernelPrior; names: readonly string[] },
): LayerPriorReport => ({
  layer: need.name,
  size: sizeText(need.size),
  ...(need.role && { role: need.role }),
  inputs: need.inputs,
  family,
  paths: offers.map(({ path }) => path),
  reason,
  ...(substitute && { substitute }),
  ...(adapted && { learned: learnedOf(adapted.prior.parameters, adapted.names) }),
});

function learnedOf(parameters: Arrays, names: readonly string[]): { scale?: number; weights?: number[] } {
  const own = [LOG_WEIGHT, `base.${LOG_WEIGHT}`].find((name) => names.includes(name));
  const weights = own === undefined ? undefined : Array.from(parameters[own].data, Math.exp);
  const total = weights?.reduce((a, b) => a + b, 0) ?? 1;
  return {
    ...(names.includes(LOG_SCALE) && { scale: Math.exp(parameters[LOG_SCALE].data[0]) }),
    ...(weights && { weights: weights.map((x) => x / total) }),
  };
}

/** Layers that are named in one line; of more, the first and the last. */
const MOST_NAMED = 4;

/** A line for a person for each prior, with the layers that have it; those of layers that no prior was made for apart. */
export function choiceLines(reports: readonly LayerPriorReport[]): { line: string; substitute: boolean }[] {
  const layers = new Map<string, { names: string[]; substitute: boolean }>();
  for (const { layer, family, paths, reason, substitute = false } of reports) {
    const text = `${family} prior${paths.length > 0 ? ` ${paths.join(' + ')}` : ''} (${reason})`;
    const known = layers.get(text);
    if (known) known.names.push(layer);
    else layers.set(text, { names: [layer], substitute });
  }
  return [...layers].map(([text, { names, substitute }]) => {
    const shown =
      names.length > MOST_NAMED ? `${names.length} layers, ${names[0]} to ${names.at(-1)}` : names.join(', ');
    return { line: `${shown}: ${text}`, substitute };
  });
}
