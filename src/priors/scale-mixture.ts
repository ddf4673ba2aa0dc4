// A Gaussian scale mixture: w = s·u with u ~ N(0, Σ) and s one of a few scales with learned weights. Norms may differ by
// orders of magnitude while directions share one covariance.
import { Matrix } from 'ml-matrix';
import { z } from 'zod';
import { RandomStream, seedKey } from '../engine/index.js';
import { wholeNumber } from './fields.js';
import { storedComponents } from './mixture/components.js';
import { type Component, componentOf, normalise, type Points, squaredDistances } from './mixture/em.js';
import { mixturePrior } from './mixture/exact.js';
import { secondMoment, symmetricRoot } from './mixture/linear-algebra.js';
import { chooseRidge } from './mixture/ridge.js';
import { kernelLength, type PriorFamily, type TrainingKernels, triangle } from './prior.js';

const config = z.object({
  components: wholeNumber(1, 100).default(10).describe('number of scales'),
});
type Config = z.infer<typeof config>;

const ROUNDS = 60;
/** Added to the diagonal of Σ, relative to its mean variance. */
const JITTER = 1e-6;
/** Kernels that each scale is worth beforehand: keeps the weight of an empty one above 0. */
const PRIOR_MASS = 1e-3;
const SMALLEST_SCALE = 1e-4;

/** Expectation maximisation of w_c, s_c and Σ in turn (Dempster et al. 1977): p(w) = Σ_c w_c N(w; 0, s_c² Σ). */
function fit(kernels: TrainingKernels, { components: k }: Config) {
  const { data, count } = kernels;
  const d = kernelLength(kernels);
  const points = { data, count, size: d };
  const uniform = new Float64Array(count).fill(1);
  const ridge = chooseRidge(directions(points), new RandomStream(seedKey(0)));
  let shape = shapeOf(points, uniform, ridge);
  let squares = squaredDistances(points, shape);
  let scales = quantileScales(squares, k, d);
  let weights = new Float64Array(k).fill(1 / k);
  for (let round = 0; round < ROUNDS; round++) {
    const shares = sharesOf(squares, weights, scales, d);
    const mass = new Float64Array(k);
    const square = new Float64Array(k);
    const precision = new Float64Array(count); // E 1/s² of a kernel
    for (let i = 0; i < count; i++)
      for (let c = 0; c < k; c++) {
        const share = shares[i * k + c];
        mass[c] += share;
        square[c] += share * squares[i];
        precision[i] += share / scales[c] ** 2;
      }
    weights = mass.map((x) => (x + PRIOR_MASS) / (count + k * PRIOR_MASS));
    scales = square.map((x, c) => Math.max(SMALLEST_SCALE, Math.sqrt(x / (d * Math.max(mass[c], 1e-9)))));
    shape = shapeOf(points, precision, ridge);
    squares = squaredDistances(points, shape);
  }
  const { root, inverse } = symmetricRoot(shape.covariance); // of s²Σ: s Σ^½ and Σ^−½ / s
  return storedComponents(
    Array.from(scales, (s, c): Component & { scale: number } => ({
      ...shape,
      scale: s,
      logWeight: Math.log(weights[c]),
      logDeterminant: shape.logDeterminant + d * Math.log(s),
    })),
    ({ scale }) => ({ root: Matrix.mul(root, scale), inverse: Matrix.div(inverse, scale) }),
  );
}

/** N(0, Σ), Σ the weighted second moment, drawn towards the isotropic one by λ = `ridge` (126). */
function shapeOf(points: Points, weights: Float64Array, ridge: number): Component {
  const { size: d } = points;
  const mean = new Float64Array(d);
  const sigma = secondMoment(points, d, mean, weights);
  const isotropic = sigma.trace() / d;
  return componentOf(0, mean, sigma.mul(1 - ridge).add(Matrix.eye(d).mul((ridge + JITTER) * isotropic)));
}

/** Points of norm 1, which Σ is to describe. */
function directions({ data, count, size: d }: Points): Points {
  const units = new Float64Array(count * d);
  for (let i = 0; i < count; i++) {
    let square = 0;
    for (let at = i * d; at < (i + 1) * d; at++) square += data[at] ** 2;
    for (let at = i * d; at < (i + 1) * d; at++) units[at] = data[at] / (Math.sqrt(square) || 1);
  }
  return { data: units, count, size: d };
}

/** Where scales start: at quantiles of the norms. */
function quantileScales(squares: Float64Array, k: number, d: number): Float64Array {
  const sorted = squares.slice().sort();
  return Float64Array.from({ length: k }, (_, c) =>
    Math.sqrt(Math.max(1e-12, sorted[Math.floor(((c + 0.5) / k) * squares.length)]) / d),
  );
}

/** How probable each scale is given a kernel: squared norms [n] → [n, K]. */
function sharesOf(
  squares: Float64Array,
  weights: Float64Array,
  scales: Float64Array,
  d: number,
): Float64Array {
  const k = scales.length;
  const logs = new Float64Array(squares.length * k);
  for (let i = 0; i < squares.length; i++)
    for (let c = 0; c < k; c++)
      logs[i * k + c] = Math.log(weights[c]) - d * Math.log(scales[c]) - (0.5 * squares[i]) / scales[c] ** 2;
  normalise(logs, k);
  return logs;
}

export const scaleMixture: PriorFamily<Config> = {
  name: 'scale-mixture',
  summary: 'N(0, s²Σ) with a learned distribution of the scale s',
  automatic: () => ({}),
  config,
  compared: [{ name: 'scale-mixture', label: 'scale mixture', config: {} }],
  fit: { kind: 'closed-form', parameters: fit },
  prior: (size, config, given) => mixturePrior('scale-mixture', size, config, given, undefined, false),
  // Σ, and of the scales and of the weights all but one
  freeNumbers: (size, { components }) => triangle(kernelLength(size)) + 2 * (components - 1),
};
