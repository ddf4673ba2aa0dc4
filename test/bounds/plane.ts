// A latent-variable density in two dimensions whose decoder is not linear: p(w|z) = N(decode(z), 0.4² I) on ℝ² with
// decode(z) = ( sin 2z₁ + z₂/2, 0.7 z₂ + z₁²/2 ), p(z) = N(0, I). r is a fair guess. log p(w) is known by quadrature.
import type { LatentDensity } from '../../src/distributions/latent.js';
import { logDensity, logStandardDensity } from '../../src/distributions/normal.js';
import { tf } from '../../src/engine/index.js';

const SIGMA = 0.4;

const decode = (a: number, b: number): [number, number] => [Math.sin(2 * a) + 0.5 * b, 0.7 * b + 0.5 * a * a];

export const plane: LatentDensity = {
  latentSize: 2,
  encode: (w) => {
    const [, second] = tf.split(w, [1, 1], -1);
    const mean = tf.concat([tf.zerosLike(second), tf.mul(second, 0.6)], -1);
    return { mean, logStd: tf.zerosLike(mean) };
  },
  logLikelihood: (w, z) => {
    const [a, b] = tf.split(z, [1, 1], -1);
    const first = tf.add(tf.sin(tf.mul(a, 2)), tf.mul(b, 0.5));
    const second = tf.add(tf.mul(b, 0.7), tf.mul(tf.square(a), 0.5));
    return logDensity(w, { mean: tf.concat([first, second], -1), logStd: tf.scalar(Math.log(SIGMA)) });
  },
  logLatent: logStandardDensity,
};

/** w of z and of the noise of w, standard normals. */
export const drawPlane = ([a, b]: readonly number[], [e, f]: readonly number[]): number[] => {
  const [x, y] = decode(a, b);
  return [x + SIGMA * e, y + SIGMA * f];
};

const STEP = 0.1; // half of it changes nothing in 9 digits
/** Decoded grid points and the logarithms of their weights. */
const GRID = (() => {
  const points: { x: number; y: number; weight: number }[] = [];
  for (let a = -5.5; a <= 5.5; a += STEP)
    for (let b = -5.5; b <= 5.5; b += STEP) {
      const [x, y] = decode(a, b);
      points.push({ x, y, weight: STEP ** 2 * Math.exp(-0.5 * (a * a + b * b)) });
    }
  return points;
})();

/** log ∫ N(w | decode(z), σ² I) N(z | 0, I) dz by the trapezoidal rule. */
export function planeQuadrature([x, y]: readonly number[]): number {
  let sum = 0;
  for (const point of GRID)
    sum += point.weight * Math.exp((-0.5 * ((x - point.x) ** 2 + (y - point.y) ** 2)) / SIGMA ** 2);
  return Math.log(sum / (2 * Math.PI * SIGMA) ** 2);
}
