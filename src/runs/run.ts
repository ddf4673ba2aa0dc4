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
import type { KernelPrior } from '../priors/index.js';
import { choiceLine, reportOf } from '../problems/layer-priors.js';
import { initOf } from '../problems/options.js';
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
  methodOf(config).check(config, problemOf(config, dataset, standIns(config, dataset.train)));
  priorHashes(config);
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
  for (const choice of problem.choices)
    (choice.substitute ? hooks.warn : hooks.info)?.(choiceLine(reportOf(choice)));
  const hashes = priorHashes(config);
  writeFolderAtomic(folder, (run) => {
    writeRunConfig(run, config);
    writeJson(join(run, 'environment.json'), { ...environment(), configuration: configurationHash(run) });
    writeJson(join(run, PRIORS), hashes);
    writeSubstitutes(run, substitutes);
    writeStart(run);
  });
  return finish(task);
}

/** sha256 of the weights of the run's priors: what a resumed run must find unchanged. */
const priorHashes = ({ priorPath }: RunConfig): Record<string, string> =>
  Object.fromEntries(
    priorPath.map((path) => [
      path,
      createHash('sha256')
        .update(readBytes(join(path, 'weights.safetensors')))
        .digest('hex'),
    ]),
  );

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
  if (config.priorPath.length > 0 && !existsSync(path))
    throw inputError(
      `${path} is missing: it records which priors this run began with`,
      'restore the file, or start a new run',
    );
  if (existsSync(path) && !isDeepStrictEqual(readJson(path), priorHashes(config)))
    throw inputError(
      `${folder}: a prior of this run has changed since it began (${config.priorPath.join(', ')})`,
      'restore the prior, or start a new run',
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
