// The state of a training as one safetensors file: parameters, Adam's moments, and the step in its metadata.
import { join } from 'node:path';
import { ADAPTED, AUXILIARY, CHAINS, type Model } from '../bounds/elbo.js';
import { f32, type NdArray, seedKey } from '../engine/index.js';
import { inputError } from '../errors.js';
import type { Network } from '../evaluate/index.js';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.js';
import { convLayers } from '../nn/index.js';
import { auxiliaryParameters } from '../train/auxiliary.js';
import { initialState, type TrainingState } from '../train/train-network.js';

const PARTS = ['parameters', 'first', 'second'] as const;
export const CHECKPOINT = 'checkpoint.safetensors';
/** Names of what is learned along: it depends on the priors. */
const ALONG = new RegExp(`\\.(${ADAPTED.name}|${AUXILIARY.name}|${CHAINS.name})\\.`);
const pathOf = (folder: string) => join(folder, CHECKPOINT);

export function writeCheckpoint(folder: string, { step, parameters, moments }: TrainingState): void {
  const groups = { parameters, first: moments.first, second: moments.second };
  const tensors = Object.fromEntries(
    PARTS.flatMap((part) => Object.entries(groups[part]).map(([name, array]) => [`${part}/${name}`, array])),
  );
  writeSafetensors(pathOf(folder), tensors as never, { step: String(step) });
}

/**
 * @param network whose parameters they must be; of one without priors, what is learned along with it is let through
 * @throws DwpError INPUT when the file is damaged: parts missing, shapes that differ, values that are not finite
 */
export function readCheckpoint(folder: string, network?: Network | Model): TrainingState {
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
  for (const [name, { shape }] of Object.entries(parameters)) {
    if (`${first[name]?.shape}` !== `${shape}` || `${second[name]?.shape}` !== `${shape}`)
      throw bad(`the moments of ${name} do not fit`);
    if (second[name].data.some((x) => x < 0)) throw bad(`a mean square of ${name} is below 0`);
  }
  if (Object.keys(parameters).length === 0) throw bad('it holds no parameters');
  if (network) {
    const expected = parameterShapes(network);
    for (const [name, shape] of Object.entries(expected))
      if (`${parameters[name]?.shape}` !== `${shape}`)
        throw bad(`${name} has shape [${parameters[name]?.shape ?? 'none'}], the network's is [${shape}]`);
    for (const name of Object.keys(parameters))
      if (!Object.hasOwn(expected, name) && ('priors' in network || !ALONG.test(name)))
        throw bad(`the network has no parameter ${name}`);
  }
  return { step, parameters, moments: { first, second } };
}

/** Shapes of everything that the network trains, by name. */
export function parameterShapes(network: Network | Model): Record<string, readonly number[]> {
  const { architecture, posterior } = network;
  const weights = Object.fromEntries(convLayers(architecture).map(({ name, shape }) => [name, f32(shape)]));
  const auxiliary = 'priors' in network ? auxiliaryParameters(network) : {};
  const { parameters } = initialState(architecture, posterior, weights, 0, seedKey(0), auxiliary);
  return Object.fromEntries(Object.entries(parameters).map(([name, { shape }]) => [name, shape]));
}
