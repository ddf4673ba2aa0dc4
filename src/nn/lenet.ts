// The LeNet-like network of Atanov et al. 2019 (section 4.1): conv 7×7 → LeakyReLU → max-pool 2 → conv 5×5 →
// LeakyReLU → max-pool 2 → dense, no padding.
import { usageError } from '../errors.js';
import type { Architecture, ConvLayer, ImageShape, Layer } from './architecture.js';

/** Slope below zero, as in the published code. */
const SLOPE = 0.01;

/**
 * @param channels output channels of the two convolutions; 32 and 128 in the paper
 * @throws DwpError USAGE for images too small for the two convolutions
 */
export function lenet(
  input: ImageShape,
  classes: number,
  channels: readonly number[] = [32, 128],
): Architecture {
  if (channels.length !== 2)
    throw usageError(
      `lenet has 2 convolutions, ${channels.length} numbers of channels were given`,
      'give one for each convolution',
    );
  const layers: Layer[] = [];
  let size: [number, number] = [input.height, input.width];
  let depth = input.channels;
  for (const [i, kernel] of [7, 5].entries()) {
    const outputSize: [number, number] = [size[0] - kernel + 1, size[1] - kernel + 1];
    if (Math.min(...outputSize) < 2)
      throw usageError(
        `images of ${input.height}×${input.width} are too small for lenet`,
        'it needs at least 18×18',
      );
    const conv: ConvLayer = {
      kind: 'conv',
      name: `conv${i + 1}`,
      shape: [channels[i], depth, kernel, kernel],
      pad: 'valid',
      inputSize: size,
      outputSize,
    };
    layers.push(conv, { kind: 'leakyRelu', slope: SLOPE }, { kind: 'maxPool', size: 2 });
    size = [Math.floor(outputSize[0] / 2), Math.floor(outputSize[1] / 2)];
    depth = channels[i];
  }
  layers.push(
    { kind: 'flatten' },
    { kind: 'dense', name: 'dense', shape: [size[0] * size[1] * depth, classes] },
  );
  return { name: 'lenet', input, classes, layers };
}
