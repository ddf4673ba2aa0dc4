// Architectures by name: a new one is one file and one line.
import { usageError } from '../../errors.js';
import { type Architecture, fitArchitecture, type ImageShape } from '../architecture.js';
import { cifar } from './cifar.js';
import { depthwiseSmall } from './depthwise-small.js';
import { lenet } from './lenet.js';
import type { NamedArchitecture } from './named.js';
import { oneConv } from './one-conv.js';
import { resnet8, resnet20 } from './resnet.js';
import { threeConv } from './three-conv.js';
import { vggSmall } from './vgg-small.js';

export type { NamedArchitecture } from './named.js';

/** By name; a program may add architectures of its own. */
export const architectures: Map<string, NamedArchitecture> = new Map([
  ['lenet', lenet],
  ['cifar', cifar],
  ['3conv3fc', threeConv],
  ['vgg-small', vggSmall],
  ['resnet-8', resnet8],
  ['resnet-20', resnet20],
  ['depthwise-small', depthwiseSmall],
  ['one-conv', oneConv],
]);

/** Numbers of channels, all multiplied by `width`: at least one each. */
export const scaledChannels = (channels: readonly number[], width: number): number[] =>
  channels.map((count) => Math.max(1, Math.round(count * width)));

/**
 * @param channels numbers of channels; those of width 1 where nothing is said
 * @throws DwpError USAGE for an unknown name, another number of channels than the network has, and images that are too small
 */
export function namedArchitecture(
  name: string,
  input: ImageShape,
  classes: number,
  channels?: readonly number[],
): Architecture {
  const found = architectures.get(name);
  if (!found)
    throw usageError(
      `there is no architecture called ${name}`,
      `known: ${[...architectures.keys()].join(', ')}`,
    );
  const counts = channels ?? found.channels;
  if (counts.length !== found.channels.length)
    throw usageError(
      `${name} takes ${found.channels.length} number${found.channels.length === 1 ? '' : 's'} of channels, not ${counts.length}`,
      `at width 1 they are ${found.channels.join(' ')}`,
    );
  return fitArchitecture(name, input, classes, (size) => found.layers(counts, classes, size));
}
