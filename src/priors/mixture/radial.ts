// Kernels stretched along their direction, so that their norms are distributed as those of a mixture: radial
// Gaussianisation (Lyu & Simoncelli 2009) where the mixture is one normal. x = w · g(‖w‖)/‖w‖, log g piecewise linear in
// log ‖w‖.
import { CholeskyDecomposition } from 'ml-matrix';
import { f32, type NdArray, type RandomStream, tf } from '../../engine/index.js';
import { badParameter } from '../parameters.js';
import type { Arrays } from '../prior.js';
import type { Component, Points } from './em.js';

/** log ‖w‖ and log g at m knots: [2, m]. */
export const RADIAL = 'radial.knots';

export const radialShape = (given: Arrays) => ({ [RADIAL]: [2, Math.max(2, given[RADIAL]?.shape[1] ?? 2)] });

/** @throws DwpError INPUT when knots do not rise: the map would have no inverse */
export function checkRadial(given: Arrays): void {
  const { data, shape } = given[RADIAL];
  const m = shape[1];
  for (let i = 0; i < 2 * m; i++)
    if (i % m > 0 && !(data[i] > data[i - 1])) throw badParameter(`${RADIAL} do not rise`);
}

const KNOTS = 16;
/** Points that must lie beyond the outer knots, and draws too. */
const BEYOND = 10;
const DRAWS = 50_000;
/** Multiplications spent on draws, n·d²/2: of large kernels fewer are drawn. */
const WORK = 2e9;
/** Kernels smaller than the large ones by this, in log ‖w‖, are negligible, and are left out of the fit of norms. */
const NEGLIGIBLE = Math.log(1e6);
/** Knots nearer than this in log ‖w‖ are one: norms that are all the same give no map. */
const APART = 1e-4;

/** The map that changes nothing. */
const identity = (): NdArray => f32([2, 2], Float32Array.of(0, 1, 0, 1));
export const isIdentity = (knots: NdArray): boolean => knots.shape[1] === 2;

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

/** log ‖w‖ of points, ascending. */
function logNorms({ data, count, size: d }: Points): Float64Array {
  const norms = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let square = 0;
    for (let j = 0; j < d; j++) square += data[i * d + j] ** 2;
    norms[i] = 0.5 * Math.log(square + Number.MIN_VALUE);
  }
  return norms.sort();
}

/** log ‖x‖ of draws of a mixture of t's, ascending; of normals where `dof` is Infinity. */
export function drawnLogNorms(
  components: readonly Component[],
  dof: number,
  stream: RandomStream,
): Float64Array {
  const d = components[0].mean.length;
  const draws = Math.round(Math.min(DRAWS, Math.max(DRAWS / 10, WORK / (0.5 * d * d))));
  const weights = components.map(({ logWeight }) => Math.exp(logWeight));
  const total = weights.reduce((sum, x) => sum + x, 0);
  const shares = weights.map((x) => (x / total) * draws);
  const norms = new Float64Array(draws);
  const noise = new Float64Array(d);
  let reached = 0;
  let at = 0;
  components.forEach(({ mean, covariance }, c) => {
    // component c is drawn as often as its weight says, but for less than one draw
    reached = c === components.length - 1 ? draws : reached + shares[c];
    if (at >= Math.round(reached)) return;
    const lower = Float64Array.from(new CholeskyDecomposition(covariance).lowerTriangularMatrix.to1DArray());
    for (; at < Math.round(reached); at++) {
      for (let j = 0; j < d; j++) noise[j] = stream.normal();
      let factor = 1;
      if (Number.isFinite(dof)) {
        let chiSquared = 0;
        for (let i = 0; i < dof; i++) chiSquared += stream.normal() ** 2;
        factor = Math.sqrt(dof / chiSquared);
      }
      let square = 0;
      for (let j = 0; j < d; j++) {
        let y = 0;
        for (let k = 0, row = j * d; k <= j; k++) y += lower[row + k] * noise[k];
        square += (mean[j] + factor * y) ** 2;
      }
      norms[at] = 0.5 * Math.log(square + Number.MIN_VALUE);
    }
  });
  return norms.sort();
}

/**
 * Knots that map norms of these points to those drawn; the identity where there are too few, or norms hardly differ.
 * @param draw log ‖x‖, ascending; called only where it is needed
 */
export function fitRadial(points: Points, draw: () => Float64Array): NdArray {
  if (points.count < 20 * BEYOND) return identity();
  const norms = logNorms(points).filter(
    (x, _, all) => x > all[all.length - 1 - Math.floor(all.length / 4)] - NEGLIGIBLE,
  );
  if (norms.length < 20 * BEYOND) return identity();
  const drawn = draw();
  const knots: [number, number][] = [];
  for (const q of levels(Math.min(norms.length, drawn.length))) {
    const knot: [number, number] = [quantile(norms, q), quantile(drawn, q)];
    const last = knots.at(-1);
    if (!last || (knot[0] - last[0] > APART && knot[1] - last[1] > APART)) knots.push(knot);
  }
  if (knots.length < 4) return identity();
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
