// A semi-implicit q that is normal: w = a ζ + σ ε in each coordinate, so that q(w) = N(0, a² + σ²), q(ζ|w) and
// E_q log q with its gradient are known.
import { logDensity, logStandardDensity, reparameterise } from '../../src/distributions/normal.js';
import { f32, spec, tf } from '../../src/engine/index.js';
import type { Sampler } from '../../src/estimators/index.js';

export const A = [1, 0.6];
export const SIGMA = [0.5, 0.8];
const D = 2;

export const gaussian: Sampler = {
  family: 'semi-implicit',
  dimensions: D,
  initial: () => ({
    a: f32([D], Float32Array.from(A)),
    logStd: f32([D], Float32Array.from(SIGMA, Math.log)),
  }),
  noise: (n) => ({ latent: spec([n, D]), kernels: spec([n, D]) }),
  draw: ({ a, logStd }, { latent, kernels }) => ({
    w: reparameterise({ mean: tf.mul(a, latent), logStd }, kernels),
    latent,
  }),
  density: {
    kind: 'latent',
    latentSize: D,
    encoder: [],
    of: ({ a, logStd }) => ({
      latentSize: D,
      // q(ζ|w) = N( a w / v, σ² / v ), v = a² + σ²
      encode(w) {
        const v = tf.add(tf.square(a), tf.exp(tf.mul(logStd, 2)));
        return {
          mean: tf.div(tf.mul(a, w), v),
          logStd: tf.add(tf.zerosLike(w), tf.sub(logStd, tf.mul(tf.log(v), 0.5))),
        };
      },
      logLikelihood: (w, latent) => logDensity(w, { mean: tf.mul(a, latent), logStd }),
      logLatent: logStandardDensity,
    }),
  },
};

const VARIANCE = A.map((a, j) => a ** 2 + SIGMA[j] ** 2);

/** E_q log q = −½ Σ log 2πe v, and what it changes by with a and log σ. */
export const NEGATIVE_ENTROPY = VARIANCE.reduce(
  (sum, v) => sum - 0.5 * Math.log(2 * Math.PI * Math.E * v),
  0,
);
export const GRADIENT = {
  a: A.map((a, j) => -a / VARIANCE[j]),
  logStd: SIGMA.map((s, j) => -(s ** 2) / VARIANCE[j]),
};
