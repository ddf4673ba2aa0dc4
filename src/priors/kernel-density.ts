// A kernel density estimate: a real kernel plus normal noise. What a prior has over it, it has learned beyond copying.
import type { Matrix } from 'ml-matrix';
import { z } from 'zod';
import { LOG_2PI } from '../distributions/normal.js';
import { f32, foldIn, RandomStream, spec, tf } from '../engine/index.js';
import { LOCAL, NOISES, type Noise, noiseOf, widthsOf } from './density-estimate/noise.js';
import { chooseWidth } from './density-estimate/width.js';
import { wholeNumber } from './fields.js';
import { requirePositive, requireShapes } from './parameters.js';
import { type Arrays, kernelLength, type PriorFamily, triangle } from './prior.js';

const config = z.object({
  kept: wholeNumber(3, 20_000)
    .default(4000)
    .describe('largest number of kernels that are kept, drawn at random: the density is a sum over them'),
  noise: z
    .enum(['auto', ...NOISES])
    .default('auto')
    .describe(
      'covariance of the noise: isotropic, or correlated as pixels of kernels are; auto means the one that is better on a tenth of the kernels',
    ),
});
type Config = z.infer<typeof config>;

export interface Estimate {
  noise: Noise;
  local: (typeof LOCAL)[number];
  width: number;
}

/** An estimate as arrays of a prior. */
export function storedEstimate({ noise, local, width }: Estimate): Arrays {
  const { coordinates, colouring, whitening, logVolume } = noise;
  const { count, size: d } = coordinates;
  const array = (m: Matrix) => f32([d, d], Float32Array.from(m.to1DArray()));
  return {
    kernels: f32([count, d], Float32Array.from(coordinates.data)),
    logWidth: f32(
      [count],
      Float32Array.from(widthsOf(coordinates, local), (s) => Math.log(s * width)),
    ),
    colouring: array(colouring),
    whitening: array(whitening),
    logVolume: f32([], Float32Array.of(logVolume)),
  };
}

export const kernelDensity: PriorFamily<Config> = {
  name: 'kernel-density',
  summary: 'a real kernel plus normal noise, whose width is chosen on held-out kernels',
  config,
  compared: [{ name: 'kernel-density', label: 'noise on real kernels', config: {} }],
  fit: {
    kind: 'iterative',
    async parameters(kernels, { kept, noise: asked }, key, { tick }) {
      const d = kernelLength(kernels);
      const order = new RandomStream(foldIn(key, 'kept')).permutation(kernels.count).subarray(0, kept);
      const data = new Float64Array(order.length * d);
      order.forEach((row, i) => {
        data.set(kernels.data.subarray(row * d, (row + 1) * d), i * d);
      });
      const points = { data, count: order.length, size: d };
      let best: (Estimate & { value: number }) | undefined;
      for (const name of asked === 'auto' ? NOISES : [asked]) {
        const noise = noiseOf(name, points);
        for (const local of LOCAL) {
          const { width, value } = chooseWidth(noise, local);
          await tick(`${name} noise, ${local} width: ${value.toFixed(2)} nats on held-out kernels`);
          if (!best || value > best.value) best = { noise, local, width, value };
        }
      }
      return storedEstimate(best!);
    },
  },
  prior(size, config, given) {
    const d = kernelLength(size);
    const count = given.kernels?.shape[0] ?? 0;
    const parameters = requireShapes(given, {
      ...{ kernels: [count, d], logWidth: [count], logVolume: [] },
      ...{ colouring: [d, d], whitening: [d, d] },
    });
    requirePositive('the number of kernels', [count]);
    return {
      family: 'kernel-density',
      size,
      config,
      parameters,
      generateNoise: (n) => ({ chosen: spec([n]), deviation: spec([n, d]) }),
      generate({ kernels, logWidth, colouring }, { chosen, deviation }) {
        const uniform = tf.mul(tf.add(tf.erf(tf.mul(chosen, Math.SQRT1_2)), 1), 0.5);
        const row = tf.cast(tf.minimum(tf.mul(uniform, count), count - 1), 'int32') as tf.Tensor1D;
        const width = tf.expandDims(tf.exp(tf.gather(logWidth, row)), 1);
        return tf.matMul(tf.add(tf.gather(kernels, row), tf.mul(deviation, width)), colouring);
      },
      density: {
        kind: 'exact',
        components: count,
        // (142) log 1/K Σ_k N(w | w_k, s_k² Σ), in coordinates in which Σ = I
        logDensity({ kernels, logWidth, whitening, logVolume }, w) {
          const y = tf.matMul(tf.reshape(w, [-1, d]), whitening); // [n, d]
          const lengths = tf.add(tf.sum(tf.square(y), 1, true), tf.sum(tf.square(kernels), 1)); // [n, K]
          const squares = tf.relu(tf.sub(lengths, tf.mul(tf.matMul(y, kernels, false, true), 2)));
          const precision = tf.exp(tf.mul(logWidth, -2)); // [K]
          const logs = tf.sub(tf.mul(tf.mul(squares, precision), -0.5), tf.mul(logWidth, d));
          const constant = -Math.log(count) - 0.5 * d * LOG_2PI;
          const total = tf.add(tf.add(tf.logSumExp(logs, 1), logVolume), constant);
          return tf.reshape(total, w.shape.slice(0, -1));
        },
      },
    };
  },
  // the kernels, the covariance of the noise and its width
  freeNumbers: (size, _config, { kernels }) =>
    (kernels.shape[0] + 1) * kernelLength(size) + triangle(kernelLength(size)) - kernelLength(size) + 1,
};
