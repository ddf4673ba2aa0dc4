// A stationary Gaussian: neighbouring pixels are alike, the more so the nearer. N(0, σ² C), where C is
// (1 − ν) exp(−(|Δ|/ℓ)^p) for pixels Δ apart plus ν on the diagonal: four numbers, whatever the size. Of a filter of
// several channels N(0, A ⊗ C): the channels have a covariance A in the place of σ², and share C.
import { Matrix } from 'ml-matrix';
import { z } from 'zod';
import { gaussianPrior } from './gaussian.js';
import { type KernelSize, type PriorFamily, triangle } from './prior.js';
import { type Correlations, fitSeparable } from './separable.js';

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

const correlations: Correlations<Shape> = {
  start: { length: 1, nugget: 0.1, power: 1 },
  matrix: correlationMatrix,
  around: (best, step) =>
    [-step, step].flatMap((s) => [
      { ...best, length: Math.min(50, Math.max(0.05, best.length * Math.exp(s))) },
      { ...best, nugget: Math.min(1, Math.max(1e-4, best.nugget * Math.exp(s))) },
      { ...best, power: Math.min(2, Math.max(0.2, best.power + 0.5 * s)) },
    ]),
};

export const correlated: PriorFamily<Config> = {
  name: 'correlated',
  summary: 'stationary normal with four parameters: variance, correlation length, roughness and white noise',
  automatic: () => ({}),
  config,
  compared: [{ name: 'correlated', label: 'stationary normal', config: {} }],
  fit: { kind: 'closed-form', parameters: (kernels) => fitSeparable(kernels, correlations).arrays },
  prior: (size, config, given) => gaussianPrior('correlated', size, config, given),
  freeNumbers: ({ channels = 1 }) => triangle(channels) + 3,
};
