// The LeNet-like network of Atanov et al. 2019 (section 4.1): conv 7×7 → LeakyReLU → max-pool 2 → conv 5×5 →
// LeakyReLU → max-pool 2 → dense, no padding.
import type { NamedArchitecture } from './named.js';

/** Slope below zero, as in the published code. */
export const SLOPE = 0.01;

export const lenet: NamedArchitecture = {
  description: 'conv 7×7, conv 5×5 and a dense layer, of the paper for MNIST',
  channels: [32, 128],
  layers: ([first, second], classes) => [
    { kind: 'conv', channels: first, kernel: 7 },
    { kind: 'leaky-relu', slope: SLOPE },
    { kind: 'max-pool', size: 2 },
    { kind: 'conv', channels: second, kernel: 5 },
    { kind: 'leaky-relu', slope: SLOPE },
    { kind: 'max-pool', size: 2 },
    { kind: 'flatten' },
    { kind: 'dense', units: classes },
  ],
};
