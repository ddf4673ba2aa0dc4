// Carries out a plan: every run in its folder, finished ones kept, interrupted ones resumed; then the table.
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Dataset, loadDataset } from '../data/index.js';
import { createEngine, type Engine } from '../engine/index.js';
import { DwpError, usageError } from '../errors.js';
import { mean, standardDeviation } from '../evaluate/index.js';
import { writeJson } from '../formats/files.js';
import { type RunConfig, withDefaults } from '../runs/config.js';
import { decisive, readRunConfig } from '../runs/config-file.js';
import type { RunHooks } from '../runs/hooks.js';
import { checkRun, hasBegun, resumeRun, startRun } from '../runs/run.js';
import { type RunSummary, readSummary } from '../runs/summary.js';
import type { Plan, PlannedRun } from './plan.js';

export interface Spread {
  mean: number;
  /** Standard deviation over runs (n − 1); not a number for one run. */
  std: number;
  values: number[];
}

/** One method at one number of examples, over its splits. */
export interface ComparisonRow {
  label: string;
  prior: string;
  init: string;
  examples: number;
  runs: number;
  accuracy: Spread;
  nll: Spread;
  ece: Spread;
  brier: Spread;
  /** Lower bound of the log evidence at T = 1, nats; where all runs have one. */
  bound?: Spread;
  seconds: Spread;
}

export interface FinishedRun {
  path: string;
  label: string;
  summary: RunSummary;
}

export interface CompareHooks extends Pick<RunHooks, 'signal' | 'progress'> {
  /** Before run i of n, counted from 1. */
  starting?(run: PlannedRun, i: number, n: number): void;
}

/** @throws DwpError before the first run where any of them could not start, or its folder has another run in it */
export async function runPlan(plan: Plan, folder: string, hooks: CompareHooks = {}): Promise<FinishedRun[]> {
  const shared = new Map<string, Dataset>();
  const engines = new Map<string, Engine>();
  const datasetOf = ({ data, dataDir }: RunConfig) =>
    remember(shared, `${data} ${dataDir}`, () => loadDataset(data, dataDir));
  const pathOf = ({ name }: PlannedRun) => join(folder, 'runs', name);

  const checked = new Set<string>();
  for (const run of plan.runs) {
    requireSameRun(run, pathOf(run));
    const { label, config } = run;
    const { engine, threads, device, examples } = config;
    const key = `${engine} ${threads} ${device}`;
    const what = JSON.stringify([label, examples]); // splits differ in nothing that could be wrong
    if (checked.has(what)) continue;
    checked.add(what);
    try {
      if (!engines.has(key)) engines.set(key, await createEngine(engine, threads, device));
      checkRun(config, datasetOf(config));
    } catch (error) {
      if (error instanceof DwpError)
        throw new DwpError(
          error.code,
          `method "${label}", ${examples} examples: ${error.message}`,
          error.hint,
        );
      throw error;
    }
  }

  const finished: FinishedRun[] = [];
  for (const [i, run] of plan.runs.entries()) {
    const path = pathOf(run);
    hooks.starting?.(run, i + 1, plan.runs.length);
    const { engine, threads, device } = run.config;
    const runHooks: RunHooks = {
      ...hooks,
      dataset: datasetOf(run.config),
      engine: engines.get(`${engine} ${threads} ${device}`),
    };
    finished.push({ path, label: run.label, summary: await finish(run, path, runHooks) });
  }
  return finished;
}

/** @throws DwpError USAGE where the folder has a run of another configuration */
function requireSameRun(run: PlannedRun, path: string): void {
  if (!hasBegun(path)) return;
  const plain = (config: RunConfig) => JSON.parse(JSON.stringify(decisive(config)));
  if (!isDeepStrictEqual(plain(readRunConfig(path)), plain(withDefaults(run.config))))
    throw usageError(
      `${path} was made with a configuration that differs from the plan`,
      'choose another --out, or remove that folder',
    );
}

async function finish(run: PlannedRun, path: string, hooks: RunHooks): Promise<RunSummary> {
  if (!hasBegun(path)) {
    rmSync(path, { recursive: true, force: true }); // ended before its first checkpoint: nothing is lost
    return startRun(run.config, path, hooks);
  }
  return existsSync(join(path, 'summary.json')) ? readSummary(path) : resumeRun(path, hooks);
}

export const spreadOf = (values: number[]): Spread => ({
  mean: mean(values),
  std: standardDeviation(values),
  values,
});

/** Mean and standard deviation over splits, in the order in which methods and sizes first come. */
export function comparisonRows(runs: readonly Omit<FinishedRun, 'path'>[]): ComparisonRow[] {
  const groups = new Map<string, RunSummary[]>();
  for (const { label, summary } of runs)
    remember(groups, JSON.stringify([label, summary.examples]), () => []).push(summary);
  return [...groups].map(([key, summaries]) => {
    const spread = (f: (summary: RunSummary) => number) => spreadOf(summaries.map(f));
    return {
      label: JSON.parse(key)[0],
      prior: summaries[0].prior,
      init: summaries[0].init,
      examples: summaries[0].examples,
      runs: summaries.length,
      accuracy: spread(({ test }) => test.accuracy),
      nll: spread(({ test }) => test.nll),
      ece: spread(({ test }) => test.ece),
      brier: spread(({ test }) => test.brier),
      ...(summaries.every(({ bound }) => bound) && { bound: spread(({ bound }) => bound!.total) }),
      seconds: spread(({ seconds }) => seconds),
    };
  });
}

/** What was seen, in one sentence: the first method against the best of the others, at each number of examples. */
export function conclusion(rows: readonly ComparisonRow[]): string {
  const duels = [...new Set(rows.map(({ examples }) => examples))].flatMap((n) => {
    const [first, ...others] = rows.filter(({ examples }) => examples === n);
    if (others.length === 0) return [];
    const best = others.reduce((a, b) => (b.accuracy.mean > a.accuracy.mean ? b : a));
    const surest = others.reduce((a, b) => (b.nll.mean < a.nll.mean ? b : a));
    const points = 100 * (first.accuracy.mean - best.accuracy.mean);
    return [{ n, first, best, surest, points, nats: first.nll.mean - surest.nll.mean }];
  });
  if (duels.length === 0) return '';
  const [{ n, first, best, surest, points, nats }] = duels;
  const splits = first.runs === 1 ? 'one split' : `mean of ${first.runs} splits`;
  const percent = (x: number) => `${(100 * x).toFixed(1)}%`;
  const signed = (x: number, digits: number) => `${x < 0 ? '−' : '+'}${Math.abs(x).toFixed(digits)}`;
  if (duels.length === 1)
    return (
      `With ${n} examples (${splits}), ${first.label} got ${percent(first.accuracy.mean)} of the images right, ` +
      `${Math.abs(points).toFixed(1)} points ${points >= 0 ? 'more' : 'fewer'} than the best of the others ` +
      `(${best.label}, ${percent(best.accuracy.mean)}), and its negative log-likelihood of ${first.nll.mean.toFixed(3)} ` +
      `nats is ${Math.abs(nats).toFixed(3)} ${nats <= 0 ? 'lower' : 'higher'} than theirs ` +
      `(${surest.label}, ${surest.nll.mean.toFixed(3)}).`
    );
  const each = duels.map(
    (d) => `${signed(d.points, 1)} points and ${signed(d.nats, 3)} nats with ${d.n} examples`,
  );
  return (
    `Against the best of the others, ${first.label} differs in accuracy and negative log-likelihood by ` +
    `${each.join(', ')} (${splits}).`
  );
}

export const writeComparison = (folder: string, rows: readonly ComparisonRow[]) =>
  writeJson(join(folder, 'comparison.json'), { rows });

function remember<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
