// Bounds (2) and (5) of E_q log q hold for posteriors whose weights share ζ, with the gap that they have in closed form
// where the marginal is normal, and around its quadrature where it is not (docs/math.md, section 3b).
import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import { beforeAll, describe, expect, test } from 'vitest';
import { createEngine, type Engine, f32, type NdArray, type tf } from '../../src/engine/index.js';
import { type Layer, makeLayer, weightShape } from '../../src/network/index.js';
import { flow } from '../../src/posteriors/flow.js';
import type { Tensors } from '../../src/posteriors/index.js';
import { normal, runOn } from '../engine/reference.js';
import { estimate, expectMean } from '../monte-carlo.js';
import {
  bounds,
  conv,
  dense,
  minus,
  normalLogDensity,
  type Parameters,
  parametersOf,
  stds,
} from './shared.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

/** Bounds in their order, and (2) above E_q log q by `gap`, which is 0 sample by sample where s is q(ζ|w). */
function expectBounds(
  { two, above, below }: Awaited<ReturnType<typeof bounds>>,
  exact: ArrayLike<number>,
  gap: number,
): void {
  if (gap === 0) {
    for (const value of [two, above, below])
      for (const [i, x] of minus(value, exact).entries())
        expect(Math.abs(x), `draw ${i}`).toBeLessThan(1e-5 * Math.max(10, Math.abs(exact[i])));
    return;
  }
  const slack = estimate(minus(two, exact));
  expectMean(slack, gap, 'gap');
  expect(gap).toBeGreaterThan(6 * slack.standardError);
  for (const [higher, lower, name] of [
    [two, above, '(2) − (5)'],
    [above, exact, '(5) − E log q'],
    [exact, below, 'E log q − (5) without ζ₀'],
  ] as const) {
    const { mean, standardError } = estimate(minus(higher, lower));
    expect(mean, name).toBeGreaterThan(-5 * standardError);
  }
}

describe('linear factors: the marginal is normal', () => {
  /** Loadings of `conv`, [g][l][D], with rows that are orthogonal or not. */
  function withLoadings(name: string, orthogonal: boolean): Parameters {
    const parameters = parametersOf(name, conv, 0);
    const [g, l, d] = parameters.loadings.shape;
    const loadings = normal(560, g, l, d);
    for (let row = 0; row < g * l; row++) {
      const of = (r: number) => loadings.data.subarray(r * d, (r + 1) * d);
      for (let before = row - (row % l); orthogonal && before < row; before++) {
        const dot = of(row).reduce((sum, x, i) => sum + x * of(before)[i], 0);
        const squares = of(before).reduce((sum, x) => sum + x * x, 0);
        of(row).forEach((x, i) => {
          of(row)[i] = x - (dot / squares) * of(before)[i];
        });
      }
    }
    for (let i = 0; i < loadings.data.length; i++) loadings.data[i] *= 0.4;
    return { ...parameters, loadings };
  }

  /** E_q KL( q(ζ|w) ‖ s(ζ|w) ) of one group: q(ζ|w) = N(t M, M), M = (I + AAᵀ)⁻¹, s = N(t P⁻¹, P⁻¹), P its diagonal. */
  function gapOf(a: readonly Float32Array[]): number {
    const l = a.length;
    const gram = new Matrix(a.map((x) => a.map((y) => x.reduce((sum, v, i) => sum + v * y[i], 0))));
    const precision = Matrix.add(gram, Matrix.eye(l, l));
    const lower = new CholeskyDecomposition(precision).lowerTriangularMatrix;
    const variance = new CholeskyDecomposition(precision).solve(Matrix.eye(l, l));
    const spread = gram.mmul(precision); // covariance of t = u Aᵀ
    let gap = 0;
    for (let i = 0; i < l; i++) {
      const p = precision.get(i, i);
      const difference = Array.from({ length: l }, (_, j) => variance.get(i, j) - (i === j ? 1 / p : 0));
      let square = 0;
      for (let j = 0; j < l; j++)
        for (let k = 0; k < l; k++) square += difference[j] * spread.get(j, k) * difference[k];
      gap += 0.5 * (p * variance.get(i, i) - 1 + p * square) - 0.5 * Math.log(p) + Math.log(lower.get(i, i));
    }
    return gap;
  }

  test.each([
    { name: 'semi-implicit-filter', orthogonal: true },
    { name: 'semi-implicit-filter', orthogonal: false },
    { name: 'semi-implicit-layer', orthogonal: true },
    { name: 'semi-implicit-layer', orthogonal: false },
  ])('$name, orthogonal $orthogonal', async ({ name, orthogonal }) => {
    const parameters = withLoadings(name, orthogonal);
    const [g, l, d] = parameters.loadings.shape;
    const groups = Array.from({ length: g }, (_, i) => {
      const a = Array.from({ length: l }, (_, j) =>
        (parameters.loadings.data as Float32Array).subarray((i * l + j) * d, (i * l + j + 1) * d),
      );
      const part = (x: ArrayLike<number>) => Array.from(x).slice(i * d, (i + 1) * d);
      return {
        log: normalLogDensity(part(parameters.mean.data), part(stds(parameters)), a),
        gap: orthogonal ? 0 : gapOf(a),
      };
    });
    const result = await bounds(engine, name, conv, parameters, 5);
    const exact = result.w.map((w) =>
      groups.reduce((sum, { log }, i) => sum + log(w.subarray(i * d, (i + 1) * d)), 0),
    );
    expectBounds(
      result,
      exact,
      groups.reduce((sum, { gap }) => sum + gap, 0),
    );
  });
});

describe('multiplicative normalising flows', () => {
  const layers: { kind: string; layer: Layer }[] = [conv, dense].map((layer) => ({
    kind: layer.kind,
    layer,
  }));

  /** Flows that scale and shift every element by itself: their hidden units see nothing. */
  function affine(layer: Layer, auxiliary: 'identity' | 'the same'): Parameters {
    const parameters = { ...parametersOf('mnf', layer, 0) };
    const size = parameters.logScale.data.length;
    parameters.logScale = f32([size], new Float32Array(size).fill(Math.log(0.6)));
    for (const i of [0, 1]) {
      const out = f32(
        parameters[`flow.${i}.out`].shape,
        normal(570 + i, 32, 2 * size).data.map((x) => 0.15 * x) as Float32Array,
      );
      for (const name of auxiliary === 'identity' ? ['flow'] : ['flow', 'auxiliary-posterior.flow']) {
        parameters[`${name}.${i}.in`] = f32([size, 32]);
        parameters[`${name}.${i}.bias`] = normal(572 + i, 32);
        parameters[`${name}.${i}.out`] = out;
      }
    }
    return parameters;
  }

  /** a and b of f(ζ) = a ζ + b, from what it does to 0 and 1. */
  async function coefficients(parameters: Parameters, size: number) {
    const points = f32([2, size], new Float32Array(2 * size).fill(0).fill(1, size));
    const { y } = (await runOn(
      engine,
      (inputs: { parameters: Tensors; points: tf.Tensor }) => ({
        y: flow(inputs.parameters, 'flow', inputs.points),
      }),
      { parameters, points } as never,
    )) as unknown as { y: NdArray };
    return Array.from({ length: size }, (_, c) => ({ a: y.data[size + c] - y.data[c], b: y.data[c] }));
  }

  async function marginal(layer: Layer, parameters: Parameters) {
    const shape = weightShape(layer);
    const size = parameters.logScale.data.length;
    const lines = await coefficients(parameters, size);
    const scale = Math.exp(parameters.logScale.data[0]);
    const std = stds(parameters);
    const of = Array.from(std, (_, i) =>
      layer.kind === 'conv' ? Math.floor(i / (shape[1] * shape[2] * shape[3])) : i % shape[1],
    );
    const m = parameters.mean.data;
    const mean = Float64Array.from(m, (x, i) => x * (1 + scale * lines[of[i]].b));
    const rows = lines.map((_, c) =>
      Float64Array.from(m, (x, i) => (of[i] === c ? (scale * x) / std[i] : 0)),
    );
    const squares = rows.map((row) => row.reduce((sum, x) => sum + x * x, 0));
    const scaled = rows.map((row, c) => row.map((x) => x * lines[c].a));
    return { log: normalLogDensity(mean, std, scaled), squares, lines };
  }

  test.each(layers)('flows at the identity, $kind: s is q(ζ|w)', async ({ layer }) => {
    const parameters = { ...parametersOf('mnf', layer, 0) };
    const { log } = await marginal(layer, parameters);
    const result = await bounds(engine, 'mnf', layer, parameters, 5);
    expectBounds(result, result.w.map(log), 0);
  });

  test.each(layers)('affine flows, $kind: (2) is above by the closed form', async ({ layer }) => {
    for (const auxiliary of ['identity', 'the same'] as const) {
      const parameters = affine(layer, auxiliary);
      const { log, squares, lines } = await marginal(layer, parameters);
      const result = await bounds(engine, 'mnf', layer, parameters, 5);
      // s: N(û, 1/p) of v with p = 1 + squares, û = t/p. q(v|w) by Bayes' rule, t = squares (aζ + b) + √squares noise
      const gap = lines.reduce((sum, { a, b }, c) => {
        const p = 1 + squares[c];
        const h =
          auxiliary === 'identity'
            ? { gain: a, shift: b, prior: 1, middle: 0 }
            : { gain: 1, shift: 0, prior: a * a, middle: b };
        const precision = h.gain ** 2 * squares[c] + 1 / h.prior;
        const meanT = squares[c] * (h.gain * h.middle + h.shift);
        const varianceT = squares[c] ** 2 * h.gain ** 2 * h.prior + squares[c];
        // E[v|w] − û, linear in t
        const slope = h.gain / precision - 1 / p;
        const constant = (h.middle / h.prior - h.gain * squares[c] * h.shift) / precision;
        const square = slope ** 2 * varianceT + (slope * meanT + constant) ** 2;
        return sum + 0.5 * (p / precision - 1 + p * square + Math.log(precision / p));
      }, 0);
      expectBounds(result, result.w.map(log), gap);
    }
  });

  test('flows that bend: the order of the bounds, and both sides meet at the quadrature of log q(w)', async () => {
    const layer: Layer = { ...makeLayer({ kind: 'dense', name: 'dense', units: 3 }, [[2]]), random: true };
    const parameters = parametersOf('mnf', layer, 0.12);
    const scale = Math.exp(parameters.logScale.data[0]);
    // f on a grid of ζ ∈ ℝ²
    const SIDE = 161;
    const STEP = 0.075;
    const grid = f32([SIDE * SIDE, 2]);
    for (let i = 0; i < SIDE * SIDE; i++) {
      grid.data[2 * i] = ((i % SIDE) - (SIDE - 1) / 2) * STEP;
      grid.data[2 * i + 1] = (Math.floor(i / SIDE) - (SIDE - 1) / 2) * STEP;
    }
    const { f } = (await runOn(
      engine,
      (inputs: { parameters: Tensors; grid: tf.Tensor }) => ({
        f: flow(inputs.parameters, 'flow', inputs.grid),
      }),
      { parameters, grid } as never,
    )) as unknown as { f: NdArray };
    const std = stds(parameters);
    const m = parameters.mean.data;
    const result = await bounds(engine, 'mnf', layer, parameters, 200);
    const count = 150;
    const exact = result.w.slice(0, count).map((w) => {
      let sum = 0;
      for (let i = 0; i < SIDE * SIDE; i++) {
        let log = -0.5 * (grid.data[2 * i] ** 2 + grid.data[2 * i + 1] ** 2) - Math.log(2 * Math.PI);
        for (let j = 0; j < w.length; j++) {
          const z = 1 + scale * f.data[2 * i + (j % 2)];
          log -= 0.5 * ((w[j] - z * m[j]) / std[j]) ** 2 + Math.log(std[j]) + 0.5 * Math.log(2 * Math.PI);
        }
        sum += Math.exp(log) * STEP * STEP;
      }
      return Math.log(sum);
    });
    for (const part of ['above', 'below'] as const) {
      const apart = estimate(minus(result[part].slice(0, count), exact));
      expect(Math.abs(apart.mean), part).toBeLessThan(0.01 + 5 * apart.standardError);
      expect(5 * apart.standardError).toBeLessThan(0.05);
    }
    for (const [higher, lower] of [
      [result.two, result.above],
      [result.above, result.below],
    ]) {
      const fall = estimate(minus(higher, lower));
      expect(fall.mean).toBeGreaterThan(-5 * fall.standardError);
    }
    const slack = estimate(minus(result.two, result.above));
    expect(slack.mean).toBeGreaterThan(5 * slack.standardError);
    // the same q with a standard normal ζ
    const standard = await bounds(engine, 'mnf', layer, parameters, 200, true);
    const apart = estimate(minus(standard.above.slice(0, count), exact));
    expect(Math.abs(apart.mean)).toBeLessThan(0.01 + 5 * apart.standardError);
  });
});
