// p(z) = (1/K) Σ_k r(z|x_k): what the encoder says of K rows `latent.points`, which are learned (vamp.ts) or data
// (aggregate.ts).
import { mixtureLogDensity, mixtureSample } from '../../distributions/mixture.js';
import { negativeEntropy } from '../../distributions/normal.js';
import { f32, type NdArray, type RandomStream, spec, tf } from '../../engine/index.js';
import type { LatentPrior, Rows } from './latent-prior.js';

export const POINTS = 'latent.points';

/** So many different rows at random, or all of them where there are fewer: [k, size]. */
export function drawRows({ data, count, size }: Rows, k: number, stream: RandomStream): NdArray {
  const points = f32([Math.min(k, count), size]);
  const order = stream.permutation(count);
  for (let i = 0; i < points.shape[0]; i++)
    points.data.set(data.subarray(order[i] * size, (order[i] + 1) * size), i * size);
  return points;
}

export const encodedPoints: Pick<LatentPrior, 'shapes' | 'components' | 'noise' | 'of'> = {
  shapes: (given, size) => ({ [POINTS]: [Math.max(1, given[POINTS]?.shape[0] ?? 1), size] }),
  components: (given) => given[POINTS].shape[0],
  noise: (n, latentSize) => ({ latentComponent: spec([n]), latent: spec([n, latentSize]) }),
  of(parameters, encode) {
    const components = encode(parameters[POINTS]); // [K, l]
    const logDensity = (z: tf.Tensor) => mixtureLogDensity(z, components);
    return {
      logDensity,
      negativeDivergence: (r, z) => tf.sub(logDensity(z), negativeEntropy(r)),
      sample: ({ latentComponent, latent }) =>
        mixtureSample(components, { component: latentComponent, latent }),
    };
  },
};
