// A stationary Gaussian: neighbouring pixels are alike, the more so the nearer. N(0, σ² C), where C is
// (1 − ν) exp(−(|Δ|/ℓ)^p) for pixels Δ apart plus ν on the diagonal: four numbers, whatever the size.
import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import { z } from 'zod';
import { f32 } from '../engine/index.js';
import { gaussianPrior } from './gaussian.js';
import { lowerInverse } from './mixture/linear-algebra.js';
import type { Arrays, KernelSize, PriorFamily, TrainingKernels } from './prior.js';

const config = z.object({});
type Config = z.infer<typeof config>;

interface Shape {
  length: number;
  nugget: number;
  power: number;
}

/** C of pixels h × w. */
export function correlationMatrix({ h, w }: KernelSize, { length, nugget, power }: Shape): Matrix {
  const d = h * w;
  const c = Matrix.zeros(d, d);
  for (let a = 0; a < d; a++)
    for (let b = 0; b < d; b++) {
      const distance = Math.hypot(Math.floor(a / w) - Math.floor(b / w), (a % w) - (b % w));
      c.set(a, b, (1 - nugget) * Math.exp(-((distance / length) ** power)) + (a === b ? nugget : 0));
    }
  return c;
}

/** The likeliest variance given the shape, and the log-likelihood per kernel up to a constant. */
function judge(second: Matrix, size: KernelSize, shape: Shape) {
  const lower = new CholeskyDecomposition(correlationMatrix(size, shape)).lowerTriangularMatrix;
  const inverse = lowerInverse(lower);
  const d = lower.rows;
  const variance = inverse.mmul(second).mmul(inverse.transpose()).trace() / d; // tr(C⁻¹ S) / d
  const logDeterminant = lower.diagonal().reduce((sum, x) => sum + Math.log(x), 0);
  return { lower, inverse, variance, value: -logDeterminant - 0.5 * d * Math.log(variance) };
}

/** Maximum likelihood by a search on a grid that narrows around the best shape. */
function fit({ data, count, h, w }: TrainingKernels): Arrays {
  const d = h * w;
  const second = Matrix.zeros(d, d);
  for (let i = 0; i < count; i++)
    for (let a = 0; a < d; a++)
      for (let b = 0; b <= a; b++)
        second.set(a, b, second.get(a, b) + (data[i * d + a] * data[i * d + b]) / count);
  for (let a = 0; a < d; a++) for (let b = 0; b < a; b++) second.set(b, a, second.get(a, b));
  let best: Shape = { length: 1, nugget: 0.1, power: 1 };
  let bestValue = judge(second, { h, w }, best).value;
  for (let step = 1; step > 0.02; step /= 2)
    for (let improved = true; improved; ) {
      improved = false;
      const around = [-step, step].flatMap((s): Shape[] => [
        { ...best, length: Math.min(50, Math.max(0.05, best.length * Math.exp(s))) },
        { ...best, nugget: Math.min(1, Math.max(1e-4, best.nugget * Math.exp(s))) },
        { ...best, power: Math.min(2, Math.max(0.2, best.power + 0.5 * s)) },
      ]);
      for (const shape of around) {
        const { value } = judge(second, { h, w }, shape);
        if (value > bestValue + 1e-6) [best, bestValue, improved] = [shape, value, true];
      }
    }
  const { lower, inverse, variance } = judge(second, { h, w }, best);
  const std = Math.sqrt(variance);
  const array = (m: Matrix, factor: number) =>
    f32(
      [d, d],
      Float32Array.from(m.to1DArray(), (x) => x * factor),
    );
  return { mean: f32([d]), cholesky: array(lower, std), inverseCholesky: array(inverse, 1 / std) };
}

export const correlated: PriorFamily<Config> = {
  name: 'correlated',
  summary: 'stationary normal: variance, correlation length, roughness and white noise',
  config,
  fit: { kind: 'closed-form', parameters: fit },
  prior: (size, config, given) => gaussianPrior('correlated', size, config, given),
};
