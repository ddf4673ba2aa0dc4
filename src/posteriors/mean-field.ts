// q(W) = Π N(w | mean, std²), every weight on its own.
import { reparameterise } from '../distributions/normal.js';
import { f32, spec, tf } from '../engine/index.js';
import { convolve } from '../nn/index.js';
import { kernelRows, type Posterior, type Specs } from './posterior.js';

/** Keeps the square root of an activation's variance differentiable where all inputs are 0. */
const VARIANCE_FLOOR = 1e-12;

export const meanField: Posterior = {
  name: 'mean-field',
  initial: (weights, logStd) => ({
    mean: f32(weights.shape, Float32Array.from(weights.data)),
    logStd: f32(weights.shape, new Float32Array(weights.data.length).fill(logStd)),
  }),
  noise: ({ outputSize: [h, w], shape }, batch, estimator): Specs =>
    estimator === 'weight-samples'
      ? { weights: spec(shape) }
      : { activations: spec([batch, h, w, shape[0]]) },
  convolve(layer, parameters, x, noise, estimator) {
    if (estimator === 'weight-samples') return convolve(layer, x, this.sample(parameters, noise));
    // Local reparameterisation (Kingma et al. 2015): x ⋆ W is normal with mean x ⋆ m and variance x² ⋆ s².
    const mean = convolve(layer, x, parameters.mean);
    const variance = convolve(layer, tf.square(x), tf.exp(tf.mul(parameters.logStd, 2)));
    return tf.add(mean, tf.mul(tf.sqrt(tf.add(variance, VARIANCE_FLOOR)), noise.activations));
  },
  sampleNoise: ({ shape }) => ({ weights: spec(shape) }),
  sample: (parameters, { weights }) =>
    reparameterise({ mean: parameters.mean, logStd: parameters.logStd }, weights),
  kernels: (layer, { mean, logStd }, rows) => ({
    kind: 'diagonal',
    mean: kernelRows(layer, mean, rows),
    logStd: kernelRows(layer, logStd, rows),
  }),
};
