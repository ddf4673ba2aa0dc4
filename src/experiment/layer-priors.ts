// The fitted priors of a run's layers: read from their folders, and chosen layer by layer.
import { roleOf } from '../kernels/index.js';
import { type Architecture, convLayers, kernelShape, randomLayers } from '../nn/index.js';
import type { KernelPrior } from '../priors/index.js';
import { choosePrior, type LayerNeed, nothingFits, type PriorOffer, sizeText } from './choose-prior.js';
import { readPriorFolder } from './prior-folder.js';

/** A fitted prior at hand. */
export interface FittedPrior extends PriorOffer {
  prior: KernelPrior;
}

/** What a layer got, and why. */
export interface LayerPrior {
  need: LayerNeed;
  prior: KernelPrior;
  paths: string[];
  reason: string;
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
}

export function readOffer(path: string): FittedPrior {
  const { prior, about } = readPriorFolder(path);
  return { path, prior, size: prior.size, ...about.layers };
}

/** What each layer with random weights asks of its prior, by name. */
export function layerNeeds(architecture: Architecture): Record<string, LayerNeed> {
  const convolutions = convLayers(architecture);
  return Object.fromEntries(
    [...convolutions, ...randomLayers(architecture)].map((layer): [string, LayerNeed] => {
      const [, inputs, h, w] = kernelShape(layer);
      const index = convolutions.findIndex(({ name }) => name === layer.name);
      const role =
        layer.kind === 'conv'
          ? roleOf({ kind: 'conv', shape: [...layer.shape] }, index, convolutions.length)
          : undefined;
      return [layer.name, { name: layer.name, size: { h, w }, ...(role && { role }), inputs }];
    }),
  );
}

/**
 * @param why who asks, such as `--prior dwp`
 * @throws DwpError USAGE when none fits, or several do equally well
 */
export function layerPrior(need: LayerNeed, offers: readonly FittedPrior[], why: string): LayerPrior {
  const choice = choosePrior(need, offers);
  if (!choice) throw nothingFits(need, offers, why);
  const [{ prior, path }] = choice.offers;
  return { need, prior, paths: [path], reason: choice.reason };
}

export const reportOf = ({ need, prior, paths, reason }: LayerPrior): LayerPriorReport => ({
  layer: need.name,
  size: sizeText(need.size),
  ...(need.role && { role: need.role }),
  inputs: need.inputs,
  family: prior.family,
  paths,
  reason,
});

/** One line for a person. */
export const choiceLine = ({ layer, family, paths, reason }: LayerPriorReport): string =>
  `${layer}: ${family} prior ${paths.join(' + ')} (${reason})`;
