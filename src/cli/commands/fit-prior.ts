// dwp fit-prior: kernels → a generative model of them.
import { z } from 'zod';
import { usageError } from '../../errors.js';
import type { DensityReport } from '../../evaluate/density.js';
import { refuseExisting } from '../../formats/files.js';
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
    'Takes a kernel dataset or a bare .npy of [n, h, w], or [n, c, h, w] of whole filters. Part of the train kernels decides when to stop; test kernels ' +
    'are used once, for the figures printed at the end. Without a test split of its own, --test-fraction of the ' +
    'kernels is held out at random.',
  arguments: { dataset: argument('<dataset>', 'folder of dwp collect-kernels, or a .npy file', z.string()) },
  options: {
    size: kernelOptions.size,
    role: option(
      '--role <role...>',
      `kernels of layers of these roles only: ${ROLES.join(', ')}; of a .npy file: what they are. dwp train chooses ` +
        'each layer its prior by it',
      z.preprocess((v) => (v === undefined ? v : [v].flat()), z.array(z.enum(ROLES)).min(1).optional()),
      'all there are',
    ),
    family: option(
      '--family <name>',
      Object.values(families)
        .map(({ name, summary }) => `${name}: ${summary}`)
        .join('; '),
      z.enum(Object.keys(families)).default('vae'),
    ),
    out: option('--out <dir>', 'folder to write; must not exist yet', z.string()),
    networks: option(
      '--networks <kind>',
      'vae: dense, or convolutional as published',
      z.enum(['dense', 'convolutional']).optional(),
      'dense',
    ),
    latent: option('--latent <n>', 'vae: dimension of z', integer(1, 256).optional(), '16'),
    hidden: option(
      '--hidden <n>',
      'vae: width of hidden layers, or channels',
      integer(1, 4096).optional(),
      '128',
    ),
    variance: option(
      '--variance <kind>',
      'vae: σ² by latent, or one shared vector',
      z.enum(['latent', 'shared']).optional(),
      'latent',
    ),
    whitening: option(
      '--whitening <kind>',
      'vae: its decoder speaks of pixels (none), or moves a mixture that is fitted before',
      z.enum(['none', 'mixture']).optional(),
      'mixture',
    ),
    latentPrior: option(
      '--latent-prior <name>',
      `vae: p(z). ${Object.values(latentPriors)
        .map(({ name, summary }) => `${name}: ${summary}`)
        .join('; ')}`,
      z.enum(LATENT_PRIORS).optional(),
      'standard',
    ),
    components: option(
      '--components <K>',
      'mixture: normals; scale-mixture: scales; vae: pseudo-inputs of p(z) vamp, kernels per step of aggregate',
      integer(1, 50_000).optional(),
      'the best on held-out kernels; 10; 500',
    ),
    members: option(
      '--members <n>',
      'mixture, vae: fits from different starts that are averaged',
      integer(1, 100).optional(),
      '1; 8',
    ),
    tails: option(
      '--tails <n>',
      'student-t, vae: degrees of freedom; the fewer, the heavier the tails',
      integer(1, 1000).optional(),
      'the best on held-out kernels; 15',
    ),
    layers: option('--layers <n>', 'flow: coupling layers', integer(1, 64).optional(), '6'),
    floor: option(
      '--floor <part>',
      'log-uniform: where 1/|w| stops to rise, in units of the root mean square',
      real(1e-9, 1).optional(),
      '0.001',
    ),
    std: option('--std <s>', 'normal: standard deviation', real(1e-12).optional(), 'fitted'),
    steps: option(
      '--steps <n>',
      'most optimiser steps',
      integer(1, 10_000_000).optional(),
      `${refinement.steps}, or ${defaultFit.steps} with --whitening none and for other families`,
    ),
    batch: option('--batch <n>', 'kernels per step', integer(1, 1_000_000).default(defaultFit.batch)),
    learningRate: option('--learning-rate <x>', 'of Adam', real(1e-9, 10).default(defaultFit.learningRate)),
    samples: option(
      '--samples <K>',
      'samples of the importance-weighted bound',
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
    const fit = await fitAndJudge(parts, { family, config, options, samples, seed }, engine, {
      signal: effects.signal,
      progress: (step, detail) => progress.update(step, detail),
    }).finally(() => progress.stop());
    const { report, seconds } = fit;
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
    writeFit(input.out, fit, dataset, parts, baselines, seed);
    return {
      out: input.out,
      family: family.name,
      size,
      ...origin,
      kernels: { train: train.count, test: test.count },
      seconds,
      ...(report && { steps: report.steps, bestStep: report.bestStep }),
      test: fit.test,
      baselines,
      ...(slices && { slices }),
    };
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
