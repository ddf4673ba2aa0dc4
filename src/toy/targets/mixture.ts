// Mixtures of normals in the plane: `x-shape`, two that cross (Yin & Zhou 2018), and `ring`, six around a circle.
import { LOG_2PI } from '../../distributions/normal.js';
import { f32, tf } from '../../engine/index.js';
import type { Tensors } from '../../priors/index.js';
import type { Target } from '../target.js';

interface Component {
  mean: readonly [number, number];
  /** Lower Cholesky factor of the covariance: [[a, 0], [b, c]]. */
  cholesky: readonly [a: number, b: number, c: number];
}

/** Equal weights. */
function mixture(
  about: Pick<Target, 'name' | 'summary' | 'scale' | 'picture'>,
  components: readonly Component[],
): Target {
  const k = components.length;
  // ‖L⁻¹(w − μ)‖² = ‖w L⁻ᵀ − μ L⁻ᵀ‖²
  const whiten = f32([2, 2 * k]); // L⁻ᵀ of each component side by side
  const means = f32([2 * k]);
  const constants = f32([k]);
  components.forEach(({ mean: [x, y], cholesky: [a, b, c] }, i) => {
    whiten.data.set([1 / a, -b / (a * c)], 2 * i);
    whiten.data.set([0, 1 / c], 2 * k + 2 * i);
    means.data.set([x / a, y / c - (b * x) / (a * c)], 2 * i);
    constants.data[i] = -Math.log(a * c) - LOG_2PI - Math.log(k);
  });
  /** Whitened w of each component, [n, 2k], and log (density · weight), [n, k]. */
  const parts = (data: Tensors, w: tf.Tensor) => {
    const rows = tf.reshape(w, [-1, 2]) as tf.Tensor2D;
    const white = tf.sub(tf.matMul(rows, data.whiten as tf.Tensor2D), data.means);
    const squares = tf.sum(tf.reshape(tf.square(white), [-1, k, 2]), 2);
    return { white, logs: tf.sub(data.constants, tf.mul(squares, 0.5)) };
  };
  return {
    ...about,
    dimensions: 2,
    data: { whiten, means, constants },
    logDensity: (data, w) => tf.reshape(tf.logSumExp(parts(data, w).logs, 1), w.shape.slice(0, -1)),
    // Σ_k share_k · −Σ_k⁻¹ (w − μ_k)
    score(data, w) {
      const { white, logs } = parts(data, w);
      const shares = tf.expandDims(tf.softmax(logs), 2); // [n, k, 1]
      const pulls = tf.mul(tf.reshape(white, [-1, k, 2]), shares);
      return tf.neg(tf.matMul(tf.reshape(pulls, [-1, 2 * k]), data.whiten as tf.Tensor2D, false, true));
    },
    logNormaliser: 0,
    draw(stream) {
      const { mean, cholesky } = components[stream.integer(k)];
      const [e, f] = [stream.normal(), stream.normal()];
      return [mean[0] + cholesky[0] * e, mean[1] + cholesky[1] * e + cholesky[2] * f];
    },
  };
}

/** Covariance [[2, ±1.8], [±1.8, 2]]. */
const crossing = (sign: 1 | -1): Component => {
  const a = Math.sqrt(2);
  const b = (sign * 1.8) / a;
  return { mean: [0, 0], cholesky: [a, b, Math.sqrt(2 - b * b)] };
};

export const xShape: Target = mixture(
  {
    name: 'x-shape',
    summary: 'two long normals that cross: ½ N(0, [[2, 1.8], [1.8, 2]]) + ½ N(0, [[2, −1.8], [−1.8, 2]])',
    scale: 1.4,
    picture: { centre: [0, 0], extent: 4.5 },
  },
  [crossing(1), crossing(-1)],
);

const MODES = 6;
const RADIUS = 3;
const STD = 0.6;

export const ring: Target = mixture(
  {
    name: 'ring',
    summary: `${MODES} normals of standard deviation ${STD} on a circle of radius ${RADIUS}`,
    scale: 2,
    picture: { centre: [0, 0], extent: 5 },
  },
  Array.from({ length: MODES }, (_, i) => {
    const angle = (2 * Math.PI * i) / MODES;
    return { mean: [RADIUS * Math.cos(angle), RADIUS * Math.sin(angle)], cholesky: [STD, 0, STD] };
  }),
);
