// Priors that a run makes for itself, by resampling, where none that it was given has the size of a layer. They lie in its
// folder, so that resuming and evaluating it find them.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageSet } from '../data/index.js';
import { type Engine, foldIn, seedKey } from '../engine/index.js';
import { sizeText } from '../kernels/index.js';
import { isConvolution, randomLayers } from '../network/index.js';
import {
  choosePrior,
  chooseSubstitute,
  type LayerNeed,
  type PriorOffer,
} from '../prior-folders/choose-prior.js';
import { readPriorFolder, writeDerivedPrior } from '../prior-folders/prior-folder.js';
import type { KernelPrior } from '../priors/index.js';
import type { FitHooks } from '../train/fit-prior.js';
import { resamplePrior } from '../train/resample-prior.js';
import { type FittedPrior, layerNeeds, readOffer } from './layer-priors.js';
import { type ProblemConfig, priorPaths, startsFromPrior } from './options.js';
import { buildArchitecture } from './problem.js';

/** Priors by the layers that they are for, and what each was made of. */
export type Substitutes = Readonly<Record<string, { prior: KernelPrior; of: PriorOffer }>>;

const FOLDER = 'priors';
const folderOf = (run: string, layer: string) => join(run, FOLDER, `${layer}-resampled`);

/** Layers that need a fitted prior of a size that there is none of, and what theirs is made of. */
function missing(config: ProblemConfig, images: ImageSet): { need: LayerNeed; offer: FittedPrior }[] {
  if (config.fallback !== 'resample' || priorPaths(config).length === 0) return [];
  const architecture = buildArchitecture(config, images);
  const offers = priorPaths(config).map(readOffer);
  const needs = layerNeeds(architecture);
  const fitted = config.prior === 'dwp' || startsFromPrior(config);
  return randomLayers(architecture)
    .filter((layer) => (isConvolution(layer) ? fitted : config.densePrior === 'fitted'))
    .flatMap(({ name }) => {
      const need = needs[name];
      if (choosePrior(need, offers, config.mixPriors !== 'none')) return [];
      const substitute = chooseSubstitute(need, offers);
      return substitute?.resampled ? [{ need, offer: substitute.offers[0] }] : [];
    });
}

/** Stand-ins for what {@link makeSubstitutes} would fit, of the right family: enough to check a configuration. */
export const standIns = (config: ProblemConfig, images: ImageSet): Record<string, { prior: KernelPrior }> =>
  Object.fromEntries(missing(config, images).map(({ need, offer }) => [need.name, { prior: offer.prior }]));

/** Fits what is missing, the same for the same priors; once for layers that need the same. */
export async function makeSubstitutes(
  config: ProblemConfig,
  images: ImageSet,
  engine: Engine,
  hooks: FitHooks = {},
): Promise<Substitutes> {
  const made: Record<string, { prior: KernelPrior; of: PriorOffer }> = {};
  for (const { need, offer } of missing(config, images)) {
    const same = Object.values(made).find(
      ({ prior, of }) => of.path === offer.path && sizeText(prior.size) === sizeText(need.size),
    );
    const key = foldIn(seedKey(0), 'resample', need.size.h, need.size.w);
    const prior = same?.prior ?? (await resamplePrior(offer.prior, need.size, engine, key, hooks));
    made[need.name] = { prior, of: offer };
  }
  return made;
}

export function writeSubstitutes(run: string, substitutes: Substitutes): void {
  for (const [layer, { prior, of }] of Object.entries(substitutes))
    writeDerivedPrior(folderOf(run, layer), prior, 'resampled to another size', [of], of.units);
}

/** Those of a run's layers, as far as it has some. */
export const readSubstitutes = (run: string, config: ProblemConfig, images: ImageSet): Substitutes =>
  Object.fromEntries(
    missing(config, images)
      .map(({ need, offer }) => ({ layer: need.name, folder: folderOf(run, need.name), of: offer }))
      .filter(({ folder }) => existsSync(folder))
      .map(({ layer, folder, of }) => [layer, { prior: readPriorFolder(folder).prior, of }]),
  );
