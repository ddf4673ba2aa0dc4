// From a kernel dataset to a fitted prior and its held-out density: what every command that fits priors of kernels shares.
import { type Engine, foldIn, type Key, RandomStream, seedKey } from '../engine/index.js';
import { DwpError, inputError } from '../errors.js';
import { type DensityReport, evaluateDensity } from '../evaluate/density.js';
import { holdOut, type KernelDataset, type Kernels, takeKernels, type Units } from '../kernels/index.js';
import { gaussian } from '../priors/gaussian.js';
import type { KernelPrior, PriorFamily, TrainingKernels } from '../priors/index.js';
import { normal } from '../priors/normal.js';
import { requireSpread } from '../priors/parameters.js';
import { type FitOptions, type FitReport, fitPrior } from '../train/fit-prior.js';
import { LARGEST_SIDE, type PriorDescription, writePriorFolder } from './prior-folder.js';

/** Kernels to fit on, and kernels that are used once, to judge the result. */
export interface Parts {
  train: Kernels;
  test: Kernels;
}

/**
 * The dataset's own split, or a random part held out.
 * @param fraction held out where the dataset has no test split
 * @throws DwpError INPUT when either part has too few kernels, or those to fit on are all the same
 */
export function partsOf(dataset: KernelDataset, fraction: number, seed: number): Parts {
  const { train, test } = dataset.test
    ? { train: dataset.train, test: dataset.test }
    : holdOut(dataset.train, fraction, foldIn(seedKey(seed), 'test'));
  if (Math.max(train.h, train.w) > LARGEST_SIDE)
    throw inputError(
      `${dataset.name}: kernels of ${train.h}x${train.w} are too large: the limit of priors is ${LARGEST_SIDE}x${LARGEST_SIDE}`,
      'choose a smaller --size',
    );
  if (train.count < 3 || test.count < 1)
    throw inputError(
      `${dataset.name}: ${train.count} train and ${test.count} test kernels are too few to fit and judge a prior`,
      'collect more kernels',
    );
  try {
    requireSpread(train);
  } catch (error) {
    if (error instanceof DwpError) throw inputError(`${dataset.name}: ${error.message}`, error.hint ?? '');
    throw error;
  }
  return { train, test };
}

export interface JudgedFit {
  prior: KernelPrior;
  /** Of families learned by gradients. */
  report?: FitReport;
  /** Of the fit alone. */
  seconds: number;
  /** On the test kernels. */
  test: DensityReport;
}

export interface FitRequest extends JudgeOptions {
  family: PriorFamily;
  config: Record<string, unknown>;
  options: FitOptions;
}

export interface JudgeHooks {
  signal?: AbortSignal;
  progress?(step: number, detail: string): void;
}

/** @throws DwpError INTERRUPTED when the signal aborts; what a fit throws */
export async function fitAndJudge(
  { train, test }: Parts,
  { family, config, options, samples, seed, together }: FitRequest,
  engine: Engine,
  { signal, progress }: JudgeHooks = {},
): Promise<JudgedFit> {
  const key = seedKey(seed);
  const started = Date.now();
  const { prior, report } = await fitPrior(
    { family, kernels: train, config, options, engine, key: foldIn(key, 'fit') },
    {
      signal,
      progress: (step, _, detail) => progress?.(step, detail),
    },
  );
  const seconds = (Date.now() - started) / 1000;
  const density = await heldOutDensity(prior, test, { samples, seed, signal, together }, engine);
  return { prior, ...(report && { report }), seconds, test: density };
}

/** Test kernels that a fit is judged on: enough for a standard error of a hundredth of their spread. */
const MOST_JUDGED = 10_000;

export interface JudgeOptions {
  /** K of the bounds (4). */
  samples: number;
  seed: number;
  signal?: AbortSignal;
  /** Of a prior of slices: so many, one after the other, are a kernel of `test` (102); 1 unless given. */
  together?: number;
}

/**
 * The same kernels, at most {@link MOST_JUDGED}, and the same noise for every prior of a seed.
 * @throws DwpError INTERRUPTED when the signal aborts
 */
export function heldOutDensity(
  prior: KernelPrior,
  test: Kernels,
  { samples, seed, signal, together = 1 }: JudgeOptions,
  engine: Engine,
): Promise<DensityReport> {
  const key = foldIn(seedKey(seed), 'evaluate');
  const { data } = judged(test, together, foldIn(key, 'judged'));
  const listen = () => {
    if (signal?.aborted)
      throw new DwpError('INTERRUPTED', 'interrupted while judging a prior', 'run the command again');
  };
  return evaluateDensity({ prior, kernels: data, samples, engine, key, together }, listen);
}

/** So many rows, one after the other, stay together. */
function judged(test: Kernels, together: number, key: Key): Kernels {
  const most = Math.floor(MOST_JUDGED / together);
  const whole = { ...test, count: test.count / together, channels: together * (test.channels ?? 1) };
  return whole.count > most
    ? takeKernels(whole, new RandomStream(key).permutation(whole.count).subarray(0, most))
    : test;
}

export type BaselineName = 'standardNormal' | 'isotropic' | 'gaussian';
export type Baselines = Readonly<Record<BaselineName, DensityReport>>;

/** The closed-form densities that every fit is compared with. */
const BASELINES: readonly [BaselineName, PriorFamily, Record<string, unknown>][] = [
  ['standardNormal', normal, { std: 1 }],
  ['isotropic', normal, {}],
  ['gaussian', gaussian, {}],
];

export async function baselinesOf({ train, test }: Parts, engine: Engine, seed: number): Promise<Baselines> {
  const baselines: Partial<Record<BaselineName, DensityReport>> = {};
  for (const [name, family, config] of BASELINES)
    baselines[name] = await heldOutDensity(
      closedForm(family, train, config),
      test,
      { samples: 1, seed },
      engine,
    );
  return baselines as Baselines;
}

export function closedForm(
  family: PriorFamily,
  kernels: TrainingKernels,
  given: Record<string, unknown>,
): KernelPrior {
  if (family.fit.kind !== 'closed-form') throw new Error(`${family.name} has no closed form`);
  const config = family.config.parse(given);
  return family.prior(kernels, config, family.fit.parameters(kernels, config));
}

/** What a fit was made from. */
export interface FitSource {
  /** The families that were tried, where none was named. */
  chosen?: PriorDescription['chosen'];
  units?: Units;
  dataset: KernelDataset;
  parts: Parts;
  baselines: Baselines;
  seed: number;
}

/** Writes the folder of a fitted prior. */
export function writeFit(
  folder: string,
  { prior, seconds, test: density }: JudgedFit,
  {
    dataset: { name, sha256, std, origin },
    parts: { train, test },
    baselines,
    seed,
    chosen,
    units = 'weights',
  }: FitSource,
): void {
  writePriorFolder(
    folder,
    prior,
    {
      source: { name, sha256, train: train.count, test: test.count, std },
      ...(origin && { layers: origin }),
      ...(units !== 'weights' && { units }),
      ...(chosen && { chosen }),
      seed,
      seconds,
      test: density,
      baselines,
    },
    test,
  );
}
