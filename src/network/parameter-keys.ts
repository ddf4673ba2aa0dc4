// Keys of arrays in a flat record of a whole network. `conv1.mean` is the part `mean` of layer conv1;
// `conv1.auxiliary.logStd` is a part `logStd` of a group that is none of the layer's posterior. Files have the same names.
import { nested, prefixed } from '../engine/index.js';

/**
 * What is learned along with a layer: `adapted`, parameters of its prior; `auxiliary`, parameters of r(z|w); `chain`, the
 * step size of chains over ζ.
 */
export const LEARNED_ALONG = ['adapted', 'auxiliary', 'chain'] as const;
/** What a layer's noise of a training step is for. */
export const NOISE_USES = ['likelihood', 'prior'] as const;

export type KeyGroup = (typeof LEARNED_ALONG)[number] | (typeof NOISE_USES)[number];

const GROUPS: readonly string[] = [...LEARNED_ALONG, ...NOISE_USES];

export type ParameterKey = `${string}.${string}`;

/** A key taken apart. */
export interface KeyParts {
  layer: string;
  group?: KeyGroup;
  /** May have dots of its own. */
  part: string;
}

interface Named {
  name: string;
}

export const parameterKey = ({ name }: Named, part: string, group?: KeyGroup): ParameterKey =>
  group ? `${name}.${group}.${part}` : `${name}.${part}`;

/** Names of layers have no dots; of a key without a dot the part is empty. */
export function keyParts(key: string): KeyParts {
  const [layer, ...rest] = key.split('.');
  return rest.length > 1 && GROUPS.includes(rest[0])
    ? { layer, group: rest[0] as KeyGroup, part: rest.slice(1).join('.') }
    : { layer, part: rest.join('.') };
}

/** Whether the array belongs to what is learned along with a network: whether there is one depends on the priors. */
export const isLearnedAlong = (key: string): boolean =>
  (LEARNED_ALONG as readonly (string | undefined)[]).includes(keyParts(key).group);

/** What belongs to one layer, or to a group of it, by parts: `conv1.mean` → `mean`. */
export const layerPart = <T>(
  all: Readonly<Record<string, T>>,
  { name }: Named,
  group?: KeyGroup,
): Record<string, T> => nested(all, group ? `${name}.${group}` : name);

/** What belongs to a group, of the parts of one layer: `auxiliary.logStd` → `logStd`. */
export const groupPart = <T>(parts: Readonly<Record<string, T>>, group: KeyGroup): Record<string, T> =>
  nested(parts, group);

/** Parts of one layer, or of a group of it, by their keys: `mean` → `conv1.mean`. */
export const withKeys = <T>(
  parts: Readonly<Record<string, T>>,
  { name }: Named,
  group?: KeyGroup,
): Record<ParameterKey, T> => prefixed(parts, group ? `${name}.${group}` : name);

/** One part of every layer that has it, by layer: `conv1.mean` → `conv1`. */
export const partOfLayers = <T>(all: Readonly<Record<string, T>>, part: string): Record<string, T> =>
  Object.fromEntries(
    Object.entries(all).flatMap(([key, value]) => {
      const found = keyParts(key);
      return found.part === part && !found.group ? [[found.layer, value]] : [];
    }),
  );
