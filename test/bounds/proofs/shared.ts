// Densities of weights that share ζ, (31) to (33): with f(ζ) = ζ and orthogonal loadings all of it is normal.
import { expect } from 'vitest';
import { upperBound as trueUpperBound } from '../../../src/bounds/hierarchical.js';
import { type Engine, f32, type NdArray, type tf } from '../../../src/engine/index.js';
import { weightShape } from '../../../src/network/index.js';
import type { SemiImplicitPosterior, Tensors } from '../../../src/posteriors/index.js';
import { normal } from '../../engine/reference.js';
import { bent, conv, normalLogDensity, type Parameters, scaled, stds } from '../../posteriors/shared.js';
import { largestError, meansOf, type Proof, quadraticPoints, type Subject } from './proof.js';

const SHAPE = [...weightShape(conv)];
const DIMENSIONS = SHAPE.reduce((a, b) => a * b); // 24
const NAMES = ['semi-implicit-layer', 'mnf'] as const;
const KEY = [1, 2, 3, 4] as const;

type Inputs = Record<'kernels' | 'latent', tf.Tensor> & { parameters: Tensors };
const posteriorOf = ({ posteriors }: Subject, name: string, parameters: Tensors) =>
  posteriors[name].kernels!(conv, parameters) as SemiImplicitPosterior;

/** The parameters with which a posterior starts, other widths, and loadings that are orthogonal and not small. */
function initial({ posteriors }: Subject, name: (typeof NAMES)[number]): Parameters {
  const start: Parameters = { ...posteriors[name].initial(conv, normal(800, ...SHAPE), -0.5, KEY) };
  start.logStd = scaled(normal(801, ...SHAPE), 0.3, -0.5);
  if (name === 'mnf') start.logScale = scaled(normal(802, 2), 0.2, -0.3);
  else {
    const [, l, d] = start.loadings.shape;
    // row j is not 0 on every l-th weight only
    const data = normal(803, 1, l, d).data.map((x, i) => ((i % d) % l === Math.floor(i / d) ? 0.7 * x : 0));
    start.loadings = f32([1, l, d], data as Float32Array);
  }
  return start;
}

/** Rows of A as (31) has them: [l][D]. */
function loadingsOf(name: string, parameters: Parameters): Float64Array[] {
  if (name !== 'mnf') {
    const { shape, data } = parameters.loadings;
    const [, l, d] = shape;
    return Array.from({ length: l }, (_, j) => Float64Array.from(data.subarray(j * d, (j + 1) * d)));
  }
  const std = stds(parameters);
  return Array.from(parameters.logScale.data, (logScale, c) =>
    Float64Array.from(parameters.mean.data, (m, i) =>
      Math.floor(i / (DIMENSIONS / SHAPE[0])) === c ? (Math.exp(logScale) * m) / std[i] : 0,
    ),
  );
}

async function sides(subject: Subject, engine: Engine, parameters: Parameters, name: string) {
  const l = loadingsOf(name, parameters).length;
  const step = await engine.compile(
    ({ kernels, latent, parameters }: Inputs) => {
      const q = posteriorOf(subject, name, parameters);
      const drawn = q.draw({ kernels, latent });
      return { w: drawn.w, value: trueUpperBound(q.density, drawn.w, drawn.latent, undefined) };
    },
    { inputs: { kernels: f32([1, DIMENSIONS]), latent: f32([1, l]), parameters } as never },
  );
  const w: Float32Array[] = [];
  const values: number[] = [];
  for (const point of quadraticPoints(DIMENSIONS + l)) {
    // of ε and ζ
    const result = (await step.run({
      kernels: f32([1, DIMENSIONS], point.slice(0, DIMENSIONS)),
      latent: f32([1, l], point.slice(DIMENSIONS)),
      parameters,
    } as never)) as unknown as Record<'w' | 'value', NdArray>;
    w.push(Float32Array.from(result.w.data));
    values.push(result.value.data[0]);
  }
  await step.release();
  return { w, values };
}

const linear: Proof = {
  name: 'weights that share ζ, linear, orthogonal loadings: log q(w) draw by draw, and its mean is −H[q]',
  async check(subject, engine) {
    for (const name of NAMES) {
      const parameters = initial(subject, name);
      const rows = loadingsOf(name, parameters);
      const { w, values } = await sides(subject, engine, parameters, name);
      const log = normalLogDensity(parameters.mean.data, stds(parameters), rows);
      expect(largestError(values, w.map(log)), name).toBeLessThan(2e-5);
      // log q(w) is quadratic in ε and ζ, and log det (I + AᵀA) = Σ log (1 + ‖A_j‖²)
      const entropy =
        0.5 * DIMENSIONS * Math.log(2 * Math.PI * Math.E) +
        Array.from(parameters.logStd.data).reduce((sum, x) => sum + x, 0) +
        rows.reduce((sum, row) => sum + 0.5 * Math.log1p(row.reduce((s, x) => s + x * x, 0)), 0);
      expect(largestError(meansOf(values, values.length), [-entropy]), name).toBeLessThan(2e-5);
    }
  },
};

const flows: Proof = {
  name: 'a flow of ζ: its density is that of ζ over |det ∂h/∂ζ|, and log q(w|ζ) is the same',
  async check(subject, engine) {
    const parameters = bent(initial(subject, 'mnf'), 0.15);
    const l = parameters.logScale.data.length;
    const step = await engine.compile(
      ({ kernels, latent }: Inputs, parameters: Tensors) => {
        const { density, draw, standard } = posteriorOf(subject, 'mnf', parameters);
        const own = draw({ kernels, latent });
        const other = standard!.draw({ kernels, latent });
        return {
          v: own.latent,
          prior: density.logLatent(own.latent),
          given: density.logLikelihood(own.w, own.latent),
          standardPrior: standard!.density.logLatent(other.latent),
          standardGiven: standard!.density.logLikelihood(other.w, other.latent),
        };
      },
      {
        inputs: { kernels: f32([1, DIMENSIONS]), latent: f32([1, l]) } as never,
        constants: parameters,
      },
    );
    const kernels = normal(804, 1, DIMENSIONS);
    const run = async (latent: Float32Array) =>
      (await step.run({ kernels, latent: f32([1, l], latent) } as never)) as unknown as Record<
        'v' | 'prior' | 'given' | 'standardPrior' | 'standardGiven',
        NdArray
      >;
    const h = 0.02; // central differences: h² of a smooth map, and 10⁻⁷ / h
    for (const at of [
      [0.4, -1.1],
      [-0.7, 0.2],
    ]) {
      const zeta = Float32Array.from(at);
      const here = await run(zeta);
      const columns: number[][] = [];
      for (const j of [0, 1]) {
        const moved = (by: number) => run(zeta.map((x, i) => (i === j ? x + by : x)));
        const ahead = Array.from((await moved(h)).v.data);
        const behind = Array.from((await moved(-h)).v.data);
        columns.push(ahead.map((x, i) => (x - behind[i]) / (2 * h)));
      }
      const determinant = columns[0][0] * columns[1][1] - columns[0][1] * columns[1][0];
      expect(Math.abs(Math.log(Math.abs(determinant)))).toBeGreaterThan(0.02); // no identity
      const expected = here.standardPrior.data[0] - Math.log(Math.abs(determinant));
      expect(Math.abs(here.prior.data[0] - expected)).toBeLessThan(2e-3);
      expect(Math.abs(here.given.data[0] - here.standardGiven.data[0])).toBeLessThan(1e-3);
    }
    await step.release();
  },
};

export const shared: readonly Proof[] = [linear, flows];
