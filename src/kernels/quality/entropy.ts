// Principal axes of kernels, and variance entropy (21): in how many of them kernels vary, against noise, which does in all.
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/**
 * Principal axes and the shares of the variance along them, largest first.
 *
 * @param covariance [d, d]; its upper triangle is read
 * @returns d axes of unit length, and d shares that sum to one; undefined where nothing varies
 */
export function principalAxes(
  covariance: Float64Array,
  d: number,
): { axes: Float64Array[]; shares: number[] } | undefined {
  const matrix = new Matrix(d, d);
  let trace = 0;
  for (let i = 0; i < d; i++) trace += covariance[i * d + i];
  if (!(trace > 0)) return undefined;
  for (let i = 0; i < d; i++)
    for (let j = i; j < d; j++) {
      const share = covariance[i * d + j] / trace;
      matrix.set(i, j, share);
      matrix.set(j, i, share);
    }
  const { realEigenvalues: values, eigenvectorMatrix: vectors } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  const order = values.map((_, i) => i).sort((a, b) => values[b] - values[a]);
  const positive = order.map((i) => Math.max(0, values[i]));
  const sum = positive.reduce((a, b) => a + b);
  return {
    axes: order.map((i) => Float64Array.from(vectors.getColumn(i))),
    shares: positive.map((value) => value / sum),
  };
}

/** Of shares that sum to one, to base 10. */
export function entropy10(shares: readonly number[]): number {
  let entropy = 0;
  for (const share of shares) if (share > 0) entropy -= share * Math.log10(share);
  return entropy;
}

/**
 * The entropy that n kernels of noise have at least (3×3), or on average (other sizes): (22) of docs/quality.md.
 *
 * @returns undefined where n is too small to say
 */
export function noiseEntropy(n: number, d: number): number | undefined {
  if (n < 3) return undefined;
  // the logistic that Gavrikov & Keuper fitted to 3×3 kernels of randomly initialised layers
  if (d === 9) return 1.2618047 / (1 + Math.exp(-0.88767525 * (Math.log2(n) - 2.30436435))) - 0.31050834;
  const few = Math.min(d, n - 1);
  const many = Math.max(d, n - 1);
  return few < 2 ? undefined : (Math.log(few) - (few + 1) / (2 * many)) / Math.LN10;
}
