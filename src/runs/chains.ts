// A run by Markov chains in its folder: chains.jsonl (what was observed), chains.safetensors (where the chains are), and
// samples/NNNN.safetensors (networks that predictions average over).
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Engine, f32, foldIn, type NdArray } from '../engine/index.js';
import { inputError, usageError } from '../errors.js';
import { predictions } from '../evaluate/index.js';
import { writeFileAtomic } from '../formats/files.js';
import { hasNumbers, readJsonLines } from '../formats/read-file.js';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.js';
import { chainEstimate, effectiveSampleSize, rHat } from '../mcmc/index.js';
import {
  isSampler,
  type Observation,
  type SamplingOptions,
  type SamplingState,
  sampleNetwork,
} from '../train/sample-network.js';
import { parameterShapes } from './checkpoint.js';
import { checkpointed } from './checkpointed.js';
import { type RunConfig, stepsOf } from './config.js';
import type { RunHooks } from './hooks.js';
import { type Judgement, judgeDraws } from './judge.js';
import type { Problem } from './problem.js';

/** Of a function of the network over all chains; `name` says its unit. */
export interface ChainFunction {
  name: string;
  mean: number;
  standardError: number;
  rHat: number;
  effectiveSampleSize: number;
}

export interface ChainReport {
  method: string;
  chains: number;
  /** Observed steps of each chain. */
  draws: number;
  /** Of hmc: mean probability of acceptance after the warm-up. */
  acceptance?: number;
  /** Of each chain after its warm-up, in standard deviations of the prior; of sgld and sghmc the largest of a cycle. */
  stepSizes: number[];
  functions: ChainFunction[];
}

export const CHAINS_STATE = 'chains.safetensors';
const TRACE = 'chains.jsonl';

export function samplingOptions(config: RunConfig): SamplingOptions {
  const { posterior, chains, samples } = config;
  if (!isSampler(posterior)) throw new TypeError(`${posterior} is no sampler`);
  return {
    ...config,
    steps: stepsOf(config),
    method: posterior,
    kept: Math.ceil(samples / chains),
  };
}

export async function runChains(
  config: RunConfig,
  folder: string,
  problem: Problem,
  engine: Engine,
  hooks: RunHooks,
): Promise<{ judgement: Judgement; chains: ChainReport; seconds: number }> {
  const { model, train, judged, key } = problem;
  const options = samplingOptions(config);
  const start = existsSync(join(folder, CHAINS_STATE)) ? readState(folder, options) : undefined;
  const trace = readObservations(folder).filter(({ step }) => step <= (start?.step ?? 0));
  let latest = start;
  const save = () => {
    writeFileAtomic(join(folder, TRACE), trace.map((line) => `${JSON.stringify(line)}\n`).join(''));
    if (latest) writeState(folder, latest);
  };
  const { result: final, seconds } = await checkpointed(folder, config.checkpointEvery, save, (stepped) =>
    sampleNetwork(
      { model, images: train.images, rows: train.rows, judged, options, engine, key, from: start },
      {
        signal: hooks.signal,
        observed: (observation) => trace.push(observation),
        sampled(number, parameters) {
          if (number < config.samples) writeSafetensors(samplePath(folder, number), parameters);
        },
        stepped(state, detail) {
          latest = state;
          hooks.progress?.('sampling', state.step, stepsOf(config), detail);
          stepped();
        },
      },
    ),
  );
  return {
    judgement: await judgeSamples(folder, problem, config.samples, engine, hooks),
    chains: report(options, trace, final),
    seconds,
  };
}

/**
 * Probabilities [n, classes] of the judged images under the first `samples` networks of a run, or as many as it has; they
 * are of its chains in turn.
 * @throws DwpError USAGE where there is none yet; INPUT, while predicting, for a network that is damaged
 */
export function drawsOfChains(
  folder: string,
  problem: Problem,
  samples: number,
  engine: Engine,
): { count: number; draws: AsyncIterable<Float32Array> } {
  let count = 0;
  while (count < samples && existsSync(samplePath(folder, count))) count++;
  if (count === 0)
    throw usageError(`${folder} holds no networks yet`, `continue it with dwp train --resume ${folder}`);
  const { model, judged, key } = problem;
  async function* draws() {
    for (let i = 0; i < count; i++)
      yield* predictions({
        network: model,
        parameters: readSample(folder, i, problem),
        images: judged,
        samples: 1,
        engine,
        key: foldIn(key, 'predict'),
      });
  }
  return { count, draws: draws() };
}

/** Predictions that average the networks of {@link drawsOfChains}. */
export async function judgeSamples(
  folder: string,
  problem: Problem,
  samples: number,
  engine: Engine,
  hooks: RunHooks = {},
): Promise<Judgement> {
  const { count, draws } = drawsOfChains(folder, problem, samples, engine);
  return judgeDraws(problem, draws, count, hooks);
}

/** The step that a run by chains has come to. */
export const stepOfChains = (folder: string): number =>
  existsSync(join(folder, CHAINS_STATE))
    ? Number(readSafetensors(join(folder, CHAINS_STATE)).metadata.step)
    : 0;

export const samplePath = (folder: string, number: number) =>
  join(folder, 'samples', `${String(number).padStart(4, '0')}.safetensors`);

function readSample(folder: string, number: number, { model }: Problem): Record<string, NdArray> {
  const path = samplePath(folder, number);
  const { tensors } = readSafetensors(path);
  for (const [name, shape] of Object.entries(parameterShapes(model))) {
    if (`${tensors[name]?.shape}` !== `${shape}`)
      throw damaged(
        path,
        `${name} has shape [${tensors[name]?.shape ?? 'none'}], the network's is [${shape}]`,
      );
    if (!tensors[name].data.every(Number.isFinite))
      throw damaged(path, `${name} holds values that are not finite`);
  }
  return tensors as Record<string, NdArray>;
}

const damaged = (path: string, why: string) =>
  inputError(`${path}: ${why}`, 'the file is damaged: start the run again');

const VECTORS = ['position', 'momentum', 'scale', 'mean', 'squares'] as const;

function writeState(folder: string, { step, places }: SamplingState): void {
  const tensors = Object.fromEntries(
    places.flatMap(({ position, momentum, scale, moments: { mean, squares } }, c) =>
      Object.entries({ position, momentum, scale, mean, squares }).map(([name, data]) => [
        `${c}/${name}`,
        f32([data.length], data),
      ]),
    ),
  );
  const adaptation = places.map(
    ({ step: s, moments }) => [s.logStep, s.meanLogStep, s.error, s.anchor, s.count, moments.count], // as the schema has them
  );
  const metadata = { step: String(step), adaptation: JSON.stringify(adaptation) };
  writeSafetensors(join(folder, CHAINS_STATE), tensors, metadata);
}

/** Of each chain: log step, mean log step, error, anchor and count of the adaptation; positions in the present window. */
const adaptations = z.array(
  z.tuple([z.number(), z.number(), z.number(), z.number(), z.int().min(0), z.int().min(0)]),
);

function readState(folder: string, { chains, steps }: SamplingOptions): SamplingState {
  const path = join(folder, CHAINS_STATE);
  const { tensors, metadata } = readSafetensors(path);
  const step = Number(metadata.step);
  if (!Number.isSafeInteger(step) || step < 0 || step > steps)
    throw damaged(path, `step is ${metadata.step}, the run has ${steps}`);
  let found: z.infer<typeof adaptations>;
  try {
    found = adaptations.length(chains).parse(JSON.parse(metadata.adaptation));
  } catch {
    throw damaged(path, `it holds no step sizes of ${chains} chains`);
  }
  const length = tensors['0/position']?.data.length;
  const vector = (name: string): Float32Array => {
    const data = tensors[name]?.data;
    if (!(data instanceof Float32Array) || data.length !== length || !data.every(Number.isFinite))
      throw damaged(path, `${name} is missing or not finite`);
    return data;
  };
  return {
    step,
    places: found.map(([logStep, meanLogStep, error, anchor, count, seen], c) => {
      const [position, momentum, scale, mean, squares] = VECTORS.map((name) => vector(`${c}/${name}`));
      const step = { logStep, meanLogStep, error, anchor, count };
      return { position, momentum, scale, moments: { mean, squares, count: seen }, step };
    }),
  };
}

/** Lines of chains.jsonl; a last line cut short by a crash is left out. */
export function readObservations(folder: string): Observation[] {
  const path = join(folder, TRACE);
  if (!existsSync(path)) return [];
  const fits = (value: unknown): value is Observation =>
    hasNumbers(value, 'chain', 'step') && hasNumbers(Object((value as Observation).values));
  return readJsonLines(path, fits);
}

function report(
  { method, chains }: SamplingOptions,
  trace: readonly Observation[],
  { places }: SamplingState,
): ChainReport {
  const of = (chain: number) => trace.filter((observation) => observation.chain === chain);
  const all = Array.from({ length: chains }, (_, c) => of(c));
  const acceptances = trace.flatMap(({ acceptance }) => (acceptance === undefined ? [] : [acceptance]));
  return {
    method,
    chains,
    draws: all[0].length,
    ...(method === 'hmc' && {
      acceptance: acceptances.reduce((a, b) => a + b, 0) / acceptances.length,
    }),
    stepSizes: places.map(({ step }) => Math.exp(step.logStep)),
    functions: Object.keys(trace[0]?.values ?? {}).map((name) => {
      const values = all.map((chain) => chain.map((observation) => observation.values[name]));
      return {
        name,
        ...chainEstimate(values),
        rHat: rHat(values),
        effectiveSampleSize: effectiveSampleSize(values),
      };
    }),
  };
}
