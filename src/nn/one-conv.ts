// The smallest network that a prior of kernels can be tried on: max-pool 2 → conv 7×7 → LeakyReLU → max-pool → dense, no
// padding and no biases, so that all that is unknown of it has a prior, and Markov chains can be seen to mix.
import { usageError } from '../errors.js';
import type { Architecture, ConvLayer, ImageShape } from './architecture.js';

const KERNEL = 7;
const SLOPE = 0.01;
/** Positions of a feature in each direction, after the pool. */
const POSITIONS = 2;
/** The image is this much smaller for the convolution. */
const SHRINK = 2;

/**
 * @param channels output channels of the convolution
 * @throws DwpError USAGE for images that are too small
 */
export function oneConv(input: ImageShape, classes: number, channels: readonly number[] = [4]): Architecture {
  const { height, width } = input;
  const inputSize: [number, number] = [Math.floor(height / SHRINK), Math.floor(width / SHRINK)];
  if (channels.length !== 1)
    throw usageError(
      `one-conv has 1 convolution, ${channels.length} numbers of channels were given`,
      'give one number',
    );
  const outputSize: [number, number] = [inputSize[0] - KERNEL + 1, inputSize[1] - KERNEL + 1];
  const size = Math.floor(Math.min(...outputSize) / POSITIONS);
  if (size < 1)
    throw usageError(`images of ${height}×${width} are too small for one-conv`, 'it needs at least 16×16');
  const conv: ConvLayer = {
    ...{ kind: 'conv', name: 'conv1', shape: [channels[0], input.channels, KERNEL, KERNEL], pad: 'valid' },
    ...{ inputSize, outputSize, biased: false },
  };
  const positions = outputSize.map((n) => Math.floor(n / size)).reduce((a, b) => a * b);
  return {
    ...{ name: 'one-conv', input, classes },
    layers: [
      { kind: 'maxPool', size: SHRINK },
      conv,
      { kind: 'leakyRelu', slope: SLOPE },
      { kind: 'maxPool', size },
      { kind: 'flatten' },
      { kind: 'dense', name: 'dense', shape: [positions * channels[0], classes], biased: false },
    ],
  };
}
