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

/** The symmetric A with A A = S, and its inverse. */
export function symmetricRoot(s: Matrix): { root: Matrix; inverse: Matrix } {
  const { realEigenvalues, eigenvectorMatrix: v } = new EigenvalueDecomposition(s, { assumeSymmetric: true });
  const power = (p: number) =>
    v.mmul(Matrix.diag(realEigenvalues.map((x) => Math.max(x, Number.MIN_VALUE) ** p))).mmul(v.transpose());
  return { root: power(0.5), inverse: power(-0.5) };
}
