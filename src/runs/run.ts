// One training run in its folder: config.yaml, environment.json, priors.json, what its method keeps there, and summary.json.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { arch, cpus, platform, release } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Dataset, labelWarnings, loadDataset } from '../data/index.js';
import { createEngine } from '../engine/index.js';
import { inputError, usageError } from '../errors.js';
import { refuseExisting, writeJson } from '../formats/files.js';
import { writeFolderAtomic } from '../formats/folders.js';
import { whileClaimed } from '../formats/locks.js';
import { readBytes, readJson } from '../formats/read-file.js';
import { removeLeftovers } from '../formats/temporary.js';
import type { Task } from '../methods/index.js';
import { type Judgement, judge } from '../methods/judge.js';
import { writeDerivedPrior } from '../prior-folders/prior-folder.js';
import { priorPath } from '../prior-folders/shipped.js';
import type { KernelPrior } from '../priors/index.js';
import { choiceLines, reportOf } from '../problems/layer-priors.js';
import { modelFile, startNotes } from '../problems/model-start.js';
import { initOf, priorPaths } from '../problems/options.js';
import { type Problem, prepare } from '../problems/problem.js';
import { makeSubstitutes, readSubstitutes, standIns, writeSubstitutes } from '../problems/substitutes.js';
import { methodOf, type RunConfig, withDefaults } from './config.js';
import { configurationHash, readRunConfig, writeRunConfig } from './config-file.js';
import type { RunHooks } from './hooks.js';
import { type RunSummary, SUMMARY } from './summary.js';

const PRIORS = 'priors.json';

/**
 * Finds what would stop a run before its first step: priors, numbers of examples, options that exclude each other.
 * @throws DwpError USAGE or INPUT, as {@link startRun} does
 */
export function checkRun(given: RunConfig, dataset: Dataset): void {
  const config = withDefaults(given);
  const problem = problemOf(config, dataset, standIns(config, dataset.train));
  methodOf(config).check(config, problem);
  problem.stored();
  fileHashes(config);
}

/**
 * Starts a run in a new folder. Nothing is written before configuration, data and priors have been found good.
 * @throws DwpError USAGE when the folder exists already or another process writes it
 */
export async function startRun(given: RunConfig, folder: string, hooks: RunHooks = {}): Promise<RunSummary> {
  const config = withDefaults(given);
  refuseExistingRun(folder);
  return whileClaimed(folder, () => start(config, folder, hooks), hooks.warn);
}

function refuseExistingRun(folder: string): void {
  if (existsSync(folder))
    throw usageError(
      `${folder} exists already`,
      existsSync(join(folder, SUMMARY)) || !existsSync(join(folder, 'config.yaml'))
        ? 'choose another --out'
        : `it is an unfinished run: continue it with dwp train --resume ${folder}`,
    );
  refuseExisting(folder);
}

async function start(config: RunConfig, folder: string, hooks: RunHooks): Promise<RunSummary> {
  refuseExistingRun(folder);
  const dataset = hooks.dataset ?? loadDataset(config.data, config.dataDir);
  checkRun(config, dataset);
  for (const line of [...(hooks.notes ?? []), ...labelWarnings(dataset.train)]) hooks.warn?.(line);
  const engine = hooks.engine ?? (await createEngine(config.engine, config.threads, config.device));
  const substitutes = await makeSubstitutes(config, dataset.train, engine, { signal: hooks.signal });
  const problem = problemOf(config, dataset, substitutes);
  const task = { config, folder, problem, engine, hooks };
  const writeStart = await methodOf(config).start(task);
  for (const line of startNotes(config, problem.model.architecture, problem.stored())) hooks.info?.(line);
  for (const { line, substitute } of choiceLines(problem.choices.map((choice) => reportOf(choice))))
    (substitute ? hooks.warn : hooks.info)?.(line);
  const hashes = fileHashes(config);
  writeFolderAtomic(folder, (run) => {
    writeRunConfig(run, config);
    writeJson(join(run, 'environment.json'), { ...environment(), configuration: configurationHash(run) });
    writeJson(join(run, PRIORS), hashes);
    writeSubstitutes(run, substitutes);
    writeStart(run);
  });
  return finish(task);
}

/** sha256 of the weights of the run's priors and of its start: what a resumed run must find unchanged. */
function fileHashes(config: RunConfig): Record<string, string> {
  const model = modelFile(config);
  const files = [
    ...priorPaths(config).map((path) => [path, join(priorPath(path), 'weights.safetensors')]),
    ...(model === undefined ? [] : [[model, model]]),
  ];
  return Object.fromEntries(
    files.map(([path, file]) => [path, createHash('sha256').update(readBytes(file)).digest('hex')]),
  );
}

/**
 * Goes on from the last checkpoint; the result is bit for bit that of a run that was not interrupted.
 * @throws DwpError USAGE when the run is finished or another process writes it; INPUT when it or its priors have changed
 */
export async function resumeRun(folder: string, hooks: RunHooks = {}): Promise<RunSummary> {
  readRunConfig(folder); // or it is no run folder
  return whileClaimed(folder, () => resume(folder, hooks), hooks.warn);
}

async function resume(folder: string, hooks: RunHooks): Promise<RunSummary> {
  removeLeftovers(folder, () => true);
  const config = readRunConfig(folder);
  if (existsSync(join(folder, SUMMARY)))
    throw usageError(`${folder} is finished`, `see dwp evaluate ${folder}`);
  const problem = readProblem(folder, config, hooks.dataset);
  requireSamePriors(folder, config);
  const engine = hooks.engine ?? (await createEngine(config.engine, config.threads, config.device));
  return finish({ config, folder, problem, engine, hooks });
}

/** What {@link prepare} makes of a configuration and of its method. */
export const problemOf = (
  config: RunConfig,
  dataset?: Dataset,
  substitutes?: Parameters<typeof prepare>[3],
): Problem => prepare(config, methodOf(config).model(config), dataset, substitutes);

/** The problem of a run that has been started, with the priors in its folder. */
export function readProblem(
  folder: string,
  config: RunConfig,
  dataset: Dataset = loadDataset(config.data, config.dataDir),
): Problem {
  return problemOf(config, dataset, readSubstitutes(folder, config, dataset.train));
}

/** Whether there is something in a run's folder that is worth going on from. */
export function hasBegun(folder: string): boolean {
  if (!existsSync(join(folder, 'config.yaml'))) return false;
  if (existsSync(join(folder, SUMMARY))) return true;
  const config = readRunConfig(folder);
  return methodOf(config).stepsDone(folder, config) !== undefined;
}

function requireSamePriors(folder: string, config: RunConfig): void {
  const path = join(folder, PRIORS);
  if ((priorPaths(config).length > 0 || modelFile(config)) && !existsSync(path))
    throw inputError(
      `${path} is missing: it records which priors this run began with`,
      'restore the file, or start a new run',
    );
  if (!existsSync(path)) return;
  const now = fileHashes(config);
  if (!isDeepStrictEqual(readJson(path), now))
    throw inputError(
      `${folder}: a prior or model of this run has changed since it began (${Object.keys(now).join(', ')})`,
      'restore it, or start a new run',
    );
}

/** From wherever the run is to its summary. */
async function finish(task: Task<RunConfig>): Promise<RunSummary> {
  const { config, folder, problem, hooks } = task;
  const method = methodOf(config);
  const seconds = await method.advance(task);
  const { ensemble, reliability }: Judgement = await judge(problem, method.predictions(task), hooks);
  const { init = initOf(config), bound, chains, adapted = {} } = await method.report(task);
  const { choices, model } = problem;
  writeAdapted(folder, adapted, choices);
  const { samples: _, ...test } = ensemble.at(-1)!;
  const summary: RunSummary = {
    prior: config.prior,
    method: config.method,
    ...(choices.length > 0 && {
      priors: choices.map((choice) => {
        const { name } = choice.need;
        const names = model.adapted?.[name];
        return reportOf(choice, names && { prior: adapted[name], names });
      }),
    }),
    init,
    examples: config.examples,
    split: config.split,
    judgedOn: config.validation > 0 ? 'validation' : 'test',
    test,
    ensemble,
    reliability: reliability.filter(({ count }) => count > 0),
    ...(bound && { bound }),
    ...(chains && { chains }),
    steps: method.steps(config),
    seconds,
    configuration: configurationHash(folder),
  };
  writeJson(join(folder, SUMMARY), summary);
  return summary;
}

/** The priors that were learned along, as folders of their own: `priors/<layer>`. */
function writeAdapted(
  folder: string,
  adapted: Readonly<Record<string, KernelPrior>>,
  choices: Problem['choices'],
): void {
  for (const [layer, prior] of Object.entries(adapted)) {
    const path = join(folder, 'priors', layer);
    const offers = choices.find(({ need }) => need.name === layer)?.offers ?? [];
    rmSync(path, { recursive: true, force: true }); // of a run that was killed while it was judged
    writeDerivedPrior(path, prior, `adapted to layer ${layer} of a run`, offers);
  }
}

export function environment(): Record<string, string> {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return {
    'deep-weight-prior': version,
    node: process.version,
    machine: `${platform()} ${release()} ${arch()}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}`,
  };
}
