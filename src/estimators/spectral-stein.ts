// The spectral Stein gradient estimator (Shi, Sun & Zhu 2018): ∇ log q at draws of q, from the draws alone. The score
// is expanded in the eigenfunctions of a kernel under q, which the eigenvectors of the draws' Gram matrix estimate.
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { withScore } from '../bounds/unbiased.js';
import { tf } from '../engine/index.js';
import { divergence, type Estimator } from './estimator.js';

/** Share of the Gram matrix's trace that the eigenvalues in use must hold. */
const SHARE = 0.99;

/**
 * (42) Ĝ = −K_J⁺ D, with K_ij = k(w_i, w_j) = exp(−‖w_i − w_j‖² / 2h²), its pseudo-inverse by the J largest
 * eigenvalues, and D_m = Σ_n ∇_{w_n} k(w_n, w_m). h is the median distance of the draws.
 *
 * @param w n draws, [n, d], row-major
 * @param share how much of the trace the J eigenvalues hold
 * @returns ∇ log q at the draws, [n, d]
 */
export function spectralScores(w: Float32Array, n: number, d: number, share = SHARE): Float32Array {
  const squared = squaredDistances(w, n, d);
  const h2 = median(squared, n);
  const gram = Matrix.zeros(n, n);
  const drift = Matrix.zeros(n, d); // D
  for (let i = 0; i < n; i++)
    for (let m = 0; m < n; m++) {
      const k = Math.exp(-squared[i * n + m] / (2 * h2));
      gram.set(i, m, k);
      // ∇_{w_i} k(w_i, w_m) = −(w_i − w_m)/h² k
      for (let j = 0; j < d; j++) drift.set(m, j, drift.get(m, j) - ((w[i * d + j] - w[m * d + j]) / h2) * k);
    }
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(gram, { assumeSymmetric: true });
  const order = [...realEigenvalues.keys()].sort((a, b) => realEigenvalues[b] - realEigenvalues[a]);
  const scores = new Float32Array(n * d);
  let held = 0;
  for (const column of order) {
    if (held >= share * n) break; // the trace is n
    const value = realEigenvalues[column];
    held += value;
    const u = eigenvectorMatrix.getColumn(column);
    for (let j = 0; j < d; j++) {
      let projection = 0;
      for (let m = 0; m < n; m++) projection += u[m] * drift.get(m, j);
      for (let i = 0; i < n; i++) scores[i * d + j] -= (u[i] * projection) / value;
    }
  }
  return scores;
}

function squaredDistances(w: Float32Array, n: number, d: number): Float64Array {
  const squared = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let m = 0; m < i; m++) {
      let sum = 0;
      for (let j = 0; j < d; j++) sum += (w[i * d + j] - w[m * d + j]) ** 2;
      squared[i * n + m] = sum;
      squared[m * n + i] = sum;
    }
  return squared;
}

/** Of the distances of different draws; 1 where all are the same. */
function median(squared: Float64Array, n: number): number {
  const pairs = new Float64Array((n * (n - 1)) / 2);
  for (let i = 1, at = 0; i < n; i++) for (let m = 0; m < i; m++) pairs[at++] = squared[i * n + m];
  return pairs.sort()[pairs.length >> 1] || 1;
}

export const spectralStein: Estimator = {
  name: 'spectral-stein',
  summary: 'gradients of log q from draws, by the eigenvectors of their Gram matrix (Shi et al. 2018)',
  family: 'implicit',
  valued: false,
  scores: spectralScores,
  objective({ logTarget }, _, { w }, { scores }) {
    return { descend: divergence(withScore(tf.zeros([w.shape[0]]), w, scores!), w, logTarget) };
  },
};
