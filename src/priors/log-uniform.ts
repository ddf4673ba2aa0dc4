// The log-uniform prior of variational dropout (Kingma et al. 2015), made a density: 1/(|w| + a) up to |w| = b, and
// (b + a)/(|w| + a)² beyond; a is where it stops to rise towards 0. Every value on its own.
import { z } from 'zod';
import { f32, spec, tf } from '../engine/index.js';
import { positiveNumber } from './fields.js';
import { requirePositive, requireShapes } from './parameters.js';
import { kernelLength, type PriorFamily } from './prior.js';

const config = z.object({
  floor: positiveNumber(1)
    .default(1e-3)
    .describe(
      'value of |w| below which the density is constant, relative to the root mean square of the kernels',
    ),
});
type Config = z.infer<typeof config>;

export const logUniform: PriorFamily<Config> = {
  name: 'log-uniform',
  summary: 'independent weights with the density 1/|w| between a floor and the largest value',
  config,
  compared: [{ name: 'log-uniform', label: 'log-uniform', config: {} }],
  fit: {
    kind: 'closed-form',
    parameters({ data }, { floor }) {
      const square = data.reduce((sum, x) => sum + x * x, 0) / data.length;
      const largest = data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      return {
        floor: f32([], Float32Array.of(floor * Math.sqrt(square))),
        largest: f32([], Float32Array.of(largest)),
      };
    },
  },
  prior(size, config, given) {
    const d = kernelLength(size);
    const parameters = requireShapes(given, { floor: [], largest: [] });
    for (const name of ['floor', 'largest']) requirePositive(name, parameters[name].data);
    const [a, b] = [parameters.floor.data[0], parameters.largest.data[0]];
    const length = Math.log((a + b) / a); // ∫₀ᵇ 1/(w + a) dw; the tail beyond b adds 1
    const constant = -Math.log(2 * (length + 1));
    return {
      family: 'log-uniform',
      size,
      config,
      parameters,
      generateNoise: (n) => ({ sign: spec([n, d]), magnitude: spec([n, d]) }),
      // |w| by inversion: a (eᵗ − 1) for t below `length`, (b + a)/(1 − (t − length)) − a above, t uniform
      generate(_, { sign, magnitude }) {
        const uniform = tf.mul(tf.add(tf.erf(tf.mul(magnitude, Math.SQRT1_2)), 1), 0.5 * (length + 1));
        const inside = tf.mul(tf.sub(tf.exp(tf.minimum(uniform, length)), 1), a);
        const rest = tf.clipByValue(tf.sub(uniform, length), 0, 1 - 1e-6);
        const outside = tf.sub(tf.div(a + b, tf.sub(1, rest)), a);
        return tf.mul(tf.sign(sign), tf.where(tf.less(uniform, length), inside, outside));
      },
      density: {
        kind: 'exact',
        logDensity(_, w) {
          const log = tf.log(tf.add(tf.abs(w), a));
          return tf.sum(tf.sub(constant, tf.add(log, tf.relu(tf.sub(log, Math.log(a + b))))), -1);
        },
      },
    };
  },
};
