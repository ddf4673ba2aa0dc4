// The CIFAR network of Atanov et al. 2019 (section 4.1): conv 7×7 → max-pool 2 → conv 5×5 → conv 5×5 → dense 512 → dense,
// LeakyReLU after each but the last, no padding.
import { SLOPE } from './lenet.js';
import type { NamedArchitecture } from './named.js';

export const cifar: NamedArchitecture = {
  description: 'conv 7×7, two conv 5×5 and two dense layers, of the paper for CIFAR-10',
  channels: [128, 256, 256, 512],
  layers: ([first, second, third, hidden], classes) => [
    { kind: 'conv', channels: first, kernel: 7 },
    { kind: 'leaky-relu', slope: SLOPE },
    { kind: 'max-pool', size: 2 },
    { kind: 'conv', channels: second, kernel: 5 },
    { kind: 'leaky-relu', slope: SLOPE },
    { kind: 'conv', channels: third, kernel: 5 },
    { kind: 'leaky-relu', slope: SLOPE },
    { kind: 'flatten' },
    { kind: 'dense', units: hidden },
    { kind: 'leaky-relu', slope: SLOPE },
    { kind: 'dense', units: classes },
  ],
};
