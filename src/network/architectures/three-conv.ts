// 3Conv3FC, which Bayesian CNNs are often compared on (Shridhar et al. 2019): three conv 5×5 with overlapping pools, three
// dense layers, softplus after each but the last.
import type { NamedArchitecture } from './named.js';

const block = (channels: number, padding: number) => [
  { kind: 'conv', channels, kernel: 5, padding },
  { kind: 'softplus' },
  { kind: 'max-pool', size: 3, stride: 2 },
];

export const threeConv: NamedArchitecture = {
  description: 'three conv 5×5 with overlapping pools and three dense layers (3Conv3FC)',
  channels: [32, 64, 128, 1000, 1000],
  layers: ([first, second, third, hidden, last], classes) => [
    ...block(first, 2),
    ...block(second, 2),
    ...block(third, 1),
    { kind: 'flatten' },
    { kind: 'dense', units: hidden },
    { kind: 'softplus' },
    { kind: 'dense', units: last },
    { kind: 'softplus' },
    { kind: 'dense', units: classes },
  ],
};
