// A single value of the weights: deterministic training.
import { f32 } from '../engine/index.js';
import { applyWeights } from '../network/index.js';
import type { Posterior } from './posterior.js';

export const point: Posterior = {
  name: 'point',
  initial: (_, { shape, data }) => ({ mean: f32(shape, Float32Array.from(data)) }),
  noise: () => ({}),
  apply: (layer, { mean }, x) => applyWeights(layer, x, mean),
  sampleNoise: () => ({}),
  sample: (_, { mean }) => mean,
};
