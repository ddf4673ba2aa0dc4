// A latent-variable density whose decoder is not linear: p(w|z) = N(sin 2z + z/2, 0.4²), p(z) = N(0, 1). p(z|w) has
// up to three modes; r is a fair guess of it. log p(w) is known by quadrature.
import type { LatentDensity } from '../../src/distributions/latent.js';
import { logDensity, logStandardDensity } from '../../src/distributions/normal.js';
import { tf } from '../../src/engine/index.js';

export const SIGMA = 0.4;
export const decode = (z: number) => Math.sin(2 * z) + 0.5 * z;

export const sine: LatentDensity = {
  latentSize: 1,
  encode: (w) => ({ mean: tf.mul(w, 0.6), logStd: tf.fill(w.shape, Math.log(0.9)) }),
  logLikelihood: (w, z) =>
    logDensity(w, {
      mean: tf.add(tf.sin(tf.mul(z, 2)), tf.mul(z, 0.5)),
      logStd: tf.scalar(Math.log(SIGMA)),
    }),
  logLatent: logStandardDensity,
};

/** log ∫ N(w | decode(z), σ²) N(z | 0, 1) dz by the trapezoidal rule, which converges faster than any power here. */
export function quadrature(w: number): number {
  const step = 0.02; // a tenth of it changes nothing in 12 digits
  let sum = 0;
  for (let z = -10; z <= 10; z += step)
    sum += step * Math.exp(-0.5 * ((w - decode(z)) / SIGMA) ** 2 - 0.5 * z * z);
  return Math.log(sum / (2 * Math.PI * SIGMA));
}
