// The density table: every row fitted to the same train kernels and judged on the same test kernels, once for each seed or
// for each network that is held out.
import { join } from 'node:path';
import type { Engine } from '../engine/index.js';
import { DwpError } from '../errors.js';
import type { DensityReport } from '../evaluate/density.js';
import { mean, standardError } from '../evaluate/index.js';
import type { KernelDataset } from '../kernels/index.js';
import { freeNumbers, type PriorFamily } from '../priors/index.js';
import { type FitOptions, fitSettings } from '../train/fit-prior.js';
import type { ComparedPrior } from './compared-priors.js';
import { type Baselines, baselinesOf, fitAndJudge, writeFit } from './fit-and-judge.js';
import type { Fold } from './folds.js';

export interface ComparedRow {
  name: string;
  label: string;
  family: string;
  config: Readonly<Record<string, unknown>>;
  /** The density fitted before the first step, where the steps start from one. */
  startsFrom?: string;
  /** Held-out nats per kernel, mean over fits; `kind` says whether of the density or of a lower bound. */
  nats: number;
  standardError: number;
  /** What the standard error is over: the test kernels of the only fit, the means of seeds, or those of networks. */
  errorOver: 'kernels' | 'seeds' | 'networks';
  /** What the best row has more, with the standard error of the differences; of several fits. */
  behind?: { nats: number; standardError: number };
  kind: 'exact' | 'bound';
  /** Numbers that the fit chose, mean over fits. */
  parameters: number;
  /** Of fitting, mean over fits. */
  seconds: number;
  /** One for each seed, or for each network that was held out. */
  fits: ComparedRowFit[];
}

export interface ComparedRowFit {
  seed: number;
  /** The network, or source of networks, that was held out. */
  network?: string;
  nats: number;
  parameters: number;
  seconds: number;
  /** Of families learned by gradients: the step whose networks were kept, 0 where none was better than the start. */
  bestStep?: number;
  /** In the units of the fit. */
  test: DensityReport;
}

export interface PriorComparison {
  /** Best first. */
  rows: ComparedRow[];
  /** Rows that these kernels do not allow. */
  skipped: { name: string; label: string; reason: string }[];
}

export interface CompareRequest {
  folds: readonly Fold[];
  priors: readonly ComparedPrior[];
  samples: number;
  options: Partial<FitOptions>;
  /** Leave out what cannot be fitted, in place of ending with its error. */
  skip: boolean;
  /** Where the priors go, as `<name>-<seed>`, and the dataset that they are said to come from. */
  kept?: { folder: string; dataset: KernelDataset };
}

export interface CompareHooks {
  signal?: AbortSignal;
  /** Of `total` units of work. */
  progress?(done: number, detail: string): void;
}

/** Work of one fit, roughly: fits by gradients take nearly all of the time. */
const WORK: Readonly<Record<PriorFamily['fit']['kind'], number>> = {
  'closed-form': 1,
  iterative: 50,
  gradient: 400,
};
const workOf = ({ family }: ComparedPrior) => WORK[family.fit.kind];
export const totalWork = ({ priors, folds }: Pick<CompareRequest, 'priors' | 'folds'>): number =>
  folds.length * priors.reduce((sum, prior) => sum + workOf(prior), 0);

/** @throws DwpError INTERRUPTED when the signal aborts; without `skip`, what a fit throws */
export async function comparePriors(
  request: CompareRequest,
  engine: Engine,
  { signal, progress }: CompareHooks = {},
): Promise<PriorComparison> {
  const { folds, priors, samples, kept } = request;
  const baselines = kept
    ? await Promise.all(folds.map(({ seed, parts }) => baselinesOf(parts(), engine, seed)))
    : [];
  const rows: ComparedRow[] = [];
  const skipped: PriorComparison['skipped'] = [];
  let done = 0;
  for (const prior of priors) {
    const work = workOf(prior);
    const fits: ComparedRowFit[] = [];
    try {
      for (const [i, fold] of folds.entries()) {
        fits.push(await fitRow(prior, fold, baselines[i]));
        done += work;
      }
      rows.push(rowOf(prior, fits));
    } catch (error) {
      const unfit = error instanceof DwpError && (error.code === 'INPUT' || error.code === 'DIVERGED');
      if (!(unfit && request.skip)) throw error;
      skipped.push({ name: prior.name, label: prior.label, reason: error.message });
      done += work * (folds.length - fits.length);
    }
  }
  rows.sort((a, b) => b.nats - a.nats);
  return { rows: rows.map((row) => ({ ...row, ...behind(row, rows[0]) })), skipped };

  async function fitRow(row: ComparedPrior, fold: Fold, baselines?: Baselines): Promise<ComparedRowFit> {
    const { family } = row;
    const { seed, network, correction, together } = fold;
    const config = family.config.parse(row.config);
    const options = fitSettings(family, config, request.options);
    const where = network === undefined ? `seed ${seed}` : `without ${network}`;
    const at = (part: number, detail: string) =>
      progress?.(done + part * workOf(row), `${row.name}, ${where}${detail && `: ${detail}`}`);
    at(0, '');
    await new Promise((resolve) => setImmediate(resolve)); // a Ctrl-C is heard between closed forms, too
    if (signal?.aborted) throw new DwpError('INTERRUPTED', 'comparison interrupted', 'run the command again');
    const parts = fold.parts();
    const fit = await fitAndJudge(parts, { family, config, options, samples, seed, together }, engine, {
      signal,
      progress: (step, detail) => at(step / options.steps, detail),
    });
    if (kept && baselines)
      writeFit(join(kept.folder, `${row.name}-${seed}`), fit, {
        ...{ dataset: kept.dataset, parts, baselines, seed },
      });
    const { prior, report, seconds, test } = fit;
    return {
      seed,
      ...(network !== undefined && { network }),
      nats: (test.bound ?? test.logDensity!) + correction,
      parameters: freeNumbers(prior),
      seconds,
      ...(report && { bestStep: report.bestStep }),
      test,
    };
  }
}

function rowOf({ name, label, family, config }: ComparedPrior, fits: ComparedRowFit[]): ComparedRow {
  const values = fits.map(({ nats }) => nats);
  const startsFrom =
    family.fit.kind === 'gradient' ? family.fit.startsFrom?.(family.config.parse(config)) : undefined;
  const [first] = fits;
  const several = fits.length > 1;
  return {
    name,
    label,
    family: family.name,
    config,
    ...(startsFrom && { startsFrom }),
    nats: mean(values),
    standardError: several ? standardError(values) : first.test.standardError,
    errorOver: several ? (first.network === undefined ? 'seeds' : 'networks') : 'kernels',
    kind: first.test.bound === undefined ? 'exact' : 'bound',
    parameters: mean(fits.map(({ parameters }) => parameters)),
    seconds: mean(fits.map(({ seconds }) => seconds)),
    fits,
  };
}

/** Fit by fit, so that what makes all priors better or worse on the same kernels does not count. */
function behind({ fits }: ComparedRow, best: ComparedRow): Pick<ComparedRow, 'behind'> {
  if (fits.length < 2) return {};
  const differences = fits.map(({ nats }, i) => best.fits[i].nats - nats);
  return { behind: { nats: mean(differences), standardError: standardError(differences) } };
}
