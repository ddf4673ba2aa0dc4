// dwp fit-prior: kernels → a generative model of them.
import { z } from 'zod';
import { usageError } from '../../errors.js';
import type { DensityReport } from '../../evaluate/density.js';
import { refuseExisting } from '../../formats/files.js';
import { whileClaimed } from '../../formats/locks.js';
import { ROLES, type Role, readKernelDataset, slicesOf } from '../../kernels/index.js';
import { sizeText } from '../../prior-folders/choose-prior.js';
import {
  type BaselineName,
  type Baselines,
  baselinesOf,
  closedForm,
  fitAndJudge,
  fitOptions,
  heldOutDensity,
  partsOf,
  writeFit,
} from '../../prior-folders/fit-and-judge.js';
import { families, type PriorFamily } from '../../priors/index.js';
import { LATENT_PRIORS, latentPriors } from '../../priors/latent/index.js';
import { defaultFit, refinement } from '../../train/fit-prior.js';
import { argument, defineCommand, integer, option, real } from '../command.js';
import { engineOptions, kernelOptions, openEngine, seedOption } from '../options.js';
import { table } from '../table.js';

interface FitResult {
  out: string;
  family: string;
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

/** Options that are fields of a family's configuration. */
const FAMILY_OPTIONS = [
  'networks',
  'latent',
  'hidden',
  'variance',
  'whitening',
  'latentPrior',
  'components',
  'std',
  'members',
  'tails',
  'layers',
  'floor',
] as const;

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
    family: option(
      '--family <name>',
      `family of the prior: ${Object.values(families)
        .map(({ name, summary }) => `${name} (${summary})`)
        .join(', ')}`,
      z.enum(Object.keys(families)).default('vae'),
    ),
    out: option('--out <dir>', 'folder to write; must not exist yet', z.string()),
    networks: option(
      '--networks <kind>',
      'vae: networks of encoder and decoder; the published ones are convolutional',
      z.enum(['dense', 'convolutional']).optional(),
      'dense',
    ),
    latent: option(
      '--latent <n>',
      'vae: dimension of the latent variable z',
      integer(1, 256).optional(),
      '16',
    ),
    hidden: option(
      '--hidden <n>',
      'vae and flow: width of the hidden layers; of convolutional networks, the number of channels',
      integer(1, 4096).optional(),
      '128; flow: 64',
    ),
    variance: option(
      '--variance <kind>',
      'vae: variance σ² of the decoder: latent (a function of z) or shared (one vector)',
      z.enum(['latent', 'shared']).optional(),
      'latent',
    ),
    whitening: option(
      '--whitening <kind>',
      'vae: none (the decoder models pixels directly) or mixture (the decoder modifies a mixture that is fitted first)',
      z.enum(['none', 'mixture']).optional(),
      'mixture',
    ),
    latentPrior: option(
      '--latent-prior <name>',
      `vae: latent prior p(z): ${Object.values(latentPriors)
        .map(({ name, summary }) => `${name} (${summary})`)
        .join(', ')}`,
      z.enum(LATENT_PRIORS).optional(),
      'standard',
    ),
    components: option(
      '--components <K>',
      'mixture: number of normals; scale-mixture: number of scales; vae: number of pseudo-inputs of --latent-prior vamp, or of kernels in each step of aggregate',
      integer(1, 50_000).optional(),
      'mixture: the best on held-out kernels; scale-mixture: 10; vae: 500',
    ),
    members: option(
      '--members <n>',
      'mixture and vae: number of mixtures, fitted from different starts, that are averaged',
      integer(1, 100).optional(),
      'mixture: 1; vae: 8',
    ),
    tails: option(
      '--tails <n>',
      'student-t and vae: degrees of freedom; fewer give heavier tails',
      integer(1, 1000).optional(),
      'student-t: the best on held-out kernels; vae: 15',
    ),
    layers: option('--layers <n>', 'flow: number of coupling layers', integer(1, 64).optional(), '6'),
    floor: option(
      '--floor <part>',
      'log-uniform: value of |w| below which the density is constant, relative to the root mean square of the kernels',
      real(1e-9, 1).optional(),
      '0.001',
    ),
    std: option('--std <s>', 'normal: standard deviation s', real(1e-12).optional(), 'fitted to the kernels'),
    steps: option(
      '--steps <n>',
      'largest number of optimiser steps',
      integer(1, 10_000_000).optional(),
      `${refinement.steps}, or ${defaultFit.steps} with --whitening none and for other families`,
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
    'dwp fit-prior kernels --size 3x3 --role middle last --out priors/3x3-middle',
    'dwp fit-prior filters.npy --whitening none --networks convolutional --latent 2 --hidden 32 --variance shared --out priors/published',
    'dwp fit-prior kernels-dataset --size 7x7 --family mixture --out priors/7x7-mixture',
    'dwp fit-prior kernels-dataset --size 5x5 --family gaussian --out priors/5x5-gaussian --format json',
  ],
  async run(input, effects): Promise<FitResult> {
    refuseExisting(input.out);
    const fit = async (): Promise<FitResult> => {
      refuseExisting(input.out); // another process may have written it meanwhile
      const family = families[input.family];
      const whitening = input.whitening ?? (family === families.vae ? 'mixture' : undefined);
      const given = Object.fromEntries(
        FAMILY_OPTIONS.map((name) => [name, name === 'whitening' ? whitening : input[name]]).filter(
          ([, value]) => value !== undefined,
        ),
      );
      const config = configOf(family, given);
      const dataset = readKernelDataset(input.dataset, input.size, { roles: input.role });
      const { origin } = dataset;
      const { seed, samples } = input;
      const parts = partsOf(dataset, input.testFraction, seed);
      const { train, test } = parts;
      const engine = await openEngine(input);
      const size = sizeText(train);
      const options = fitOptions(config, {
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
              closedForm(families.gaussian, slicesOf(train), {}),
              test,
              samples,
              engine,
              seed,
              effects.signal,
              channels,
            )
          : undefined;
      writeFit(input.out, fitted, dataset, parts, baselines, seed);
      return {
        out: input.out,
        family: family.name,
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
  render({ out, family, size, roles, kernels, seconds, steps, bestStep, test, baselines, slices }) {
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
      family === 'gaussian'
        ? ''
        : `${difference >= 0 ? 'Above' : 'Below'} the full-covariance Gaussian by ${Math.abs(difference).toFixed(1)} nats per kernel.`,
      `Written to ${out}. Look at samples:  dwp sample-prior ${out} --out samples.npy --png samples.png`,
    ]
      .filter((line, i) => line || i < 4)
      .join('\n');
  },
});

const value = (d: DensityReport) =>
  `${(d.bound ?? d.logDensity!).toFixed(1)} ± ${d.standardError.toFixed(1)}`;
const kind = (d: DensityReport) =>
  d.bound === undefined ? 'exact' : `lower bound, K = ${d.samples} (ELBO ${d.elbo!.toFixed(1)})`;

/** As it is typed: `--latent-prior` for latentPrior. */
const optionName = (key: string) => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

function configOf(family: PriorFamily, given: Record<string, unknown>): Record<string, unknown> {
  const config = family.config.parse(given);
  const unknown = Object.keys(given).find((name) => !(name in config));
  if (unknown)
    throw usageError(
      `the family ${family.name} has no option ${optionName(unknown)}`,
      'leave it out, or choose another --family: see dwp fit-prior --help',
    );
  return config;
}
