// dwp fit-prior: kernels → a generative model of them.
import { z } from 'zod';
import { type Engine, foldIn, seedKey } from '../../engine/index.js';
import type { DensityReport } from '../../evaluate/density.js';
import { refuseExisting } from '../../formats/files.js';
import { whileClaimed } from '../../formats/locks.js';
import {
  type Kernels,
  ROLES,
  type Role,
  readKernelDataset,
  sizeText,
  slicesOf,
  UNITS,
} from '../../kernels/index.js';
import {
  choiceWork,
  chooseFamily,
  type FamilyChoice,
  type FamilyTrial,
} from '../../prior-folders/choose-family.js';
import {
  type BaselineName,
  type Baselines,
  baselinesOf,
  closedForm,
  fitAndJudge,
  heldOutDensity,
  partsOf,
  writeFit,
} from '../../prior-folders/fit-and-judge.js';
import { gaussian } from '../../priors/gaussian.js';
import { families } from '../../priors/index.js';
import { defaultFit, fitSettings, refinement } from '../../train/fit-prior.js';
import { argument, defineCommand, integer, option, real } from '../command.js';
import type { Effects } from '../effects.js';
import { familyConfig, familyOptions } from '../family-options.js';
import { engineOptions, kernelOptions, openEngine, seedOption } from '../options.js';
import { table } from '../table.js';

interface FitResult {
  out: string;
  family: string;
  /** How it was chosen, with --family auto. */
  chosen?: Omit<FamilyChoice, 'family'>;
  size: string;
  /** Of the layers that the kernels come from, where it is known. */
  roles?: Role[];
  inputs?: number[];
  kernels: { train: number; test: number };
  seconds: number;
  steps?: number;
  bestStep?: number;
  /** Nats per kernel on test kernels. */
  test: DensityReport;
  baselines: Baselines;
  /** Of whole filters: the best independent slices can do with a Gaussian, nats per filter. */
  slices?: DensityReport;
}

/** What the baselines are called. */
const BASELINES: readonly [BaselineName, string][] = [
  ['standardNormal', 'N(0, I)'],
  ['isotropic', 'N(0, s²I), s fitted'],
  ['gaussian', 'N(μ, Σ), full covariance'],
];

const FAMILIES = [...families.values()];
const FAMILY_OPTIONS = familyOptions(FAMILIES);

/** The word for no family in particular. */
const AUTO = 'auto';
const NO_FAMILY = { name: AUTO, config: z.object({}) };
const AUTOMATIC = FAMILIES.filter(({ automatic }) => automatic).map(({ name }) => name);

/** Families whose steps start from another fitted density, and so are fewer. */
const REFINED = FAMILIES.filter((family) => {
  const { steps } = fitSettings(family, family.config.parse({}));
  return family.fit.kind === 'gradient' && steps === refinement.steps;
}).map(({ name }) => name);

export const fitPriorCommand = defineCommand({
  name: 'fit-prior',
  description:
    'Fits the prior to the train kernels; a part of them decides when to stop. Test kernels are used once, for the ' +
    'figures at the end. If the dataset has no test kernels, --test-fraction of the kernels is held out at random. A ' +
    '.npy file has the shape [n, h, w], or [n, c, h, w] for whole filters.',
  arguments: { dataset: argument('<dataset>', 'folder of dwp collect-kernels, or a .npy file', z.string()) },
  options: {
    size: kernelOptions.size,
    role: option(
      '--role <role...>',
      'use only kernels of layers of these roles; for a .npy file, the roles to record. dwp train chooses the prior of ' +
        'each layer by its role',
      z.preprocess((v) => (v === undefined ? v : [v].flat()), z.array(z.enum(ROLES)).min(1).optional()),
      'all roles',
    ),
    units: option(
      '--units <units>',
      "what the kernels of each layer are divided by before the fit: weights (nothing), he (√(2/fan-in), the standard deviation of He's start) or layer (the root mean square of the layer); dwp train multiplies by √(2/fan-in) of its own layers then",
      z.enum(UNITS).default('weights'),
    ),
    family: option(
      '--family <name>',
      `family of the prior: ${AUTO} (of ${AUTOMATIC.slice(0, -1).join(', ')} and ${AUTOMATIC.at(-1)}, the one under which train kernels held out are most likely), ${FAMILIES.map(({ name, summary }) => `${name} (${summary})`).join(', ')}`,
      z.enum([AUTO, ...FAMILIES.map(({ name }) => name)]).default(AUTO),
    ),
    out: option('--out <dir>', 'folder to write; must not exist yet', z.string()),
    ...FAMILY_OPTIONS,
    steps: option(
      '--steps <n>',
      'largest number of optimiser steps',
      integer(1, 10_000_000).optional(),
      `${defaultFit.steps}; ${refinement.steps} where the steps start from another fitted density, as those of ${REFINED.join(' and ')} with its defaults do`,
    ),
    batch: option(
      '--batch <n>',
      'number of kernels in each step',
      integer(1, 1_000_000).default(defaultFit.batch),
    ),
    learningRate: option(
      '--learning-rate <x>',
      'learning rate of Adam',
      real(1e-9, 10).default(defaultFit.learningRate),
    ),
    samples: option(
      '--samples <K>',
      'number of samples of the importance-weighted bound',
      integer(1, 50_000).default(200),
    ),
    testFraction: kernelOptions.testFraction,
    seed: seedOption,
    ...engineOptions,
  },
  examples: [
    'dwp fit-prior kernels-dataset --size 7x7 --out priors/7x7',
    'dwp fit-prior colour-kernels --size 3x7x7 --family mixture --out priors/colour',
    'dwp fit-prior kernels --size 3x3 --role middle last --units layer --out priors/3x3-middle',
    'dwp fit-prior kernels-dataset --size 7x7 --family vae --out priors/7x7-vae',
    'dwp fit-prior kernels.npy --family vae-pixels --networks convolutional --latent 2 --hidden 32 --variance shared --out priors/published',
    'dwp fit-prior kernels-dataset --size 5x5 --family gaussian --out priors/5x5-gaussian --format json',
  ],
  async run(input, effects): Promise<FitResult> {
    refuseExisting(input.out);
    const named = families.get(input.family);
    const given = Object.keys(FAMILY_OPTIONS).map((name) => [name, (input as Record<string, unknown>)[name]]);
    const namedConfig = familyConfig(named ?? NO_FAMILY, Object.fromEntries(given), FAMILIES);
    if (!named && input.steps !== undefined)
      effects.warn('--steps has no effect: the families that --family auto tries are not fitted by steps');
    const fit = async (): Promise<FitResult> => {
      refuseExisting(input.out); // another process may have written it meanwhile
      const dataset = readKernelDataset(input.dataset, input.size, { roles: input.role, units: input.units });
      const { origin } = dataset;
      const { seed, samples } = input;
      const parts = partsOf(dataset, input.testFraction, seed);
      const { train, test } = parts;
      const engine = await openEngine(input);
      const size = sizeText(train);
      const choice = named ? undefined : await choose(train, seed, engine, effects);
      const family = named ?? choice!.family;
      const config = named ? namedConfig : family.config.parse({});
      const options = fitSettings(family, config, {
        steps: input.steps,
        batch: input.batch,
        learningRate: input.learningRate,
      });
      const progress = effects.progress(
        `fitting ${family.name} on ${train.count} ${size} kernels`,
        options.steps,
      );
      const fitted = await fitAndJudge(parts, { family, config, options, samples, seed }, engine, {
        signal: effects.signal,
        progress: (step, detail) => progress.update(step, detail),
      }).finally(() => progress.stop());
      const { report, seconds } = fitted;
      const baselines = await baselinesOf(parts, engine, seed);
      const channels = train.channels ?? 1;
      const slices =
        channels > 1 && channels * train.count > train.h * train.w
          ? await heldOutDensity(
              closedForm(gaussian, slicesOf(train), {}),
              test,
              { samples, seed, signal: effects.signal, together: channels },
              engine,
            )
          : undefined;
      const { family: _, ...trials } = choice ?? {};
      const chosen = choice && { chosen: trials as Omit<FamilyChoice, 'family'> };
      writeFit(input.out, fitted, { dataset, parts, baselines, seed, units: input.units, ...chosen });
      return {
        out: input.out,
        family: family.name,
        ...chosen,
        size,
        ...origin,
        kernels: { train: train.count, test: test.count },
        seconds,
        ...(report && { steps: report.steps, bestStep: report.bestStep }),
        test: fitted.test,
        baselines,
        ...(slices && { slices }),
      };
    };
    return whileClaimed(input.out, fit, effects.warn);
  },
  render({ out, family, chosen, size, roles, kernels, seconds, steps, bestStep, test, baselines, slices }) {
    const rows = [
      [`${family} (this prior)`, value(test), kind(test)],
      ...BASELINES.map(([name, label]) => [label, value(baselines[name]), kind(baselines[name])]),
      ...(slices ? [['N(μ, Σ) of single slices, independent', value(slices), kind(slices)]] : []),
    ];
    const best = test.bound ?? test.logDensity!;
    const difference = best - baselines.gaussian.logDensity!;
    const judged = test.n < kernels.test ? `${test.n} of ${kernels.test}` : kernels.test;
    const effort = steps ? ` in ${seconds.toFixed(1)} s (${steps} steps, best at ${bestStep})` : '';
    return [
      `${size} prior fitted on ${kernels.train} kernels${roles ? ` of ${roles.join(' and ')} layers` : ''}${effort}; nats per kernel on ${judged} test kernels, higher is better:`,
      '',
      table(['density', 'nats per kernel', ''], rows),
      '',
      family === gaussian.name
        ? ''
        : `${difference >= 0 ? 'Above' : 'Below'} the full-covariance Gaussian by ${Math.abs(difference).toFixed(1)} nats per kernel.`,
      ...(chosen ? [choiceText(family, chosen)] : []),
      encoderText(test),
      `Written to ${out}. Look at samples:  dwp sample-prior ${out} --out samples.npy --png samples.png`,
    ]
      .filter((line, i) => line || i < 4)
      .join('\n');
  },
});

const choose = async (
  train: Kernels,
  seed: number,
  engine: Engine,
  effects: Effects,
): Promise<FamilyChoice> => {
  const progress = effects.progress(
    `choosing a family for ${train.count} ${sizeText(train)} kernels`,
    choiceWork(train),
  );
  const hooks = {
    signal: effects.signal,
    progress: (done: number, detail: string) => progress.update(done, detail),
  };
  return chooseFamily(train, engine, foldIn(seedKey(seed), 'family'), hooks).finally(() => progress.stop());
};

/** Which families were tried, and what won by how much. */
export function choiceText(
  family: string,
  { heldOut, folds, trials, skipped }: Omit<FamilyChoice, 'family'>,
): string {
  const behind = ({ family: name, behind, standardError }: FamilyTrial) =>
    behind >= 0
      ? `${name} −${behind.toFixed(1)} ± ${standardError.toFixed(1)}`
      : `${name} +${(-behind).toFixed(1)} ± ${standardError.toFixed(1)}, not by more than chance`;
  const others = trials.filter((trial) => trial.family !== family).map(behind);
  const where = `${heldOut} train kernels held out${folds > 1 ? ` in ${folds} folds` : ''}`;
  return [
    `Family: ${family}, chosen on ${where}; beside it, in nats per kernel: ${others.join(', ')}.`,
    ...skipped.map(({ family: name, reason }) => `Not tried: ${name} (${reason}).`),
  ].join('\n');
}

/** Of families with a latent variable: whether it does anything. */
export const encoderText = ({ elbo, latentKl, withoutEncoder }: DensityReport): string =>
  latentKl === undefined
    ? ''
    : `Latent variable: the encoder r(z|w) gives z ${latentKl.toFixed(2)} nats of information about a kernel (KL to p(z)); with p(z) in its place the one-sample bound falls from ${elbo!.toFixed(1)} to ${withoutEncoder!.toFixed(1)}.`;

const value = (d: DensityReport) =>
  `${(d.bound ?? d.logDensity!).toFixed(1)} ± ${d.standardError.toFixed(1)}`;
const kind = (d: DensityReport) =>
  d.bound === undefined ? 'exact' : `lower bound, K = ${d.samples} (ELBO ${d.elbo!.toFixed(1)})`;
