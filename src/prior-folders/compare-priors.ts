// The density table: every row fitted with every seed on the same train kernels, and judged on the same test kernels.
import { join } from 'node:path';
import type { Engine } from '../engine/index.js';
import { DwpError } from '../errors.js';
import type { DensityReport } from '../evaluate/density.js';
import { mean, standardError } from '../evaluate/index.js';
import type { KernelDataset } from '../kernels/index.js';
import { freeNumbers, type PriorFamily } from '../priors/index.js';
import { type FitOptions, fitSettings } from '../train/fit-prior.js';
import type { ComparedPrior } from './compared-priors.js';
import { type Baselines, baselinesOf, fitAndJudge, type Parts, partsOf, writeFit } from './fit-and-judge.js';

export interface ComparedRow {
  name: string;
  label: string;
  family: string;
  config: Readonly<Record<string, unknown>>;
  /** The density fitted before the first step, where the steps start from one. */
  startsFrom?: string;
  /** Held-out nats per kernel, mean over seeds; `kind` says whether of the density or of a lower bound. */
  nats: number;
  standardError: number;
  /** What the standard error is over: the test kernels of the only seed, or the seeds' means. */
  errorOver: 'kernels' | 'seeds';
  kind: 'exact' | 'bound';
  /** Numbers that the fit chose, mean over seeds. */
  parameters: number;
  /** Of fitting, mean over seeds. */
  seconds: number;
  seeds: {
    seed: number;
    parameters: number;
    seconds: number;
    /** Of families learned by gradients: the step whose networks were kept, 0 where none was better than the start. */
    bestStep?: number;
    test: DensityReport;
  }[];
}

export interface PriorComparison {
  /** Best first. */
  rows: ComparedRow[];
  /** Rows that these kernels do not allow. */
  skipped: { name: string; label: string; reason: string }[];
  kernels: { train: number; test: number };
}

export interface CompareRequest {
  dataset: KernelDataset;
  priors: readonly ComparedPrior[];
  seeds: readonly number[];
  testFraction: number;
  samples: number;
  options: Partial<FitOptions>;
  /** Leave out what cannot be fitted, in place of ending with its error. */
  skip: boolean;
  /** Where the priors go, as `<name>-<seed>`. */
  folder?: string;
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
export const totalWork = ({ priors, seeds }: Pick<CompareRequest, 'priors' | 'seeds'>): number =>
  seeds.length * priors.reduce((sum, prior) => sum + workOf(prior), 0);

/** @throws DwpError INTERRUPTED when the signal aborts; without `skip`, what a fit throws */
export async function comparePriors(
  request: CompareRequest,
  engine: Engine,
  { signal, progress }: CompareHooks = {},
): Promise<PriorComparison> {
  const { dataset, priors, seeds, testFraction, samples, folder } = request;
  const split = seeds.map((seed) => ({ seed, parts: partsOf(dataset, testFraction, seed) }));
  const baselines = folder
    ? await Promise.all(split.map(({ seed, parts }) => baselinesOf(parts, engine, seed)))
    : [];
  const rows: ComparedRow[] = [];
  const skipped: PriorComparison['skipped'] = [];
  let done = 0;
  for (const prior of priors) {
    const work = workOf(prior);
    const fitted: ComparedRow['seeds'] = [];
    try {
      for (const [i, { seed, parts }] of split.entries()) {
        fitted.push(await fitRow(prior, parts, seed, baselines[i]));
        done += work;
      }
      rows.push(rowOf(prior, fitted));
    } catch (error) {
      const unfit = error instanceof DwpError && (error.code === 'INPUT' || error.code === 'DIVERGED');
      if (!(unfit && request.skip)) throw error;
      skipped.push({ name: prior.name, label: prior.label, reason: error.message });
      done += work * (seeds.length - fitted.length);
    }
  }
  const [{ parts }] = split;
  return {
    rows: rows.sort((a, b) => b.nats - a.nats),
    skipped,
    kernels: { train: parts.train.count, test: parts.test.count },
  };

  async function fitRow(row: ComparedPrior, parts: Parts, seed: number, baselines?: Baselines) {
    const { family } = row;
    const config = family.config.parse(row.config);
    const options = fitSettings(family, config, request.options);
    const at = (part: number, detail: string) =>
      progress?.(done + part * workOf(row), `${row.name}, seed ${seed}${detail && `: ${detail}`}`);
    at(0, '');
    await new Promise((resolve) => setImmediate(resolve)); // a Ctrl-C is heard between closed forms, too
    if (signal?.aborted) throw new DwpError('INTERRUPTED', 'comparison interrupted', 'run the command again');
    const fit = await fitAndJudge(parts, { family, config, options, samples, seed }, engine, {
      signal,
      progress: (step, detail) => at(step / options.steps, detail),
    });
    if (folder && baselines)
      writeFit(join(folder, `${row.name}-${seed}`), fit, { dataset, parts, baselines, seed });
    const { prior, report, seconds, test } = fit;
    const parameters = freeNumbers(prior);
    return { seed, parameters, seconds, ...(report && { bestStep: report.bestStep }), test };
  }
}

function rowOf({ name, label, family, config }: ComparedPrior, seeds: ComparedRow['seeds']): ComparedRow {
  const values = seeds.map(({ test }) => test.bound ?? test.logDensity!);
  const startsFrom =
    family.fit.kind === 'gradient' ? family.fit.startsFrom?.(family.config.parse(config)) : undefined;
  const several = seeds.length > 1;
  return {
    name,
    label,
    family: family.name,
    config,
    ...(startsFrom && { startsFrom }),
    nats: mean(values),
    standardError: several ? standardError(values) : seeds[0].test.standardError,
    errorOver: several ? 'seeds' : 'kernels',
    kind: seeds[0].test.bound === undefined ? 'exact' : 'bound',
    parameters: mean(seeds.map(({ parameters }) => parameters)),
    seconds: mean(seeds.map(({ seconds }) => seconds)),
    seeds,
  };
}
