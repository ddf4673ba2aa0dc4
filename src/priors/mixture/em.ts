// Mixtures of normals or of Student's t with full covariances, by expectation maximisation (Dempster et al. 1977; for t,
// Peel & McLachlan 2000). Plain numbers in double precision: what runs in steps is in components.ts.
import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import type { RandomStream } from '../../engine/index.js';
import { logDeterminant, lowerInverse } from './linear-algebra.js';

/** Points, row by row: [count, size]. */
export interface Points {
  data: ArrayLike<number>;
  count: number;
  size: number;
}

export interface Component {
  logWeight: number;
  mean: Float64Array; // [d]
  covariance: Matrix; // [d, d]; of t: its scale matrix
  lower: Matrix; // L, covariance = L Lᵀ
  inverseCholesky: Matrix; // L⁻¹
  logDeterminant: number; // log det L
}

export function componentOf(logWeight: number, mean: Float64Array, covariance: Matrix): Component {
  const lower = new CholeskyDecomposition(covariance).lowerTriangularMatrix;
  const [inverseCholesky, logDet] = [lowerInverse(lower), logDeterminant(lower)];
  return { logWeight, mean, covariance, lower, inverseCholesky, logDeterminant: logDet };
}

export interface EmOptions {
  components: number;
  /** Degrees of freedom of t; Infinity for normals. */
  dof: number;
  /** Points that the covariance within all components is worth in each of them: keeps small components regular. */
  shrinkage: number;
  /** λ: every covariance becomes (1 − λ) Σ + λ (tr Σ / d) I. */
  ridge: number;
  iterations: number;
  /** Points that each component is given beside its own, for its weight; 1. */
  pseudoCount?: number;
  /** Added to the diagonals, relative to the mean variance within components; 10⁻⁶. */
  jitter?: number;
  /** Shares of a point below this are left out of a component's sums; 10⁻⁴. */
  negligible?: number;
  /** Stop when an iteration adds less to the mean log-density, in nats; 10⁻³. */
  tolerance?: number;
  /** Shares of the points in the components to start from, [n, K]; found by k-means unless given. */
  start?: Float64Array;
}

const DEFAULTS = { pseudoCount: 1, jitter: 1e-6, negligible: 1e-4, tolerance: 1e-3 };

/** Options that leave maximum likelihood as it is: no regular components, no end before the last iteration. */
export const PLAIN = {
  shrinkage: 0,
  ridge: 0,
  pseudoCount: 0,
  jitter: 0,
  negligible: 0,
  tolerance: Number.NEGATIVE_INFINITY,
} as const satisfies Partial<EmOptions>;

/** log Γ(x), x > 0, by Stirling's series after raising x above 10. */
export function logGamma(x: number): number {
  let shift = 0;
  for (; x < 10; x++) shift -= Math.log(x);
  const y = 1 / (x * x);
  const series = (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y / 1680))) / x;
  return shift + (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series;
}

/** Constant of a d-dimensional t (or normal) of unit scale: its log-density at the mode. */
export const logConstant = (dof: number, d: number): number =>
  Number.isFinite(dof)
    ? logGamma((dof + d) / 2) - logGamma(dof / 2) - 0.5 * d * Math.log(dof * Math.PI)
    : -0.5 * d * Math.log(2 * Math.PI);

/** What a squared distance q takes from the log-density. */
const falling = (q: number, dof: number, d: number): number =>
  Number.isFinite(dof) ? 0.5 * (dof + d) * Math.log1p(q / dof) : 0.5 * q;

/** ‖L⁻¹ (x − mean)‖² of a row x; L⁻¹ lower triangular, [d·d]; `difference` [d] is overwritten. */
function squaredDistance(
  { data, size }: Points,
  row: number,
  mean: Float64Array,
  inverse: Float64Array,
  difference: Float64Array,
): number {
  let sum = 0;
  for (let j = 0; j < size; j++) {
    difference[j] = data[row * size + j] - mean[j];
    let y = 0;
    for (let k = 0, at = j * size; k <= j; k++, at++) y += inverse[at] * difference[k];
    sum += y * y;
  }
  return sum;
}

/** {@link squaredDistance} of every point from a component, [n]. */
export function squaredDistances(points: Points, { mean, inverseCholesky }: Component): Float64Array {
  const inverse = Float64Array.from(inverseCholesky.to1DArray());
  const scratch = new Float64Array(points.size);
  return Float64Array.from({ length: points.count }, (_, i) =>
    squaredDistance(points, i, mean, inverse, scratch),
  );
}

/** Joint log-densities log w_k p_k(x), [n, K], and squared distances, [n, K]. */
function joint(points: Points, components: readonly Component[], dof: number) {
  const { count, size } = points;
  const k = components.length;
  const logs = new Float64Array(count * k);
  const distances = new Float64Array(count * k);
  const constant = logConstant(dof, size);
  components.forEach((component, c) => {
    const { logWeight, logDeterminant } = component;
    squaredDistances(points, component).forEach((q, i) => {
      distances[i * k + c] = q;
      logs[i * k + c] = logWeight + constant - logDeterminant - falling(q, dof, size);
    });
  });
  return { logs, distances };
}

/** Replaces joint log-densities [n, K] by shares; returns the mean log-density. */
export function normalise(logs: Float64Array, k: number): number {
  let total = 0;
  for (let at = 0; at < logs.length; at += k) {
    let largest = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < k; c++) largest = Math.max(largest, logs[at + c]);
    let sum = 0;
    for (let c = 0; c < k; c++) sum += Math.exp(logs[at + c] - largest);
    const logDensity = largest + Math.log(sum);
    for (let c = 0; c < k; c++) logs[at + c] = Math.exp(logs[at + c] - logDensity);
    total += logDensity;
  }
  return total / (logs.length / k);
}

/** Mean log-density of points under a mixture, nats. */
export const meanLogDensity = (points: Points, components: readonly Component[], dof: number): number =>
  normalise(joint(points, components, dof).logs, components.length);

/** Shares of points in the components of a mixture, [n, K]. */
export function responsibilities(
  points: Points,
  components: readonly Component[],
  dof: number,
): Float64Array {
  const { logs } = joint(points, components, dof);
  normalise(logs, components.length);
  return logs;
}

/** What a component has of all points: their mean, its mass, and Σ_i r_i (x_i − mean)(x_i − mean)ᵀ, lower triangle [d·d]. */
export interface Moments {
  mass: number;
  mean: Float64Array;
  scatter: Float64Array;
}

type Regularisation = Required<Omit<EmOptions, 'start' | 'dof' | 'components' | 'iterations'>>;

/** Moments of points given shares [n, K] and weights of points in them. */
function momentsOf(
  points: Points,
  shares: Float64Array,
  weights: Float64Array,
  k: number,
  negligible: number,
): Moments[] {
  const { data, count, size: d } = points;
  const difference = new Float64Array(d);
  return Array.from({ length: k }, (_, c) => {
    const mean = new Float64Array(d);
    let mass = 0;
    let weight = 0;
    for (let i = 0; i < count; i++) {
      const share = shares[i * k + c];
      mass += share;
      if (share < negligible) continue;
      const r = share * weights[i * k + c];
      weight += r;
      for (let j = 0; j < d; j++) mean[j] += r * data[i * d + j];
    }
    for (let j = 0; j < d; j++) mean[j] /= weight || 1;
    const scatter = new Float64Array(d * d);
    for (let i = 0; i < count; i++) {
      if (shares[i * k + c] < negligible) continue;
      const r = shares[i * k + c] * weights[i * k + c];
      for (let j = 0; j < d; j++) difference[j] = data[i * d + j] - mean[j];
      for (let j = 0; j < d; j++) {
        const scaled = r * difference[j];
        for (let l = 0, at = j * d; l <= j; l++, at++) scatter[at] += scaled * difference[l];
      }
    }
    return { mass, mean, scatter };
  });
}

/** The mixture that is likeliest a posteriori given the moments of n points. */
export function maximise(
  moments: readonly Moments[],
  count: number,
  {
    shrinkage,
    ridge,
    pseudoCount,
    jitter,
  }: Pick<Regularisation, 'shrinkage' | 'ridge' | 'pseudoCount' | 'jitter'>,
): Component[] {
  const k = moments.length;
  const d = moments[0].mean.length;
  const pooled = new Float64Array(d * d);
  for (const { scatter } of moments) for (let at = 0; at < d * d; at++) pooled[at] += scatter[at] / count;
  let trace = 0;
  for (let j = 0; j < d; j++) trace += pooled[j * d + j];
  return moments.map(({ mass, mean, scatter }) => {
    const covariance = Matrix.zeros(d, d);
    for (let j = 0; j < d; j++)
      for (let l = 0; l <= j; l++) {
        const at = j * d + l;
        const value = (scatter[at] + shrinkage * pooled[at]) / (mass + shrinkage);
        covariance.set(j, l, value);
        covariance.set(l, j, value);
      }
    if (ridge > 0) {
      const isotropic = (ridge * covariance.trace()) / d;
      covariance.mul(1 - ridge);
      for (let j = 0; j < d; j++) covariance.set(j, j, covariance.get(j, j) + isotropic);
    }
    for (let j = 0; j < d; j++) covariance.set(j, j, covariance.get(j, j) + (jitter * trace) / d);
    return componentOf(Math.log((mass + pseudoCount) / (count + k * pseudoCount)), mean, covariance);
  });
}

/** Nearest of K centres after some rounds of k-means from K different points: the first shares, [n, K]. */
function cluster({ data, count, size: d }: Points, k: number, stream: RandomStream): Float64Array {
  const order = stream.permutation(count);
  const centres = Float64Array.from(
    { length: k * d },
    (_, i) => data[order[Math.floor(i / d)] * d + (i % d)],
  );
  const nearest = new Int32Array(count);
  for (let round = 0; round < 8; round++) {
    for (let i = 0; i < count; i++) {
      let smallest = Number.POSITIVE_INFINITY;
      for (let c = 0; c < k; c++) {
        let distance = 0;
        for (let j = 0; j < d && distance < smallest; j++)
          distance += (data[i * d + j] - centres[c * d + j]) ** 2;
        if (distance < smallest) {
          smallest = distance;
          nearest[i] = c;
        }
      }
    }
    const sizes = new Float64Array(k);
    const sums = new Float64Array(k * d);
    for (let i = 0; i < count; i++) {
      sizes[nearest[i]]++;
      for (let j = 0; j < d; j++) sums[nearest[i] * d + j] += data[i * d + j];
    }
    for (let at = 0; at < k * d; at++) {
      const members = sizes[Math.floor(at / d)];
      if (members > 0) centres[at] = sums[at] / members;
    }
  }
  const shares = new Float64Array(count * k);
  nearest.forEach((c, i) => {
    shares[i * k + c] = 1;
  });
  return shares;
}

/** Options with their defaults, and the mixture to start from. */
export function startingMixture(points: Points, given: EmOptions, stream: RandomStream) {
  const options = { ...DEFAULTS, ...given };
  const { components: k, negligible, start = cluster(points, k, stream) } = options;
  const ones = new Float64Array(points.count * k).fill(1);
  return {
    options,
    components: maximise(momentsOf(points, start, ones, k, negligible), points.count, options),
  };
}

/** A mixture fitted from the given start, or from a random one, in double precision. */
export function expectationMaximisation(points: Points, given: EmOptions, stream: RandomStream): Component[] {
  const begun = startingMixture(points, given, stream);
  const { components: k, dof, iterations, tolerance, negligible } = begun.options;
  const weights = new Float64Array(points.count * k).fill(1);
  let { components } = begun;
  let before = Number.NEGATIVE_INFINITY;
  for (let t = 0; t < iterations; t++) {
    const { logs, distances } = joint(points, components, dof);
    const now = normalise(logs, k);
    if (Number.isFinite(dof))
      for (let at = 0; at < weights.length; at++) weights[at] = (dof + points.size) / (dof + distances[at]);
    components = maximise(momentsOf(points, logs, weights, k, negligible), points.count, begun.options);
    if (now - before < tolerance) break;
    before = now;
  }
  return components;
}
