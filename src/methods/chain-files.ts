// What a run by Markov chains keeps in its folder: chains.jsonl (what was observed), chains.safetensors (where the chains
// are), and samples/NNNN.safetensors (networks that predictions average over).
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Model } from '../bounds/elbo.js';
import { f32, type NdArray } from '../engine/index.js';
import { inputError } from '../errors.js';
import type { Network } from '../evaluate/index.js';
import { writeFileAtomic } from '../formats/files.js';
import { hasNumbers, readJsonLines } from '../formats/read-file.js';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.js';
import type { Observation, SamplingOptions, SamplingState } from '../train/sample-network.js';
import { parameterShapes } from './checkpoint.js';

const CHAINS_STATE = 'chains.safetensors';
const TRACE = 'chains.jsonl';

export const hasState = (folder: string): boolean => existsSync(join(folder, CHAINS_STATE));

/** The step that a run by chains has come to. */
export const stepOfChains = (folder: string): number =>
  Number(readSafetensors(join(folder, CHAINS_STATE)).metadata.step);

export const hasSample = (folder: string, number: number): boolean => existsSync(samplePath(folder, number));

export const writeSample = (folder: string, number: number, parameters: Record<string, NdArray>): void =>
  writeSafetensors(samplePath(folder, number), parameters);

const samplePath = (folder: string, number: number) =>
  join(folder, 'samples', `${String(number).padStart(4, '0')}.safetensors`);

/** @throws DwpError INPUT where it is not one of this network */
export function readSample(
  folder: string,
  number: number,
  network?: Network | Model,
): Record<string, NdArray> {
  const path = samplePath(folder, number);
  const { tensors } = readSafetensors(path);
  for (const [name, shape] of Object.entries(network ? parameterShapes(network) : {})) {
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

export function writeState(folder: string, { step, places }: SamplingState): void {
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

export function readState(folder: string, { chains, steps }: SamplingOptions): SamplingState {
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

export const writeObservations = (folder: string, trace: readonly Observation[]): void =>
  writeFileAtomic(join(folder, TRACE), trace.map((line) => `${JSON.stringify(line)}\n`).join(''));

/** Lines of chains.jsonl; a last line cut short by a crash is left out. */
export function readObservations(folder: string): Observation[] {
  const path = join(folder, TRACE);
  if (!existsSync(path)) return [];
  const fits = (value: unknown): value is Observation =>
    hasNumbers(value, 'chain', 'step') && hasNumbers(Object((value as Observation).values));
  return readJsonLines(path, fits);
}
