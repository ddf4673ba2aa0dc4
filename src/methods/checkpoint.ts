// The state of a training as one safetensors file: parameters, Adam's moments, and the step in its metadata.
import { join } from 'node:path';
import type { Model } from '../bounds/elbo.js';
import { f32, type NdArray, seedKey } from '../engine/index.js';
import { inputError } from '../errors.js';
import type { Network } from '../evaluate/index.js';
import { readSafetensors, writeSafetensors } from '../formats/safetensors.js';
import { convLayers, isLearnedAlong, weightShape } from '../network/index.js';
import type { Arrays } from '../priors/index.js';
import { auxiliaryParameters } from '../train/auxiliary.js';
import { initialState, type TrainingState } from '../train/train-network.js';

const PARTS = ['parameters', 'first', 'second', 'averages'] as const;
export const CHECKPOINT = 'checkpoint.safetensors';
const pathOf = (folder: string) => join(folder, CHECKPOINT);

/** Parameters of a component that is trained; the last one's are in the checkpoint. */
const componentPath = (folder: string, component: number) =>
  join(folder, 'components', `${String(component).padStart(4, '0')}.safetensors`);

/** Where a training is: the state of the component that is being trained. */
export interface Progress extends TrainingState {
  /** Counted from 0. */
  component: number;
}

export const writeComponent = (
  folder: string,
  component: number,
  { parameters, averages }: TrainingState,
): void => writeSafetensors(componentPath(folder, component), { ...parameters, ...averages });

/** Parameters and running averages of all components of a finished run. @throws as {@link readCheckpoint} */
export const readComponents = (folder: string, network?: Network | Model): Arrays[] => {
  const { component, parameters, averages } = readCheckpoint(folder, network);
  return [
    ...Array.from({ length: component }, (_, c) =>
      checkedParameters(componentPath(folder, c), readSafetensors(componentPath(folder, c)).tensors, network),
    ),
    { ...parameters, ...averages },
  ];
};

export function writeCheckpoint(
  folder: string,
  { component, step, parameters, moments, averages }: Progress,
): void {
  const groups = { parameters, first: moments.first, second: moments.second, averages };
  const tensors = Object.fromEntries(
    PARTS.flatMap((part) => Object.entries(groups[part]).map(([name, array]) => [`${part}/${name}`, array])),
  );
  writeSafetensors(pathOf(folder), tensors, {
    step: String(step),
    component: String(component),
  });
}

/**
 * @param network whose parameters they must be; of one without priors, what is learned along with it is let through
 * @throws DwpError INPUT when the file is damaged: parts missing, shapes that differ, values that are not finite
 */
export function readCheckpoint(folder: string, network?: Network | Model): Progress {
  const path = pathOf(folder);
  const bad = damage(path);
  const { tensors, metadata } = readSafetensors(path);
  const step = Number(metadata.step);
  if (!Number.isSafeInteger(step) || step < 0) throw bad(`step is ${metadata.step}`);
  const component = Number(metadata.component ?? 0); // there was but one at first
  if (!Number.isSafeInteger(component) || component < 0 || component > 1000)
    throw bad(`component is ${metadata.component}`);
  const [parameters, first, second, averages] = PARTS.map((part) =>
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
  checkedParameters(path, { ...parameters, ...averages }, network);
  return { component, step, parameters, moments: { first, second }, averages };
}

const damage = (path: string) => (why: string) =>
  inputError(`${path}: ${why}`, 'the checkpoint is damaged: start the run again');

function checkedParameters(path: string, parameters: Arrays, network?: Network | Model): Arrays {
  const bad = damage(path);
  if (Object.keys(parameters).length === 0) throw bad('it holds no parameters');
  for (const [name, { data }] of Object.entries(parameters))
    if (!data.every(Number.isFinite)) throw bad(`${name} holds values that are not finite`);
  if (network) {
    const expected = parameterShapes(network);
    for (const [name, shape] of Object.entries(expected))
      if (`${parameters[name]?.shape}` !== `${shape}`)
        throw bad(`${name} has shape [${parameters[name]?.shape ?? 'none'}], the network's is [${shape}]`);
    for (const name of Object.keys(parameters))
      if (!Object.hasOwn(expected, name) && ('priors' in network || !isLearnedAlong(name)))
        throw bad(`the network has no parameter ${name}`);
  }
  return parameters;
}

/** Shapes of everything that the network trains, and of its running averages, by name. */
export function parameterShapes(network: Network | Model): Record<string, readonly number[]> {
  const { architecture, posterior } = network;
  const weights = Object.fromEntries(
    convLayers(architecture).map((layer) => [layer.name, f32(weightShape(layer))]),
  );
  const auxiliary = 'priors' in network ? auxiliaryParameters(network) : {};
  const { parameters, averages } = initialState({
    architecture,
    posterior,
    weights,
    logStd: 0,
    key: seedKey(0),
    auxiliary,
  });
  return Object.fromEntries(
    Object.entries({ ...parameters, ...averages }).map(([name, { shape }]) => [name, shape]),
  );
}
