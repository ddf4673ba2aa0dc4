// A Gaussian scale mixture: w = s·u with u ~ N(0, Σ) and s one of a few scales with learned weights. Norms may differ by
// orders of magnitude while directions share one covariance.
import { Matrix } from 'ml-matrix';
import { z } from 'zod';
import { storedComponents } from './mixture/components.js';
import { type Component, componentOf } from './mixture/em.js';
import { mixturePrior } from './mixture/exact.js';
import { kernelLength, type PriorFamily, type TrainingKernels } from './prior.js';

const config = z.object({
  components: z.number().int().min(1).max(100).default(10).describe('number of scales'),
});
type Config = z.infer<typeof config>;

const ROUNDS = 60;
const JITTER = 1e-6;

function fit(kernels: TrainingKernels, { components: k }: Config) {
  const { data, count } = kernels;
  const d = kernelLength(kernels);
  const scales = new Float64Array(k);
  const weights = new Float64Array(k).fill(1 / k);
  let sigma = weightedSecondMoment(data, count, d, () => 1);
  let component = componentOf(0, new Float64Array(d), sigma);
  const squares = new Float64Array(count);
  const shares = new Float64Array(k);
  for (let round = 0; round < ROUNDS; round++) {
    const inverse = component.inverseCholesky;
    for (let i = 0; i < count; i++) squares[i] = squaredNorm(data, i, d, inverse);
    // scales start at quantiles of the norms
    if (round === 0) {
      const sorted = squares.slice().sort();
      for (let c = 0; c < k; c++)
        scales[c] = Math.sqrt(Math.max(1e-12, sorted[Math.floor(((c + 0.5) / k) * count)]) / d);
    }
    const mass = new Float64Array(k);
    const square = new Float64Array(k);
    const precision = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      let largest = Number.NEGATIVE_INFINITY;
      for (let c = 0; c < k; c++) {
        shares[c] = Math.log(weights[c]) - d * Math.log(scales[c]) - (0.5 * squares[i]) / scales[c] ** 2;
        largest = Math.max(largest, shares[c]);
      }
      let total = 0;
      for (let c = 0; c < k; c++) {
        shares[c] = Math.exp(shares[c] - largest);
        total += shares[c];
      }
      for (let c = 0; c < k; c++) {
        const share = shares[c] / total;
        mass[c] += share;
        square[c] += share * squares[i];
        precision[i] += share / scales[c] ** 2;
      }
    }
    for (let c = 0; c < k; c++) {
      weights[c] = (mass[c] + 1e-3) / (count + k * 1e-3);
      scales[c] = Math.max(1e-4, Math.sqrt(square[c] / (d * Math.max(mass[c], 1e-9))));
    }
    sigma = weightedSecondMoment(data, count, d, (i) => precision[i]);
    component = componentOf(0, new Float64Array(d), sigma);
  }
  return storedComponents(
    Array.from(scales, (s, c): Component => {
      const covariance = Matrix.mul(component.covariance, s * s);
      return {
        ...component,
        logWeight: Math.log(weights[c]),
        covariance,
        logDeterminant: component.logDeterminant + d * Math.log(s),
      };
    }),
  );
}

function squaredNorm(data: Float32Array, row: number, d: number, inverse: Matrix): number {
  let sum = 0;
  for (let j = 0; j < d; j++) {
    let y = 0;
    for (let l = 0; l <= j; l++) y += inverse.get(j, l) * data[row * d + l];
    sum += y * y;
  }
  return sum;
}

function weightedSecondMoment(data: Float32Array, count: number, d: number, weight: (i: number) => number) {
  const sum = new Float64Array(d * d);
  for (let i = 0; i < count; i++) {
    const scale = weight(i) / count;
    for (let j = 0; j < d; j++)
      for (let l = 0; l <= j; l++) sum[j * d + l] += scale * data[i * d + j] * data[i * d + l];
  }
  const matrix = Matrix.zeros(d, d);
  let trace = 0;
  for (let j = 0; j < d; j++) trace += sum[j * d + j];
  for (let j = 0; j < d; j++)
    for (let l = 0; l <= j; l++) {
      const value = sum[j * d + l] + (j === l ? (JITTER * trace) / d : 0);
      matrix.set(j, l, value);
      matrix.set(l, j, value);
    }
  return matrix;
}

export const scaleMixture: PriorFamily<Config> = {
  name: 'scale-mixture',
  summary: 'N(0, s²Σ) with a learned distribution of the scale s',
  config,
  fit: { kind: 'closed-form', parameters: fit },
  prior: (size, config, given) => mixturePrior('scale-mixture', size, config, given, undefined),
};
