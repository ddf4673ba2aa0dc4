// Radial Gaussianisation (Lyu & Simoncelli 2009): kernels are stretched along their direction so that their norms are
// distributed as those of normals with the same covariance. x = w · g(‖w‖)/‖w‖, log g piecewise linear in log ‖w‖.
import { CholeskyDecomposition } from 'ml-matrix';
import { f32, type NdArray, type RandomStream, tf } from '../../engine/index.js';
import type { Arrays } from '../prior.js';
import type { Points } from './em.js';
import { secondMoment } from './linear-algebra.js';

/** log ‖w‖ and log g at m knots: [2, m]. */
export const RADIAL = 'radial.knots';

export const radialShape = (given: Arrays) => ({ [RADIAL]: [2, Math.max(2, given[RADIAL]?.shape[1] ?? 2)] });

const KNOTS = 16;
/** Points that must lie beyond the outer knots. */
const BEYOND = 10;
const DRAWS = 50_000;
/** Knots nearer than this in log ‖w‖ are one: norms that are all the same give no map. */
const APART = 1e-4;

const quantile = (sorted: Float64Array, q: number): number => {
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
};

/** Quantiles at which knots lie: evenly in logit q, so that the tails have theirs. */
const levels = (count: number): number[] => {
  const end = Math.log(count / BEYOND - 1);
  return Array.from({ length: KNOTS }, (_, i) => 1 / (1 + Math.exp(end * (1 - (2 * i) / (KNOTS - 1)))));
};

/** Knots for these points; the identity where there are too few, or where norms hardly differ. */
export function fitRadial(points: Points, stream: RandomStream): NdArray {
  const { data, count, size: d } = points;
  const identity = f32([2, 2], Float32Array.of(0, 1, 0, 1));
  if (count < 20 * BEYOND) return identity;
  const norms = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let square = 0;
    for (let j = 0; j < d; j++) square += data[i * d + j] ** 2;
    norms[i] = 0.5 * Math.log(square + Number.MIN_VALUE);
  }
  const second = secondMoment(points, d);
  const jitter = (1e-9 * second.trace()) / d + Number.MIN_VALUE;
  for (let j = 0; j < d; j++) second.set(j, j, second.get(j, j) + jitter);
  const lower = new CholeskyDecomposition(second).lowerTriangularMatrix;
  const noise = new Float64Array(d);
  const normal = Float64Array.from({ length: DRAWS }, () => {
    for (let j = 0; j < d; j++) noise[j] = stream.normal();
    let square = 0;
    for (let j = 0; j < d; j++) {
      let x = 0;
      for (let k = 0; k <= j; k++) x += lower.get(j, k) * noise[k];
      square += x * x;
    }
    return 0.5 * Math.log(square);
  });
  const [from, to] = [norms.sort(), normal.sort()];
  const knots: [number, number][] = [];
  for (const q of levels(count)) {
    const knot: [number, number] = [quantile(from, q), quantile(to, q)];
    const last = knots.at(-1);
    if (!last || (knot[0] - last[0] > APART && knot[1] - last[1] > APART)) knots.push(knot);
  }
  if (knots.length < 4) return identity;
  return f32([2, knots.length], Float32Array.from([...knots.map(([x]) => x), ...knots.map(([, y]) => y)]));
}

/** Piecewise linear through the knots, of slope 1 outside; and the slope. x of any shape. */
function throughKnots(x: tf.Tensor, from: tf.Tensor, to: tf.Tensor): { y: tf.Tensor; slope: tf.Tensor } {
  const m = from.shape[0]!;
  const differences = (v: tf.Tensor) => tf.sub(tf.slice(v, 1, m - 1), tf.slice(v, 0, m - 1));
  const inner = tf.div(differences(to), differences(from)); // [m − 1]
  const changes = tf.sub(tf.concat([inner, tf.ones([1])]), tf.concat([tf.ones([1]), inner])); // [m]
  const beyond = tf.sub(tf.expandDims(x, -1), from); // [.., m]
  const y = tf.add(
    tf.add(tf.sub(x, tf.slice(from, 0, 1)), tf.slice(to, 0, 1)),
    tf.sum(tf.mul(tf.relu(beyond), changes), -1),
  );
  const slope = tf.add(tf.sum(tf.mul(tf.cast(tf.greater(beyond, 0), 'float32'), changes), -1), 1);
  return { y, slope };
}

/** {@link straighten} of plain points. */
export function straightened({ data, count, size: d }: Points, knots: NdArray): Points {
  const m = knots.shape[1];
  const [from, to] = [knots.data.subarray(0, m), knots.data.subarray(m)];
  const out = new Float64Array(count * d);
  for (let i = 0; i < count; i++) {
    let square = 1e-30;
    for (let j = 0; j < d; j++) square += data[i * d + j] ** 2;
    const norm = 0.5 * Math.log(square);
    let k = 0;
    while (k < m - 1 && norm > from[k + 1]) k++;
    const inside = norm > from[0] && k < m - 1;
    const slope = inside ? (to[k + 1] - to[k]) / (from[k + 1] - from[k]) : 1;
    const factor = Math.exp(to[k] + slope * (norm - from[k]) - norm);
    for (let j = 0; j < d; j++) out[i * d + j] = data[i * d + j] * factor;
  }
  return { data: out, count, size: d };
}

const logNorm = (w: tf.Tensor) => tf.mul(tf.log(tf.add(tf.sum(tf.square(w), -1), 1e-30)), 0.5);
const rows = (knots: tf.Tensor) => tf.unstack(knots as tf.Tensor2D, 0);
const along = (w: tf.Tensor, logFactor: tf.Tensor) => tf.mul(w, tf.expandDims(tf.exp(logFactor), -1));

/** w [n, d] → x [n, d], and log |det ∂x/∂w| [n] = log slope + d (log g − log ‖w‖). */
export function straighten(w: tf.Tensor, knots: tf.Tensor): { x: tf.Tensor; logVolume: tf.Tensor } {
  const [from, to] = rows(knots);
  const norm = logNorm(w);
  const { y, slope } = throughKnots(norm, from, to);
  const logFactor = tf.sub(y, norm);
  return { x: along(w, logFactor), logVolume: tf.add(tf.log(slope), tf.mul(logFactor, w.shape.at(-1)!)) };
}

/** The way back: x [n, d] → w [n, d]. */
export function bend(x: tf.Tensor, knots: tf.Tensor): tf.Tensor {
  const [from, to] = rows(knots);
  const norm = logNorm(x);
  return along(x, tf.sub(throughKnots(norm, to, from).y, norm));
}
