// N(0, σ²I): the usual baseline, with σ given or fitted.
import { z } from 'zod';
import { LOG_2PI } from '../distributions/normal.js';
import { f32, spec, tf } from '../engine/index.js';
import { positiveNumberOr } from './fields.js';
import { requirePositive, requireShapes } from './parameters.js';
import { type KernelPrior, type KernelSize, kernelLength, type PriorFamily } from './prior.js';

const config = z.object({
  std: positiveNumberOr('fitted')
    .default('fitted')
    .describe('standard deviation s; fitted means the root mean square of the kernels'),
});
type Config = z.infer<typeof config>;

export const normal: PriorFamily<Config> = {
  name: 'normal',
  summary: 'isotropic normal N(0, s²I); s is given or fitted',
  automatic: () => ({}),
  config,
  compared: [
    { name: 'standard-normal', label: 'N(0, I)', config: { std: 1 } },
    { name: 'normal', label: 'N(0, s²I)', config: {} },
  ],
  fit: {
    kind: 'closed-form',
    parameters: ({ data }, { std }) => ({
      std: f32(
        [],
        Float32Array.of(
          std === 'fitted' ? Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length) : std,
        ),
      ),
    }),
  },
  prior: (size, config, given) => {
    const { std } = requireShapes(given, { std: [] });
    requirePositive('std', std.data);
    return isotropicNormal(size, config, std.data[0]);
  },
  freeNumbers: (_, { std }) => (std === 'fitted' ? 1 : 0),
};

/** N(0, std²I) over kernels of any size. */
export function isotropicNormal(size: KernelSize, config: Record<string, unknown>, std: number): KernelPrior {
  const d = kernelLength(size);
  const constant = -d * (Math.log(std) + 0.5 * LOG_2PI);
  return {
    family: 'normal',
    size,
    config,
    parameters: { std: f32([], Float32Array.of(std)) },
    generateNoise: (n) => ({ kernels: spec([n, d]) }),
    generate: (_, { kernels }) => tf.mul(kernels, std),
    density: {
      kind: 'exact',
      logDensity: (_, w) => tf.add(tf.mul(tf.sum(tf.square(w), -1), -0.5 / std ** 2), constant),
      // (13) E_q log N(w | 0, σ²I) = −½ Σ (mean² + std²)/σ² − d log σ − ½ d log 2π
      expectedLogDensity: (_, { mean, logStd }) => {
        const secondMoment = tf.add(tf.square(mean), tf.exp(tf.mul(logStd, 2)));
        return tf.add(tf.mul(tf.sum(secondMoment, 1), -0.5 / std ** 2), constant);
      },
    },
  };
}
