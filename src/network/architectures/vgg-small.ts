// A small network of 3×3 convolutions in pairs, as VGG's (Simonyan & Zisserman 2015), with a mean over positions in place
// of the large dense layers.
import type { NamedArchitecture } from './named.js';

const pairOf = (channels: number) =>
  [0, 1].flatMap(() => [{ kind: 'conv', channels, kernel: 3, padding: 'same' }, { kind: 'relu' }]);

export const vggSmall: NamedArchitecture = {
  description: 'six conv 3×3 in pairs, pools between them, and a dense layer',
  channels: [32, 64, 128],
  layers: ([first, second, third], classes) => [
    ...pairOf(first),
    { kind: 'max-pool', size: 2 },
    ...pairOf(second),
    { kind: 'max-pool', size: 2 },
    ...pairOf(third),
    { kind: 'global-average-pool' },
    { kind: 'dense', units: classes },
  ],
};
