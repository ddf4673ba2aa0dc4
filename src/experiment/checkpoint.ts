// The state of a training as one safetensors file: parameters, Adam's moments, and the step in its metadata.
import { join } from 'node:path';
import type { NdArray } from '../engine/index.js';
import { inputError } from '../errors.js';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.js';
import type { TrainingState } from '../train/train-network.js';

const PARTS = ['parameters', 'first', 'second'] as const;
const pathOf = (folder: string) => join(folder, 'checkpoint.safetensors');

export function writeCheckpoint(folder: string, { step, parameters, moments }: TrainingState): void {
  const groups = { parameters, first: moments.first, second: moments.second };
  const tensors = Object.fromEntries(
    PARTS.flatMap((part) => Object.entries(groups[part]).map(([name, array]) => [`${part}/${name}`, array])),
  );
  writeSafetensors(pathOf(folder), tensors as never, { step: String(step) });
}

/** @throws DwpError INPUT when the file is damaged: parts missing, shapes that differ, values that are not finite. */
export function readCheckpoint(folder: string): TrainingState {
  const path = pathOf(folder);
  const bad = (why: string) =>
    inputError(`${path}: ${why}`, 'the checkpoint is damaged: start the run again');
  const { tensors, metadata } = readSafetensors(path);
  const step = Number(metadata.step);
  if (!Number.isSafeInteger(step) || step < 0) throw bad(`step is ${metadata.step}`);
  const [parameters, first, second] = PARTS.map((part) =>
    Object.fromEntries(
      Object.entries(tensors)
        .filter(([name]) => name.startsWith(`${part}/`))
        .map(([name, tensor]): [string, NdArray] => {
          if (!tensor.data.every(Number.isFinite)) throw bad(`${name} holds values that are not finite`);
          return [name.slice(part.length + 1), tensor];
        }),
    ),
  );
  for (const [name, { shape }] of Object.entries(parameters))
    if (`${first[name]?.shape}` !== `${shape}` || `${second[name]?.shape}` !== `${shape}`)
      throw bad(`the moments of ${name} do not fit`);
  if (Object.keys(parameters).length === 0) throw bad('it holds no parameters');
  return { step, parameters, moments: { first, second } };
}
