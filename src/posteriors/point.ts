// A single value of the weights: deterministic training.
import { f32 } from '../engine/index.js';
import { convolve } from '../nn/index.js';
import type { Posterior } from './posterior.js';

export const point: Posterior = {
  name: 'point',
  initial: (weights) => ({ mean: f32(weights.shape, Float32Array.from(weights.data)) }),
  noise: () => ({}),
  convolve: (layer, { mean }, x) => convolve(layer, x, mean),
  sampleNoise: () => ({}),
  sample: ({ mean }) => mean,
};
