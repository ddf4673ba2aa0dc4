// dwp compare-priors: the density of held-out kernels, or of the kernels of held-out networks, under every family.
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { seedKey } from '../../engine/index.js';
import { usageError } from '../../errors.js';
import { refuseExisting, writeJson } from '../../formats/files.js';
import { wholeFolder } from '../../formats/folders.js';
import {
  type KernelDataset,
  readKernelDataset,
  readNetworks,
  sizeText,
  UNITS,
  type Units,
} from '../../kernels/index.js';
import {
  type ComparedRow,
  comparePriors,
  type PriorComparison,
  totalWork,
} from '../../prior-folders/compare-priors.js';
import { comparedPriors } from '../../prior-folders/compared-priors.js';
import { type Fold, networkFolds, seedFolds } from '../../prior-folders/folds.js';
import { argument, defineCommand, integer, list, option } from '../command.js';
import { engineOptions, kernelOptions, openEngine } from '../options.js';
import { table } from '../table.js';

const HOLD_OUT = ['kernels', 'networks', 'sources'] as const;
type HoldOut = (typeof HOLD_OUT)[number];

interface CompareResult extends PriorComparison {
  dataset: string;
  size: string;
  holdOut: HoldOut;
  seeds: number[];
  /** K of the bounds. */
  samples: number;
  /** Of --hold-out kernels. */
  kernels?: { train: number; test: number };
  /** Of --hold-out networks or sources. */
  networks?: HeldOutNetworks;
  out?: string;
}

interface HeldOutNetworks {
  /** What the priors were fitted in; densities are those of the weights (140). */
  units: Units;
  /** Fitted to the slices of filters, judged on filters. */
  slices: boolean;
  kernels: { name: string; kernels: number }[];
  /** With too few kernels to be judged on; in no fit. */
  tooFew: string[];
}

const PRIORS = comparedPriors();
const NAMES = PRIORS.map(({ name }) => name);

export const comparePriorsCommand = defineCommand({
  name: 'compare-priors',
  description:
    'Every prior is fitted to the same train kernels and judged on the same test kernels, as dwp fit-prior does it with ' +
    'the same seed. With --hold-out networks, each network is left out once: every prior is fitted to the kernels of all ' +
    'others and judged on its kernels. Families with latent variables are judged by a lower bound of their density, so they are never ' +
    'shown better than they are.',
  arguments: {
    dataset: argument(
      '<dataset>',
      'folder of dwp collect-kernels or dwp sources collect; with --hold-out kernels also a .npy file',
      z.string(),
    ),
  },
  options: {
    size: kernelOptions.size,
    families: option(
      '--families <name...>',
      `priors to compare: ${PRIORS.map(({ name, label }) => `${name} (${label})`).join(', ')}`,
      list(z.enum(NAMES))
        .pipe(z.array(z.enum(NAMES)).min(1))
        .optional(),
      'all that can be fitted to the kernels',
    ),
    holdOut: option(
      '--hold-out <what>',
      'what priors are judged on: held-out kernels, each network in turn, or each source of networks (the first part of their names) in turn',
      z.enum(HOLD_OUT).default('kernels'),
    ),
    networks: option(
      '--networks <name...>',
      'names of networks, or of their sources, to take',
      list(z.string()).pipe(z.array(z.string()).min(1)).optional(),
      'all, with --hold-out networks or sources',
    ),
    perNetwork: option(
      '--per-network <n>',
      'largest number of kernels of each network (of each source, with --hold-out sources), spread evenly over its layers',
      integer(10, 10_000).optional(),
      '1000, with --hold-out networks or sources',
    ),
    units: option(
      '--units <name>',
      "what kernels are divided by before the fit: nothing (weights), the standard deviation of He's start of their layer " +
        '(he), or the root mean square of their layer (layer); densities are those of the weights',
      z.enum(UNITS).optional(),
      'he, with --hold-out networks or sources',
    ),
    slices: option(
      '--slices',
      'of whole filters, such as 3x7x7: fit the priors to their slices; a filter has the sum over its slices',
      z.boolean().default(false),
    ),
    seeds: option(
      '--seeds <n...>',
      'seeds; every prior is fitted once for each of them, on another choice of held-out kernels',
      list(integer(0)).default([0]),
    ),
    out: option(
      '--out <dir>',
      'folder to write the fitted priors to, as <name>-<seed>; must not exist yet',
      z.string().optional(),
      'the priors are not kept',
    ),
    steps: option(
      '--steps <n>',
      'largest number of optimiser steps of each fit',
      integer(1, 10_000_000).optional(),
      'as in dwp fit-prior',
    ),
    samples: option(
      '--samples <K>',
      'number of samples of the importance-weighted bounds, at least 200',
      integer(200, 50_000).default(200),
    ),
    testFraction: kernelOptions.testFraction,
    ...engineOptions,
  },
  examples: [
    'dwp compare-priors kernels-dataset --size 7x7',
    'dwp compare-priors kernels.npy --seeds 0 1 2 --out priors/compared',
    'dwp compare-priors kernels-dataset --size 5x5 --families gaussian mixture vae --format json',
    'dwp compare-priors published-kernels --size 3x3 --hold-out sources --per-network 2000',
  ],
  async run(input, effects): Promise<CompareResult> {
    const { out, samples, steps, holdOut } = input;
    const seeds = [...new Set(input.seeds)];
    checkOptions(input);
    if (out) refuseExisting(out);
    const { about, folds, source } =
      holdOut === 'kernels' ? kernelsHeldOut(input, seeds) : networksHeldOut(input, holdOut, seeds[0]);
    const priors = PRIORS.filter(({ name }) => input.families?.includes(name) ?? true);
    const engine = await openEngine(input);
    const request = {
      ...{ folds, priors, samples },
      options: { ...(steps && { steps }) },
      skip: input.families === undefined,
    };
    const progress = effects.progress(`priors of ${about.size} kernels`, totalWork(request));
    const compare = async (folder?: string): Promise<CompareResult> => {
      const kept = folder && source ? { folder, dataset: source } : undefined;
      const comparison = await comparePriors({ ...request, kept }, engine, {
        signal: effects.signal,
        progress: (done, detail) => progress.update(Math.round(done), detail),
      }).finally(() => progress.stop());
      const result = { ...about, holdOut, seeds, samples, ...comparison, ...(out && { out }) };
      if (folder) writeJson(join(folder, 'comparison.json'), result);
      return result;
    };
    return out ? wholeFolder(out, compare, undefined, effects.warn) : compare();
  },
  render(result) {
    const { samples, rows, skipped, networks, out } = result;
    const values = rows.map(({ nats }) => nats.toFixed(1));
    const width = Math.max(...values.map(({ length }) => length));
    const compared = rows.some(({ behind }) => behind);
    return [
      ...heading(result),
      '',
      table(
        [
          'prior',
          '--families',
          'nats per kernel',
          '',
          ...(compared ? ['less than the best'] : []),
          'parameters',
          'fit, s',
        ],
        rows.map(({ name, label, standardError, behind, kind, parameters, seconds }, i) => [
          i === 0 ? `${label} (best)` : label,
          name,
          `${kind === 'bound' ? '≥' : ' '} ${values[i].padStart(width)} ± ${standardError.toFixed(1)}`,
          kind === 'bound' ? `bound, K = ${samples}` : 'exact',
          ...(compared
            ? [i > 0 && behind ? `${behind.nats.toFixed(2)} ± ${behind.standardError.toFixed(2)}` : '']
            : []),
          Math.round(parameters),
          seconds.toFixed(1),
        ]),
      ),
      '',
      ...rows.flatMap(unmoved),
      ...skipped.map(({ name, reason }) => `Left out: ${name} (${reason}).`),
      ...(networks && networks.tooFew.length > 0
        ? [`Fewer than 10 kernels, not taken: ${networks.tooFew.join(', ')}.`]
        : []),
      ...(out ? [`Priors are in ${out}, as <name>-<seed>.`] : []),
    ]
      .join('\n')
      .trimEnd();
  },
});

interface Input {
  dataset: string;
  size?: string;
  holdOut: HoldOut;
  networks?: string[];
  perNetwork?: number;
  units?: Units;
  slices: boolean;
  seeds: number[];
  testFraction: number;
  out?: string;
}

/** @throws DwpError USAGE when options contradict each other */
function checkOptions({ holdOut, networks, perNetwork, units, slices, seeds, out }: Input): void {
  if (holdOut !== 'kernels') {
    if (out)
      throw usageError(
        `--out cannot be used with --hold-out ${holdOut}, which fits every prior once for each of the ${holdOut}`,
        'leave out --out, and fit the prior that you want with dwp fit-prior',
      );
    if (seeds.length > 1)
      throw usageError(`--hold-out ${holdOut} takes one seed, not ${seeds.length}`, 'give one with --seeds');
    return;
  }
  const given = Object.entries({ networks, perNetwork, units, slices: slices || undefined })
    .filter(([, value]) => value !== undefined)
    .map(([name]) => `--${name === 'perNetwork' ? 'per-network' : name}`);
  if (given.length > 0)
    throw usageError(`${given[0]} needs --hold-out networks or sources`, `add --hold-out networks`);
}

/** What is held out, and what the result says of it. */
interface HeldOut {
  about: Pick<CompareResult, 'dataset' | 'size' | 'kernels' | 'networks'>;
  folds: Fold[];
  /** Where priors that are kept come from. */
  source?: KernelDataset;
}

function kernelsHeldOut({ dataset: path, size, testFraction }: Input, seeds: readonly number[]): HeldOut {
  const source = readKernelDataset(path, size);
  const folds = seedFolds(source, testFraction, seeds);
  const { train, test } = folds[0].parts();
  const kernels = { train: train.count, test: test.count };
  return { about: { dataset: source.name, size: sizeText(train), kernels }, folds, source };
}

function networksHeldOut(
  { dataset: path, size: asked, networks: names, perNetwork: most = 1000, units = 'he', slices }: Input,
  by: 'networks' | 'sources',
  seed: number,
): HeldOut {
  const key = seedKey(seed);
  const { networks, size, tooFew } = readNetworks(path, { size: asked, by, most, names, units, key });
  if (slices && (size.channels ?? 1) === 1)
    throw usageError(`--slices: ${sizeText(size)} kernels are slices already`, 'leave out --slices');
  const kernels = networks.map(({ name, kernels: { count } }) => ({ name, kernels: count }));
  return {
    about: {
      ...{ dataset: basename(resolve(path)), size: sizeText(size) },
      networks: { units, slices, kernels, tooFew },
    },
    folds: networkFolds(networks, seed, slices),
  };
}

const FITTED_IN: Readonly<Record<Units, string>> = {
  weights: 'as they are',
  he: "in units of He's start",
  layer: 'in units of the root mean square of their layer, which is given',
};

function heading({ size, holdOut, seeds, kernels, networks }: CompareResult): string[] {
  if (networks) {
    const total = networks.kernels.reduce((sum, each) => sum + each.kernels, 0);
    const fitted = networks.slices ? ', fitted to their slices' : '';
    return [
      `${total} ${size} kernels of ${networks.kernels.length} ${holdOut}${fitted}, ${FITTED_IN[networks.units]}; each of the ${holdOut} held out once;`,
      `nats per kernel, higher is better; mean over ${holdOut}, ± the standard error over ${holdOut}:`,
    ];
  }
  const over =
    seeds.length > 1
      ? `mean over seeds ${seeds.join(', ')}, ± the standard error over seeds`
      : `seed ${seeds[0]}, ± the standard error over test kernels`;
  return [
    `${size} kernels, ${kernels!.train} to fit, ${kernels!.test} held out; nats per kernel, higher is better; ${over}:`,
  ];
}

/** Said of a fit by gradients that came to nothing: its row is the density that it started from. */
function unmoved({ label, startsFrom, fits }: ComparedRow): string[] {
  const kept = fits.filter(({ bestStep }) => bestStep === 0);
  if (kept.length === 0) return [];
  const seeds = kept.map(({ seed }) => seed);
  const where =
    fits.length === 1
      ? ''
      : kept[0].network === undefined
        ? ` with ${seeds.length > 1 ? 'seeds' : 'seed'} ${seeds.join(', ')}`
        : ` without ${kept.map(({ network }) => network).join(', ')}`;
  const start = startsFrom ? `, ${startsFrom} fitted before it` : '';
  return [`${label}: no step was better than its start${start}; what is shown${where} is that start.`];
}
