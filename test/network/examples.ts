// One small network around a layer of every kind, for tests that loop over the kinds.
import type { LayerDescription } from '../../src/network/index.js';

/** Layers before the classifier, and the images that they are for. */
export interface KindExample {
  title: string;
  layers: LayerDescription[];
  input?: { height: number; width: number; channels: number };
}

export const INPUT = { height: 7, width: 6, channels: 4 };

export const examples: readonly KindExample[] = [
  { title: 'conv', layers: [{ kind: 'conv', channels: 3, kernel: [3, 2] }] },
  {
    title: 'conv, same, stride 2',
    layers: [{ kind: 'conv', channels: 3, kernel: 3, stride: 2, padding: 'same' }],
  },
  {
    title: 'conv, padding of each side, strides that differ',
    layers: [{ kind: 'conv', channels: 3, kernel: [2, 3], stride: [2, 1], padding: [1, 0, 2, 1] }],
  },
  { title: 'conv, dilation', layers: [{ kind: 'conv', channels: 3, kernel: 3, dilation: 2, padding: 2 }] },
  { title: 'conv, groups', layers: [{ kind: 'conv', channels: 6, kernel: 3, groups: 2, padding: 1 }] },
  { title: 'conv without bias', layers: [{ kind: 'conv', channels: 2, kernel: 1, bias: false }] },
  {
    title: 'depthwise-conv',
    layers: [{ kind: 'depthwise-conv', kernel: 3, stride: 2, padding: 'same', multiplier: 2 }],
  },
  { title: 'transposed-conv', layers: [{ kind: 'transposed-conv', channels: 3, kernel: 3 }] },
  {
    title: 'transposed-conv, even kernel',
    layers: [{ kind: 'transposed-conv', channels: 2, kernel: 4, stride: 2 }],
  },
  {
    title: 'transposed-conv, valid',
    layers: [{ kind: 'transposed-conv', channels: 2, kernel: [2, 3], stride: [3, 2], padding: 'valid' }],
  },
  {
    title: 'dense',
    layers: [
      { kind: 'flatten', name: 'vector' },
      { kind: 'dense', units: 5 },
    ],
  },
  { title: 'batch-norm', layers: [{ kind: 'batch-norm' }] },
  { title: 'batch-norm without scale', layers: [{ kind: 'batch-norm', scale: false, epsilon: 0.01 }] },
  { title: 'batch-norm of a vector', layers: [{ kind: 'global-max-pool' }, { kind: 'batch-norm' }] },
  { title: 'affine', layers: [{ kind: 'affine' }] },
  {
    title: 'affine of a vector, without offset',
    layers: [{ kind: 'global-max-pool' }, { kind: 'affine', offset: false }],
  },
  { title: 'layer-norm', layers: [{ kind: 'layer-norm' }] },
  { title: 'group-norm', layers: [{ kind: 'group-norm', groups: 2 }] },
  { title: 'layer-norm of a vector', layers: [{ kind: 'flatten', name: 'vector' }, { kind: 'layer-norm' }] },
  ...[
    'leaky-relu',
    'relu',
    'relu6',
    'gelu',
    'silu',
    'hard-swish',
    'elu',
    'selu',
    'softplus',
    'tanh',
    'sigmoid',
    'hard-sigmoid',
  ].map((kind) => ({ title: kind, layers: [{ kind }] })),
  { title: 'max-pool', layers: [{ kind: 'max-pool', size: 2 }] },
  { title: 'max-pool, overlapping', layers: [{ kind: 'max-pool', size: 3, stride: 2, padding: 1 }] },
  { title: 'average-pool', layers: [{ kind: 'average-pool', size: [2, 3] }] },
  { title: 'average-pool, same', layers: [{ kind: 'average-pool', size: 3, stride: 2, padding: 'same' }] },
  { title: 'global-average-pool', layers: [{ kind: 'global-average-pool' }] },
  { title: 'global-max-pool', layers: [{ kind: 'global-max-pool' }] },
  { title: 'flatten', layers: [{ kind: 'flatten' }] },
  { title: 'dropout', layers: [{ kind: 'dropout', rate: 0.3 }] },
  {
    title: 'multiply',
    layers: [
      { kind: 'conv', name: 'a', channels: 4, kernel: 3, padding: 'same' },
      { kind: 'multiply', inputs: ['images', 'a'] },
    ],
  },
  {
    title: 'multiply, factors of channels',
    layers: [
      { kind: 'global-max-pool', name: 'a' },
      { kind: 'multiply', inputs: ['a', 'images'] },
    ],
  },
  {
    title: 'add',
    layers: [
      { kind: 'conv', name: 'a', channels: 4, kernel: 3, padding: 'same' },
      { kind: 'add', inputs: ['images', 'a'] },
    ],
  },
  {
    title: 'concat',
    layers: [
      { kind: 'conv', name: 'a', channels: 2, kernel: 3, padding: 'same' },
      { kind: 'concat', inputs: ['a', 'images'] },
    ],
  },
];
