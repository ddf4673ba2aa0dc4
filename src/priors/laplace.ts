// Independent Laplace densities, one width for each pixel: heavier tails than a normal's, and a peak at 0.
import { z } from 'zod';
import { f32, spec, tf } from '../engine/index.js';
import { requirePositive, requireShapes } from './parameters.js';
import { kernelLength, type PriorFamily } from './prior.js';

const config = z.object({});
type Config = z.infer<typeof config>;

export const laplace: PriorFamily<Config> = {
  name: 'laplace',
  summary: 'independent Laplace densities, with a width for each pixel',
  automatic: () => ({}),
  config,
  compared: [{ name: 'laplace', label: 'Laplace', config: {} }],
  fit: {
    kind: 'closed-form',
    // b_j = mean of |w_j|, which is maximum likelihood
    parameters(kernels) {
      const { data, count } = kernels;
      const d = kernelLength(kernels);
      const width = new Float64Array(d);
      for (let i = 0; i < count; i++)
        for (let j = 0; j < d; j++) width[j] += Math.abs(data[i * d + j]) / count;
      return {
        width: f32(
          [d],
          Float32Array.from(width, (b) => Math.max(b, 1e-12)),
        ),
      };
    },
  },
  prior(size, config, given) {
    const d = kernelLength(size);
    const parameters = requireShapes(given, { width: [d] });
    requirePositive('width', parameters.width.data);
    // −Σ_j [ |w_j| / b_j + log 2 b_j ]
    const density = (absolute: tf.Tensor, width: tf.Tensor) =>
      tf.neg(tf.sum(tf.add(tf.div(absolute, width), tf.log(tf.mul(width, 2))), -1));
    return {
      family: 'laplace',
      size,
      config,
      parameters,
      generateNoise: (n) => ({ kernels: spec([n, d]), first: spec([n, d]), second: spec([n, d]) }),
      // A normal times the square root of twice an exponential; χ²₂ is twice an exponential.
      generate: ({ width }, { kernels, first, second }) =>
        tf.mul(tf.mul(kernels, tf.sqrt(tf.add(tf.square(first), tf.square(second)))), width),
      density: {
        kind: 'exact',
        logDensity: ({ width }, w) => density(tf.abs(w), width),
        // (54) E|w| = s √(2/π) exp(−m²/2s²) + m erf(m / √2 s), of a normal with mean m and std s
        expectedLogDensity({ width }, { mean, logStd }) {
          const ratio = tf.mul(mean, tf.exp(tf.neg(logStd)));
          const peak = tf.mul(
            tf.mul(tf.exp(logStd), Math.sqrt(2 / Math.PI)),
            tf.exp(tf.mul(tf.square(ratio), -0.5)),
          );
          return density(tf.add(peak, tf.mul(mean, tf.erf(tf.mul(ratio, Math.SQRT1_2)))), width);
        },
      },
    };
  },
};
