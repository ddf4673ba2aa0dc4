// Layers whose weights share ζ, bounds of many draws of them, and the density of a normal marginal.
import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import { lowerBound, upperBound } from '../../src/bounds/hierarchical.js';
import { type Engine, f32, type NdArray, seedKey, tf } from '../../src/engine/index.js';
import { type Layer, makeLayer, weightShape } from '../../src/network/index.js';
import {
  groupCount,
  posteriors,
  type SemiImplicitPosterior,
  type Tensors,
} from '../../src/posteriors/index.js';
import { normal } from '../engine/reference.js';

export const conv = makeLayer({ kind: 'conv', name: 'conv', channels: 2, kernel: 2 }, [[4, 4, 3]]);
export const dense: Layer = { ...makeLayer({ kind: 'dense', name: 'dense', units: 5 }, [[2]]), random: true };

export type Parameters = Record<string, NdArray>;

/** What starts at 0 is drawn with this standard deviation instead. */
export const bent = (arrays: Readonly<Parameters>, std: number): Parameters =>
  Object.fromEntries(
    Object.entries(arrays).map(([name, array], i) => [
      name,
      array.data.every((x) => x === 0) ? scaled(normal(510 + i, ...array.shape), std) : array,
    ]),
  );

export const scaled = ({ shape, data }: NdArray, factor: number, shift = 0): NdArray =>
  f32(
    shape,
    Float32Array.from(data, (x) => factor * x + shift),
  );

/** Parameters of a layer, with any standard deviations; `bend` is that of everything that starts at 0. */
export function parametersOf(name: string, layer: Layer, bend: number): Parameters {
  const shape = [...weightShape(layer)];
  const start = posteriors[name].initial(layer, normal(500, ...shape), -0.5, seedKey(501));
  return { ...bent(start, bend), logStd: scaled(normal(502, ...shape), 0.3, -0.5) };
}

export const semiImplicit = (name: string, layer: Layer, parameters: Tensors): SemiImplicitPosterior => {
  const q = posteriors[name].kernels!(layer, parameters);
  if (q.kind !== 'semi-implicit') throw new Error(name);
  return q;
};

export const N = 1500;

/**
 * (2), (5) and, as `below`, (5) without ζ₀, of N draws, [N] each and summed over groups; and the draws.
 * @param density of {@link SemiImplicitPosterior}: `standard` has a ζ that is N(0, I)
 */
export async function bounds(
  engine: Engine,
  name: string,
  layer: Layer,
  parameters: Parameters,
  k: number,
  standard = false,
) {
  const { shared, size } = posteriors[name].latent!(layer);
  const groups = groupCount(layer, shared);
  const d = weightShape(layer).reduce((a, b) => a * b) / groups;
  const step = await engine.compile(
    (inputs: { kernels: tf.Tensor; latent: tf.Tensor; proposed: tf.Tensor }, given: Tensors) => {
      const whole = semiImplicit(name, layer, given);
      const q = (standard && whole.standard) || whole;
      const { w, latent } = q.draw(inputs);
      return {
        w: tf.clone(w),
        two: tf.sum(upperBound(q.density, w, latent, undefined)),
        above: tf.sum(upperBound(q.density, w, latent, inputs.proposed)),
        below: tf.sum(lowerBound(q.density, w, inputs.proposed)),
      };
    },
    {
      inputs: { kernels: f32([groups, d]), latent: f32([groups, size]), proposed: f32([k, groups, size]) },
      constants: parameters,
    },
  );
  const out = {
    w: [] as Float32Array[],
    two: new Float64Array(N),
    above: new Float64Array(N),
    below: new Float64Array(N),
  };
  for (let i = 0; i < N; i++) {
    const result = (await step.run({
      kernels: normal(600 + 3 * i, groups, d),
      latent: normal(601 + 3 * i, groups, size),
      proposed: normal(602 + 3 * i, k, groups, size),
    })) as unknown as Record<string, NdArray>;
    out.w.push(Float32Array.from(result.w.data));
    for (const part of ['two', 'above', 'below'] as const) out[part][i] = result[part].data[0];
  }
  await step.release();
  return out;
}

/** log N(w | mean, S (I + AᵀA) S) with S = diag std; rows of `a` are [D]. */
export function normalLogDensity(
  mean: ArrayLike<number>,
  std: ArrayLike<number>,
  a: readonly ArrayLike<number>[],
) {
  const d = mean.length;
  const covariance = Matrix.eye(d, d);
  for (let i = 0; i < d; i++)
    for (let j = 0; j < d; j++)
      for (const row of a) covariance.set(i, j, covariance.get(i, j) + row[i] * row[j]);
  const lower = new CholeskyDecomposition(covariance).lowerTriangularMatrix;
  return (w: ArrayLike<number>): number => {
    let sum = -0.5 * d * Math.log(2 * Math.PI);
    const white: number[] = [];
    for (let i = 0; i < d; i++) {
      let x = (w[i] - mean[i]) / std[i];
      for (let j = 0; j < i; j++) x -= lower.get(i, j) * white[j];
      white.push(x / lower.get(i, i));
      sum -= 0.5 * white[i] ** 2 + Math.log(lower.get(i, i)) + Math.log(std[i]);
    }
    return sum;
  };
}

export const stds = ({ logStd }: Parameters) => Float64Array.from(logStd.data, Math.exp);
export const minus = (a: ArrayLike<number>, b: ArrayLike<number>) => Float64Array.from(a, (x, i) => x - b[i]);
