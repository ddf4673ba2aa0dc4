// A semi-implicit posterior that is normal with a full covariance, and whose s(ζ|w) is q(ζ|w): for every kernel
// w = m + Uζ + σε with orthogonal columns of U, so that q(w) = N(m, UUᵀ + σ²I) and q(ζ|w) has independent coordinates.
import { EigenvalueDecomposition, type Matrix } from 'ml-matrix';
import {
  type DiagonalNormal,
  logDensity,
  logStandardDensity,
  reparameterise,
} from '../../src/distributions/normal.js';
import { f32, type NdArray, tf } from '../../src/engine/index.js';
import { type Layer, weightShape } from '../../src/network/index.js';
import { givenLatent } from '../../src/posteriors/given-latent.js';
import { kernelRows, type Posterior } from '../../src/posteriors/index.js';

/** Parameters of q for kernels of the given means [n][d] and covariances [n][d, d]. */
export function linearParameters(
  layer: Layer,
  means: readonly (readonly number[])[],
  covariances: readonly Matrix[],
): Record<string, NdArray> {
  const n = means.length;
  const d = means[0].length;
  const shape = weightShape(layer);
  const arrays = {
    mean: f32(shape, Float32Array.from(means.flat())),
    logStd: f32(shape), // log σ
    mixing: f32([n, d, d]), // U
    gain: f32([n, d, d]), // E[ζ|w] = gain · (w − m)
    latentLogStd: f32([n, d]), // of ζ given w
  };
  covariances.forEach((covariance, k) => {
    const { realEigenvalues: values, eigenvectorMatrix: vectors } = new EigenvalueDecomposition(covariance, {
      assumeSymmetric: true,
    });
    const variance = 0.5 * Math.min(...values); // σ²
    arrays.logStd.data.fill(0.5 * Math.log(variance), k * d, (k + 1) * d);
    values.forEach((value, j) => {
      const length = Math.sqrt(value - variance);
      for (let i = 0; i < d; i++) {
        arrays.mixing.data[(k * d + i) * d + j] = vectors.get(i, j) * length;
        arrays.gain.data[(k * d + j) * d + i] = (vectors.get(i, j) * length) / value;
      }
      arrays.latentLogStd.data[k * d + j] = 0.5 * Math.log(variance / value);
    });
  });
  return arrays;
}

/** matrix [n, i, j] times x [.., n, j]. */
const times = (matrix: tf.Tensor, x: tf.Tensor) => tf.sum(tf.mul(matrix, tf.expandDims(x, -2)), -1);

export const linearPosterior = (d: number): Posterior =>
  givenLatent({
    name: 'linear',
    latent: () => ({ shared: 'kernel', size: d }),
    initial: () => {
      throw new Error('has to be solved for');
    },
    given: (_, { mean, logStd, mixing }, latent): DiagonalNormal => ({
      mean: tf.add(mean, tf.reshape(times(mixing, latent), mean.shape)),
      logStd,
    }),
    kernels(layer, parameters, rows) {
      const [mean, logStd] = ['mean', 'logStd'].map((name) => kernelRows(layer, parameters[name], rows));
      const [mixing, gain, latentLogStd] = ['mixing', 'gain', 'latentLogStd'].map((name) =>
        rows ? tf.gather(parameters[name], rows) : parameters[name],
      );
      const given = (latent: tf.Tensor): DiagonalNormal => ({
        mean: tf.add(mean, times(mixing, latent)),
        logStd,
      });
      return {
        kind: 'semi-implicit',
        density: {
          latentSize: d,
          encode(x) {
            const center = times(gain, tf.sub(x, mean));
            return { mean: center, logStd: tf.add(tf.zerosLike(center), latentLogStd) };
          },
          logLikelihood: (w, latent) => logDensity(w, given(latent)),
          logLatent: logStandardDensity,
        },
        draw: ({ kernels, latent }) => ({ w: reparameterise(given(latent), kernels), latent }),
      };
    },
  });
