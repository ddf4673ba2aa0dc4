// A normal whose covariance is a formula of the size of the kernels and five numbers, with the structure that Trockman et al.
// 2022 describe for depthwise filters: pixels are like their neighbours, a blob at the centre is shared by all pixels, and
// the variance falls, or rises, towards the border. Widths count in sides of the kernel, so that numbers found at one size
// are those of another.
import { Matrix } from 'ml-matrix';
import { z } from 'zod';
import { f32 } from '../engine/index.js';
import { gaussianPrior } from './gaussian.js';
import { requireShapes } from './parameters.js';
import { type KernelSize, type PriorFamily, triangle } from './prior.js';
import { type Correlations, fitSeparable } from './separable.js';

const config = z.object({});
type Config = z.infer<typeof config>;

export interface Structure {
  /** ℓ, width of the correlation of neighbours and of the blob, in sides of the kernel. */
  width: number;
  /** κ, variance of the blob; negative where kernels have less of it than independent patches would. */
  blob: number;
  /** μ, how the standard deviation falls from the centre to a corner: by e^μ. */
  border: number;
  /** ν, the part of white noise. */
  nugget: number;
}

/** (141) C = M [ (1 − ν)(G + κ z zᵀ) + ν I ] M */
export function structuredMatrix({ h, w }: KernelSize, { width, blob, border, nugget }: Structure): Matrix {
  const d = h * w;
  const place = (a: number) => [Math.floor(a / w) - (h - 1) / 2, (a % w) - (w - 1) / 2];
  const centre = Array.from({ length: d }, (_, a) => place(a).reduce((sum, x) => sum + x * x, 0)); // |p_a|²
  const corner = Math.max(1e-9, ...centre);
  const spread = 2 * (width * Math.max(h, w)) ** 2;
  const z = centre.map((square) => Math.exp(-square / spread));
  const mask = centre.map((square) => Math.exp((-border * square) / corner)); // M_aa
  const c = Matrix.zeros(d, d);
  for (let a = 0; a < d; a++)
    for (let b = 0; b <= a; b++) {
      const [[y, x], [v, u]] = [place(a), place(b)];
      const near = Math.exp(-((y - v) ** 2 + (x - u) ** 2) / spread); // G_ab
      const value = (1 - nugget) * (near + blob * z[a] * z[b]) + (a === b ? nugget : 0);
      c.set(a, b, mask[a] * value * mask[b]);
      c.set(b, a, c.get(a, b));
    }
  return c;
}

const limited = (x: number, least: number, most: number) => Math.min(most, Math.max(least, x));

const correlations: Correlations<Structure> = {
  start: { width: 0.3, blob: 0, border: 0, nugget: 0.1 },
  matrix: structuredMatrix,
  around: (best, step) =>
    [-step, step].flatMap((s) => [
      { ...best, width: limited(best.width * Math.exp(s), 0.01, 20) },
      { ...best, blob: limited(best.blob + s, -1, 100) },
      { ...best, border: limited(best.border + s, -5, 5) },
      { ...best, nugget: limited(best.nugget * Math.exp(s), 1e-4, 1) },
    ]),
};

export const structured: PriorFamily<Config> = {
  name: 'structured',
  summary:
    'normal whose covariance is a formula of the kernel size: like neighbours, a blob at the centre, a fading border',
  config,
  compared: [{ name: 'structured', label: 'structured normal', config: {} }],
  fit: {
    kind: 'closed-form',
    parameters(kernels) {
      const { arrays, shape } = fitSeparable(kernels, correlations);
      const { width, blob, border, nugget } = shape;
      return { ...arrays, structure: f32([4], Float32Array.of(width, blob, border, nugget)) };
    },
  },
  prior(size, config, given) {
    const { structure } = requireShapes(given, { structure: [4] });
    const prior = gaussianPrior('structured', size, config, given);
    return { ...prior, parameters: { ...prior.parameters, structure } };
  },
  freeNumbers: ({ channels = 1 }) => triangle(channels) + 4,
};
