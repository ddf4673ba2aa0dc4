// A small network of separable convolutions (Howard et al. 2017): a 3×3 depthwise one that sees each channel alone, and a
// 1×1 one that mixes channels.
import type { NamedArchitecture } from './named.js';

const separable = (channels: number, stride: number) => [
  { kind: 'depthwise-conv', kernel: 3, stride, padding: 'same', bias: false },
  { kind: 'batch-norm' },
  { kind: 'relu' },
  { kind: 'conv', channels, kernel: 1, bias: false },
  { kind: 'batch-norm' },
  { kind: 'relu' },
];

export const depthwiseSmall: NamedArchitecture = {
  description: 'a conv 3×3, three separable ones with batch normalisation, and a dense layer',
  channels: [32, 64, 128, 128],
  layers: ([first, ...others], classes) => [
    { kind: 'conv', channels: first, kernel: 3, padding: 'same', bias: false },
    { kind: 'batch-norm' },
    { kind: 'relu' },
    ...others.flatMap((channels) => separable(channels, 2)),
    { kind: 'global-average-pool' },
    { kind: 'dense', units: classes },
  ],
};
