// The smallest network that a prior of kernels can be tried on: max-pool 2 → conv 7×7 → LeakyReLU → max-pool → dense, no
// padding and no biases, so that all that is unknown of it has a prior, and Markov chains can be seen to mix.
import { SLOPE } from './lenet.js';
import type { NamedArchitecture } from './named.js';

const KERNEL = 7;
/** Positions of a feature in each direction, after the last pool. */
const POSITIONS = 2;
/** The image is this much smaller for the convolution. */
const SHRINK = 2;

export const oneConv: NamedArchitecture = {
  description: 'one conv 7×7 and a dense layer, without biases, for Markov chains',
  channels: [4],
  layers([channels], classes, { height, width }) {
    const positions = Math.floor(Math.min(height, width) / SHRINK) - KERNEL + 1;
    return [
      { kind: 'max-pool', size: SHRINK },
      { kind: 'conv', name: 'conv1', channels, kernel: KERNEL, bias: false },
      { kind: 'leaky-relu', slope: SLOPE },
      { kind: 'max-pool', size: Math.max(1, Math.floor(positions / POSITIONS)) },
      { kind: 'flatten' },
      { kind: 'dense', units: classes, bias: false },
    ];
  },
};
