// A run by Markov chains in its folder: chains.jsonl (what was observed), chains.safetensors (where the chains are), and
// samples/NNNN.safetensors (networks that predictions average over).
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Engine, f32, foldIn, type NdArray } from '../engine/index.js';
import { DwpError, inputError, usageError } from '../errors.js';
import { predictions } from '../evaluate/index.js';
import { writeFileAtomic } from '../formats/files.js';
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
import type { RunConfig } from './config.js';
import { type Judgement, judgeDraws } from './judge.js';
import type { Problem } from './problem.js';
import type { RunHooks } from './run.js';

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
  /** Of hmc: mean probability of acceptance after the warm-up, and step sizes of the chains. */
  acceptance?: number;
  stepSizes?: number[];
  functions: ChainFunction[];
}

const STATE = 'chains.safetensors';
const TRACE = 'chains.jsonl';
const DEFAULT_STEP = { hmc: 0.02, sgld: 1e-4, sghmc: 1e-4 };

export function samplingOptions(config: RunConfig): SamplingOptions {
  const { posterior, chains, samples, stepSize } = config;
  if (!isSampler(posterior)) throw new TypeError(`${posterior} is no sampler`);
  return {
    ...config,
    method: posterior,
    kept: Math.ceil(samples / chains),
    stepSize: stepSize ?? DEFAULT_STEP[posterior],
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
  const start = existsSync(join(folder, STATE)) ? readState(folder, options) : undefined;
  const trace = readObservations(folder).filter(({ step }) => step <= (start?.step ?? 0));
  let latest = start;
  let saved = Date.now();
  const save = () => {
    writeFileAtomic(join(folder, TRACE), trace.map((line) => `${JSON.stringify(line)}\n`).join(''));
    if (latest) writeState(folder, latest);
    saved = Date.now();
  };
  const began = Date.now();
  let final: SamplingState;
  try {
    final = await sampleNetwork(model, train.images, train.rows, judged, options, engine, key, start, {
      signal: hooks.signal,
      observed: (observation) => trace.push(observation),
      sampled(number, parameters) {
        if (number < config.samples) writeSafetensors(samplePath(folder, number), parameters as never);
      },
      stepped(state, detail) {
        latest = state;
        hooks.progress?.('sampling', state.step, config.steps, detail);
        if (Date.now() - saved >= 1000 * config.checkpointEvery) save();
      },
    });
  } catch (error) {
    if (error instanceof DwpError && error.code === 'INTERRUPTED') {
      save();
      throw new DwpError(
        'INTERRUPTED',
        `${error.message}, checkpoint written`,
        `continue with dwp train --resume ${folder}`,
      );
    }
    throw error;
  }
  const seconds = (Date.now() - began) / 1000;
  save();
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
      yield* predictions(model, readSample(folder, i, problem), judged, 1, engine, foldIn(key, 'predict'));
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
  existsSync(join(folder, STATE)) ? Number(readSafetensors(join(folder, STATE)).metadata.step) : 0;

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

function writeState(folder: string, { step, places }: SamplingState): void {
  const tensors = Object.fromEntries(
    places.flatMap(({ position, velocity }, c) => [
      [`${c}/position`, f32([position.length], position)],
      [`${c}/velocity`, f32([velocity.length], velocity)],
    ]),
  );
  const steps = JSON.stringify(places.map(({ logStep, meanLogStep }) => [logStep, meanLogStep]));
  writeSafetensors(join(folder, STATE), tensors as never, { step: String(step), logSteps: steps });
}

const logSteps = z.array(z.tuple([z.number(), z.number()]));

function readState(folder: string, { chains, steps }: SamplingOptions): SamplingState {
  const path = join(folder, STATE);
  const { tensors, metadata } = readSafetensors(path);
  const step = Number(metadata.step);
  if (!Number.isSafeInteger(step) || step < 0 || step > steps)
    throw damaged(path, `step is ${metadata.step}, the run has ${steps}`);
  let sizes: z.infer<typeof logSteps>;
  try {
    sizes = logSteps.length(chains).parse(JSON.parse(metadata.logSteps));
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
    places: sizes.map(([logStep, meanLogStep], c) => ({
      ...{ position: vector(`${c}/position`), velocity: vector(`${c}/velocity`) },
      ...{ logStep, meanLogStep },
    })),
  };
}

/** Lines of chains.jsonl; a last line cut short by a crash is left out. */
export function readObservations(folder: string): Observation[] {
  const path = join(folder, TRACE);
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as Observation];
      } catch {
        return [];
      }
    });
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
      stepSizes: places.map(({ logStep }) => Math.exp(logStep)),
    }),
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
