// q(W) = Π N(w | mean, std²), every weight on its own.
import { reparameterise } from '../distributions/normal.js';
import { f32, spec } from '../engine/index.js';
import { weightShape } from '../network/index.js';
import { applyNormal, normalNoise } from './estimators.js';
import { type Arrays, kernelRows, type Posterior, type Tensors } from './posterior.js';

/** Mean at the given weights and one log standard deviation for all, both [out, in, h, w]. */
export const normalParameters: (...given: Parameters<Posterior['initial']>) => Arrays = (
  _,
  { shape, data },
  logStd,
) => ({
  mean: f32(shape, Float32Array.from(data)),
  logStd: f32(shape, new Float32Array(data.length).fill(logStd)),
});

const normalOf = ({ mean, logStd }: Tensors) => ({ mean, logStd });

export const meanField: Posterior = {
  name: 'mean-field',
  initial: normalParameters,
  noise: normalNoise,
  apply: (layer, parameters, x, noise, estimator) =>
    applyNormal(layer, normalOf(parameters), x, noise, estimator),
  sampleNoise: (layer) => ({ weights: spec(weightShape(layer)) }),
  sample: (_, parameters, { weights }) => reparameterise(normalOf(parameters), weights),
  kernels: (layer, { mean, logStd }, rows) => ({
    kind: 'diagonal',
    mean: kernelRows(layer, mean, rows),
    logStd: kernelRows(layer, logStd, rows),
  }),
};
