// Kernels that p(w) draws before its first step. Plain numbers: r(z|w) learns from them beside the kernels of a dataset,
// which are too few to show it kernels that it has not seen.
import { f32, type NdArray, type RandomStream, tf } from '../../engine/index.js';
import type { Component } from '../mixture/em.js';
import { straightened } from '../mixture/radial.js';
import { type Layout, sharesAt } from './layout.js';

const MOST = 20_000;
/** Multiplications, n·d²/2 for every component that z blends, about two. */
const WORK = 5e8;
/** Components with less than this share of P(z) are left out of it. */
const NEGLIGIBLE = 1e-3;

/**
 * @param scaleSpread standard deviation of the log scale
 * @param knots of the map that straightened the kernels
 * @returns [n, d]
 */
export function drawKernels(
  components: readonly Component[],
  layout: Layout,
  scaleSpread: number,
  knots: NdArray,
  stream: RandomStream,
): NdArray {
  const d = components[0].mean.length;
  const count = Math.max(100, Math.min(MOST, Math.floor(WORK / (d * d))));
  const factors = components.map(({ inverseCholesky }) => Float64Array.from(inverseCholesky.to1DArray()));
  const data = new Float64Array(count * d);
  const factor = new Float64Array(d * d);
  const target = new Float64Array(d);
  const z = new Float64Array(layout.slopes.length);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < z.length; j++) z[j] = stream.normal();
    const scale = Math.exp(scaleSpread * stream.normal());
    const shares = sharesAt(layout, z);
    factor.fill(0);
    for (let j = 0; j < d; j++) target[j] = scale * stream.normal();
    shares.forEach((share, c) => {
      if (share < NEGLIGIBLE) return;
      const { mean } = components[c];
      for (let j = 0; j < d; j++)
        for (let k = 0, at = j * d; k <= j; k++, at++) {
          const value = share * factors[c][at];
          factor[at] += value;
          target[j] += value * mean[k];
        }
    });
    const x = data.subarray(i * d, (i + 1) * d);
    for (let j = 0; j < d; j++) {
      let rest = target[j];
      for (let k = 0; k < j; k++) rest -= factor[j * d + k] * x[k];
      x[j] = rest / factor[j * d + j];
    }
  }
  const bent = straightened({ data, count, size: d }, reversed(knots));
  return f32([count, d], Float32Array.from(bent.data));
}

/** Knots of the way back. */
function reversed({ shape, data }: NdArray): NdArray {
  const m = shape[1];
  return f32([2, m], Float32Array.from([...data.subarray(m), ...data.subarray(0, m)]));
}

/** Rows of a matrix by normals, each as likely: [M, d], [n] → [n, d]. */
export function drawRows(matrix: tf.Tensor, normals: tf.Tensor): tf.Tensor {
  const most = matrix.shape[0]!;
  const uniform = tf.mul(tf.add(tf.erf(tf.mul(normals, Math.SQRT1_2)), 1), 0.5);
  return tf.gather(matrix, tf.cast(tf.minimum(tf.floor(tf.mul(uniform, most)), most - 1), 'int32'));
}
