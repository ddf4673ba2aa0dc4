// One training run in its folder: config.yaml, metrics.jsonl, checkpoint.safetensors, summary.json, environment.json,
// priors.json.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { arch, cpus, platform, release } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parse as parseYaml, stringify as stringifyYaml } from 'yaml';
import { z } from 'zod';
import { type Dataset, labelWarnings, loadDataset } from '../data/index.js';
import { createEngine, type Engine, f32, foldIn, layoutOf } from '../engine/index.js';
import { inputError, messageOf, usageError } from '../errors.js';
import type { ClassificationMetrics, EnsembleMetrics, ReliabilityBin } from '../evaluate/index.js';
import { refuseExisting, writeFileAtomic, writeJson } from '../formats/files.js';
import { writeFolderAtomic } from '../formats/folders.js';
import { whileClaimed } from '../formats/locks.js';
import { hasNumbers, readBytes, readJson, readJsonLines, readText } from '../formats/read-file.js';
import { removeLeftovers } from '../formats/temporary.js';
import { convLayers, weightShape } from '../network/index.js';
import { writeDerivedPrior } from '../prior-folders/prior-folder.js';
import type { Arrays, KernelPrior } from '../priors/index.js';
import { adaptedPrior, auxiliaryParameters } from '../train/auxiliary.js';
import { type BoundReport, finalBound } from '../train/final-bound.js';
import { rateFactors } from '../train/rates.js';
import { isSampler } from '../train/sample-network.js';
import {
  DENSE_START,
  initialState,
  type NetworkOptions,
  type TracePoint,
  trainNetwork,
} from '../train/train-network.js';
import { type ChainReport, runChains } from './chains.js';
import {
  CHECKPOINT,
  type Progress,
  readCheckpoint,
  readComponents,
  writeCheckpoint,
  writeComponent,
} from './checkpoint.js';
import { checkpointed } from './checkpointed.js';
import { type Classifier, classifierOf } from './classifier.js';
import { componentsOf, initOf, type RunConfig, runConfig, stepsOf, withDefaults } from './config.js';
import type { RunHooks } from './hooks.js';
import { type Judgement, judge } from './judge.js';
import { choiceLine, type LayerPriorReport, reportOf } from './layer-priors.js';
import { componentKey, type Problem, prepare, startKey } from './problem.js';
import { makeSubstitutes, readSubstitutes, standIns, writeSubstitutes } from './substitutes.js';

export interface RunSummary {
  prior: string;
  /** Which fitted prior each layer has, and why. */
  priors?: LayerPriorReport[];
  init: string;
  examples: number;
  split: number;
  /** On the test images, or on validation images where the configuration says so. */
  judgedOn: 'test' | 'validation';
  test: ClassificationMetrics;
  /** Metrics of growing ensembles. */
  ensemble: EnsembleMetrics[];
  reliability: ReliabilityBin[];
  /** Absent for --prior none. */
  bound?: BoundReport;
  /** Of Markov chains: whether they agree, and what their draws are worth. */
  chains?: ChainReport;
  steps: number;
  /** Of training, without loading and judging; of the last stretch only where the run was resumed. */
  seconds: number;
  /** Hash of what decides the result in config.yaml; absent in runs of earlier versions. */
  configuration?: string;
}

const PRIORS = 'priors.json';
const TRACE_POINTS = 200;

const networkOptions = (config: RunConfig, { decay }: Pick<Classifier, 'decay'>): NetworkOptions => ({
  ...config,
  denseDecay: decay,
  priorLearningRate: config.priorLearningRate ?? defaultPriorRate(config),
  steps: stepsOf(config),
  logEvery: Math.max(1, Math.round((componentsOf(config) * stepsOf(config)) / TRACE_POINTS)),
});

/** A scale or a weight has far to go, a decoder is nearly right. */
const defaultPriorRate = ({ adaptPrior, mixPriors }: RunConfig): number | undefined => {
  if (adaptPrior.length === 0 && mixPriors !== 'learned') return undefined;
  return adaptPrior.includes('decoder') ? 1e-4 : 1e-2;
};

/**
 * Finds what would stop a run before its first step: priors, numbers of examples, options that exclude each other.
 * @throws DwpError USAGE or INPUT, as {@link startRun} does
 */
export function checkRun(given: RunConfig, dataset: Dataset): void {
  const config = withDefaults(given);
  const { model, key } = prepare(config, dataset, standIns(config, dataset.train));
  priorHashes(config);
  if (isSampler(config.posterior)) return;
  const { architecture, posterior } = model;
  const zeros = Object.fromEntries(
    convLayers(architecture).map((layer) => [layer.name, f32(weightShape(layer))]),
  );
  const auxiliary = auxiliaryParameters(model);
  const { parameters } = initialState({
    architecture,
    posterior,
    weights: zeros,
    logStd: config.initialLogStd,
    key,
    auxiliary,
  });
  rateFactors(layoutOf(parameters), networkOptions(config, { decay: 0 }));
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
      existsSync(join(folder, 'summary.json')) || !existsSync(join(folder, 'config.yaml'))
        ? 'choose another --out'
        : `it is an unfinished run: continue it with dwp train --resume ${folder}`,
    );
  refuseExisting(folder);
}

async function start(config: RunConfig, folder: string, hooks: RunHooks): Promise<RunSummary> {
  refuseExistingRun(folder);
  const dataset = hooks.dataset ?? loadDataset(config.data, config.dataDir);
  for (const line of labelWarnings(dataset.train)) hooks.warn?.(line);
  const engine = hooks.engine ?? (await createEngine(config.engine, config.threads, config.device));
  const substitutes = await makeSubstitutes(config, dataset.train, engine, { signal: hooks.signal });
  const problem = prepare(config, dataset, substitutes);
  const classifier = isSampler(config.posterior) ? undefined : await classifierOf(config, problem, engine);
  const state = classifier && (await startingState(config, problem, classifier, engine, 0));
  for (const choice of problem.choices)
    (choice.substitute ? hooks.warn : hooks.info)?.(choiceLine(reportOf(choice)));
  const hashes = priorHashes(config);
  writeFolderAtomic(folder, (run) => {
    writeFileAtomic(join(run, 'config.yaml'), stringifyYaml(config));
    writeJson(join(run, 'environment.json'), environment());
    writeJson(join(run, PRIORS), hashes);
    writeSubstitutes(run, substitutes);
    if (!state) return;
    writeFileAtomic(join(run, 'metrics.jsonl'), '');
    writeCheckpoint(run, state);
  });
  if (!classifier || !state) return continueChains(config, folder, problem, engine, hooks);
  return continueRun(config, folder, problem, classifier, engine, state, hooks);
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

async function startingState(
  config: RunConfig,
  { model, key, weights }: Problem,
  classifier: Classifier,
  engine: Engine,
  component: number,
): Promise<Progress> {
  const { architecture, posterior } = model;
  const convolutions = await weights(engine, component);
  const state = initialState({
    architecture,
    posterior,
    weights: convolutions,
    logStd: config.initialLogStd,
    key: startKey(key, component),
    auxiliary: auxiliaryParameters(model),
    denseStart: await classifier.start(component, convolutions),
  });
  rateFactors(layoutOf(state.parameters), networkOptions(config, classifier)); // refuses rates of what is not there
  return { component, ...state };
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
  if (existsSync(join(folder, 'summary.json')))
    throw usageError(`${folder} is finished`, `see dwp evaluate ${folder}`);
  const dataset = hooks.dataset ?? loadDataset(config.data, config.dataDir);
  const problem = prepare(config, dataset, readSubstitutes(folder, config, dataset.train));
  const priors = join(folder, PRIORS);
  if (config.priorPath.length > 0 && !existsSync(priors))
    throw inputError(
      `${priors} is missing: it records which priors this run began with`,
      'restore the file, or start a new run',
    );
  if (existsSync(priors) && !isDeepStrictEqual(readJson(priors), priorHashes(config)))
    throw inputError(
      `${folder}: a prior of this run has changed since it began (${config.priorPath.join(', ')})`,
      'restore the prior, or start a new run',
    );
  const engine = hooks.engine ?? (await createEngine(config.engine, config.threads, config.device));
  if (isSampler(config.posterior)) return continueChains(config, folder, problem, engine, hooks);
  const classifier = await classifierOf(config, problem, engine);
  // Killed before its first checkpoint, a run starts again: its configuration decides everything.
  const state = existsSync(join(folder, CHECKPOINT))
    ? readCheckpoint(folder, problem.model)
    : await startingState(config, problem, classifier, engine, 0);
  const [steps, components] = [stepsOf(config), componentsOf(config)];
  if (state.step > steps || state.component >= components)
    throw inputError(
      state.step > steps
        ? `${join(folder, CHECKPOINT)} holds step ${state.step}, but the run has only ${steps} steps`
        : `${join(folder, CHECKPOINT)} holds component ${state.component + 1}, but the run has only ${components}`,
      'config.yaml was changed, or the checkpoint belongs to another run',
    );
  const kept = readTrace(folder).filter(({ step }) => step <= state.component * steps + state.step);
  writeFileAtomic(join(folder, 'metrics.jsonl'), kept.map((point) => `${JSON.stringify(point)}\n`).join(''));
  return continueRun(config, folder, problem, classifier, engine, state, hooks);
}

async function continueRun(
  config: RunConfig,
  folder: string,
  problem: Problem,
  classifier: Classifier,
  engine: Engine,
  start: Progress,
  hooks: RunHooks,
): Promise<RunSummary> {
  const { model, train, key, statistics } = problem;
  const trace = readTrace(folder);
  const options = networkOptions(config, classifier);
  const [steps, components] = [options.steps, componentsOf(config)];
  let latest = start;
  let detail = '';
  const save = () => {
    writeFileAtomic(
      join(folder, 'metrics.jsonl'),
      trace.map((point) => `${JSON.stringify(point)}\n`).join(''),
    );
    writeCheckpoint(folder, latest);
  };
  const { seconds } = await checkpointed(folder, config.checkpointEvery, save, async (stepped) => {
    for (let component = start.component; component < components; component++) {
      if (component > start.component) {
        writeComponent(folder, component - 1, latest);
        latest = await startingState(config, problem, classifier, engine, component);
        save();
      }
      const before = component * steps; // the trace counts the steps of all components
      const own = componentKey(key, component);
      const final = await trainNetwork(
        { model, images: train.images, rows: train.rows, options, engine, key: own, state: latest },
        {
          signal: hooks.signal,
          trace(point) {
            trace.push({ ...point, step: before + point.step });
            detail = `log-likelihood ${(point.expectedLogLikelihood / config.examples).toFixed(3)} nats per example`;
          },
          stepped(state) {
            latest = { component, ...state };
            hooks.progress?.('training', before + state.step, components * steps, detail);
            stepped();
          },
        },
      );
      latest = { component, ...final };
    }
  });

  const trained = readComponents(folder, model);
  const judgement = await judge(problem, trained, config.samples, engine, hooks);
  const bound = model.posterior.kernels
    ? await finalBound({
        model,
        images: train.images,
        rows: train.rows,
        components: trained,
        engine,
        key: foldIn(key, 'bound'),
        statistics,
      })
    : undefined;
  return finish(config, folder, problem, judgement, seconds, { ...(bound && { bound }) }, latest.parameters);
}

/** Markov chains, from the beginning or from where they have stopped. */
async function continueChains(
  config: RunConfig,
  folder: string,
  problem: Problem,
  engine: Engine,
  hooks: RunHooks,
): Promise<RunSummary> {
  const { judgement, chains, seconds } = await runChains(config, folder, problem, engine, hooks);
  return finish(config, folder, problem, judgement, seconds, { chains });
}

function finish(
  config: RunConfig,
  folder: string,
  { choices, model }: Problem,
  { ensemble, reliability }: Judgement,
  seconds: number,
  more: Pick<RunSummary, 'bound' | 'chains'>,
  parameters: Arrays = {},
): RunSummary {
  const adapted = Object.fromEntries(
    Object.keys(model.adapted ?? {}).map((layer) => [layer, adaptedPrior(model, layer, parameters)]),
  );
  writeAdapted(folder, adapted, choices);
  const { samples: _, ...test } = ensemble.at(-1)!;
  const summary: RunSummary = {
    prior: config.prior,
    ...(choices.length > 0 && {
      priors: choices.map((choice) => {
        const { name } = choice.need;
        const names = model.adapted?.[name];
        return reportOf(choice, names && { prior: adapted[name], names });
      }),
    }),
    init: isSampler(config.posterior) ? 'prior' : initOf(config),
    examples: config.examples,
    split: config.split,
    judgedOn: config.validation > 0 ? 'validation' : 'test',
    test,
    ensemble,
    reliability: reliability.filter(({ count }) => count > 0),
    ...more,
    steps: componentsOf(config) * stepsOf(config),
    seconds,
    configuration: configurationHash(parseYaml(readText(join(folder, 'config.yaml')))),
  };
  writeJson(join(folder, 'summary.json'), summary);
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

/** @throws DwpError INPUT when the folder holds no run or its configuration is not valid. */
export function readRunConfig(folder: string): RunConfig {
  const path = join(folder, 'config.yaml');
  if (!existsSync(path))
    throw inputError(`${folder} is not a run folder: it has no config.yaml`, 'runs are made by dwp train');
  const text = readText(path);
  let raw: unknown;
  try {
    raw = parseYaml(text);
  } catch (error) {
    throw inputError(`${path}: not valid YAML (${messageOf(error)})`, 'restore what dwp train wrote');
  }
  requireUnchanged(folder, path, raw);
  const parsed = runConfig.strict().safeParse(raw);
  // before runs could have components they had one, and classifiers started at Glorot's normal, then at a tenth of it
  if (parsed.success)
    return parsed.data.components === undefined
      ? { ...parsed.data, components: 1, denseStart: 1 }
      : { ...parsed.data, denseStart: (raw as RunConfig).denseStart ?? DENSE_START };
  const [issue] = parsed.error.issues;
  throw inputError(
    `${path}: ${issue.path.length > 0 ? `${issue.path.join('.')}: ` : ''}${issue.message}`,
    'restore what dwp train wrote',
  );
}

/** sha256 of what decides the result of a run, as it stands in config.yaml: comments and order do not matter. */
function configurationHash(raw: unknown): string {
  const { threads: _, device: __, checkpointEvery: ___, ...decisive } = Object(raw) as Partial<RunConfig>;
  const sorted = Object.entries(decisive).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex');
}

/** @throws DwpError INPUT when a finished run was made with another configuration; summaries of earlier versions do not say it */
function requireUnchanged(folder: string, path: string, raw: unknown): void {
  const summary = join(folder, 'summary.json');
  if (!existsSync(summary)) return;
  const { configuration } = Object(readJson(summary)) as Partial<RunSummary>;
  if (configuration !== undefined && configuration !== configurationHash(raw))
    throw inputError(
      `${path} was changed after the run had finished`,
      'restore what dwp train wrote, or train again with the new configuration',
    );
}

/** What readers of a summary rely on. A figure that is not finite is null in JSON. */
const figure = z.number().nullable();
const summarySchema = z.looseObject({
  prior: z.string(),
  init: z.string(),
  examples: z.number(),
  split: z.number(),
  test: z.looseObject({ accuracy: figure, nll: figure, ece: figure, brier: figure, examples: z.number() }),
  ensemble: z.array(z.looseObject({ samples: z.number(), accuracy: figure, nll: figure })),
  reliability: z.array(z.looseObject({ count: z.number() })),
  steps: z.number(),
  seconds: z.number(),
});

/** @throws DwpError INPUT when the run has not finished, or its summary is not one. */
export function readSummary(folder: string): RunSummary {
  const path = join(folder, 'summary.json');
  if (!existsSync(path))
    throw inputError(
      `${folder} has no summary.json: the run has not finished`,
      `continue it with dwp train --resume ${folder}`,
    );
  const summary = readJson(path);
  const parsed = summarySchema.safeParse(summary);
  if (parsed.success) return summary as RunSummary;
  throw inputError(
    `${path}: ${parsed.error.issues[0].path.join('.')}: ${parsed.error.issues[0].message}`,
    'the summary is damaged: remove it, and dwp train --resume makes it again',
  );
}

/** Lines of metrics.jsonl; a last line cut short by a crash is left out. */
export function readTrace(folder: string): TracePoint[] {
  const path = join(folder, 'metrics.jsonl');
  if (!existsSync(path)) return [];
  const fits = (value: unknown): value is TracePoint =>
    hasNumbers(value, 'step', 'bound', 'expectedLogLikelihood', 'priorTerm', 'entropyTerm');
  return readJsonLines(path, fits);
}

export function environment(): Record<string, string> {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return {
    'deep-weight-prior': version,
    node: process.version,
    machine: `${platform()} ${release()} ${arch()}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}`,
  };
}
