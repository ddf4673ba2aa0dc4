// The few matrix functions that families of normals share.
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/** L⁻¹ of a lower triangular L. */
export function lowerInverse(lower: Matrix): Matrix {
  const d = lower.rows;
  const inverse = Matrix.zeros(d, d);
  for (let column = 0; column < d; column++)
    for (let i = column; i < d; i++) {
      let sum = i === column ? 1 : 0;
      for (let k = column; k < i; k++) sum -= lower.get(i, k) * inverse.get(k, column);
      inverse.set(i, column, sum / lower.get(i, i));
    }
  return inverse;
}

/** log det L of a lower triangular L: ½ log det LLᵀ. */
export const logDeterminant = (lower: Matrix): number =>
  lower.diagonal().reduce((sum, x) => sum + Math.log(x), 0);

/** (1/n) Σ_i weight_i (x_i − centre)(x_i − centre)ᵀ of rows [n, d]; centre 0 and weights 1 unless given. */
export function secondMoment(
  { data, count }: { data: ArrayLike<number>; count: number },
  d: number,
  centre: ArrayLike<number> = new Float64Array(d),
  weights?: ArrayLike<number>,
): Matrix {
  const sum = new Float64Array(d * d);
  const x = new Float64Array(d);
  for (let i = 0; i < count; i++) {
    const weight = (weights?.[i] ?? 1) / count;
    for (let j = 0; j < d; j++) x[j] = data[i * d + j] - centre[j];
    for (let j = 0; j < d; j++) for (let k = 0; k <= j; k++) sum[j * d + k] += weight * x[j] * x[k];
  }
  const matrix = Matrix.zeros(d, d);
  for (let j = 0; j < d; j++)
    for (let k = 0; k <= j; k++) {
      matrix.set(j, k, sum[j * d + k]);
      matrix.set(k, j, sum[j * d + k]);
    }
  return matrix;
}

/** The symmetric A with A A = S, and its inverse. */
export function symmetricRoot(s: Matrix): { root: Matrix; inverse: Matrix } {
  const { realEigenvalues, eigenvectorMatrix: v } = new EigenvalueDecomposition(s, { assumeSymmetric: true });
  const power = (p: number) =>
    v.mmul(Matrix.diag(realEigenvalues.map((x) => Math.max(x, Number.MIN_VALUE) ** p))).mmul(v.transpose());
  return { root: power(0.5), inverse: power(-0.5) };
}
