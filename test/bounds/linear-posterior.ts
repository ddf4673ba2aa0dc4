// A semi-implicit posterior that is normal with a full covariance, and whose s(ζ|w) is q(ζ|w): for every kernel
// w = m + Uζ + σε with orthogonal columns of U, so that q(w) = N(m, UUᵀ + σ²I) and q(ζ|w) has independent coordinates.
import { EigenvalueDecomposition, type Matrix } from 'ml-matrix';
import {
  type DiagonalNormal,
  logDensity,
  logStandardDensity,
  reparameterise,
} from '../../src/distributions/normal.js';
import { f32, type NdArray, spec, tf } from '../../src/engine/index.js';
import { type ConvLayer, convolve } from '../../src/nn/index.js';
import type { Posterior, Tensors } from '../../src/posteriors/index.js';

/** Parameters of q for kernels of the given means [n][d] and covariances [n][d, d]. */
export function linearParameters(
  { shape }: ConvLayer,
  means: readonly (readonly number[])[],
  covariances: readonly Matrix[],
): Record<string, NdArray> {
  const n = means.length;
  const d = means[0].length;
  const arrays = {
    mean: f32(shape, Float32Array.from(means.flat())),
    logStd: f32([n, 1]),
    mixing: f32([n, d, d]), // U
    gain: f32([n, d, d]), // E[ζ|w] = gain · (w − m)
    latentLogStd: f32([n, d]), // of ζ given w
  };
  covariances.forEach((covariance, k) => {
    const { realEigenvalues: values, eigenvectorMatrix: vectors } = new EigenvalueDecomposition(covariance, {
      assumeSymmetric: true,
    });
    const variance = 0.5 * Math.min(...values); // σ²
    arrays.logStd.data[k] = 0.5 * Math.log(variance);
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

const only = (x: tf.Tensor, rows: tf.Tensor1D | undefined) => (rows ? tf.gather(x, rows) : x);
/** matrix [n, i, j] times x [.., n, j]. */
const times = (matrix: tf.Tensor, x: tf.Tensor) => tf.sum(tf.mul(matrix, tf.expandDims(x, -2)), -1);

function density(parameters: Tensors, rows?: tf.Tensor1D) {
  const rowsOf = (name: string) => only(parameters[name], rows);
  const [out, inputs, h, w] = parameters.mean.shape;
  const mean = only(tf.reshape(parameters.mean, [out * inputs!, h! * w!]), rows);
  const [logStd, mixing] = [rowsOf('logStd'), rowsOf('mixing')];
  return {
    given: (latent: tf.Tensor): DiagonalNormal => ({ mean: tf.add(mean, times(mixing, latent)), logStd }),
    encode(x: tf.Tensor): DiagonalNormal {
      const center = times(rowsOf('gain'), tf.sub(x, mean));
      return { mean: center, logStd: tf.add(tf.zerosLike(center), rowsOf('latentLogStd')) };
    },
  };
}

export const linearPosterior = (d: number): Posterior => ({
  name: 'linear',
  latentSize: d,
  initial: () => {
    throw new Error('has to be solved for');
  },
  noise: ({ shape: [out, inputs] }) => ({
    kernels: spec([out * inputs, d]),
    mixing: spec([out * inputs, d]),
  }),
  sampleNoise: () => ({}),
  convolve(layer, parameters, x, noise) {
    return convolve(layer, x, this.sample(parameters, noise));
  },
  sample: (parameters, { kernels, mixing }) =>
    tf.reshape(reparameterise(density(parameters).given(mixing), kernels), parameters.mean.shape),
  kernels(_, parameters, rows) {
    const { given, encode } = density(parameters, rows);
    return {
      kind: 'semi-implicit',
      density: {
        latentSize: d,
        encode,
        logLikelihood: (w, latent) => logDensity(w, given(latent)),
        logLatent: logStandardDensity,
      },
      draw: ({ kernels, latent }) => ({ w: reparameterise(given(latent), kernels), latent }),
    };
  },
});
