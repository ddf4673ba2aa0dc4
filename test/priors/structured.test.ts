// The structured normal: its covariance by hand, and a fit that finds the one that kernels were drawn with.
import { CholeskyDecomposition } from 'ml-matrix';
import { expect, test } from 'vitest';
import { closedForm } from '../../src/prior-folders/fit-and-judge.js';
import { type Structure, structured, structuredMatrix } from '../../src/priors/structured.js';
import { normal } from '../engine/reference.js';

const STRUCTURE: Structure = { width: 0.25, blob: 0.8, border: 0.7, nugget: 0.2 };

test('(141), entry by entry', () => {
  const c = structuredMatrix({ h: 3, w: 3 }, STRUCTURE);
  const e = (square: number) => Math.exp(-square / (2 * 0.75 ** 2));
  const mask = (square: number) => Math.exp(-0.35 * square); // a corner has the squared distance 2
  // the centre with itself, and with its right neighbour; two corners on one side
  expect(c.get(4, 4)).toBeCloseTo(0.8 * 1.8 + 0.2, 12);
  expect(c.get(4, 5)).toBeCloseTo(mask(1) * 0.8 * (e(1) + 0.8 * e(1)), 12);
  expect(c.get(0, 2)).toBeCloseTo(mask(2) ** 2 * 0.8 * (e(4) + 0.8 * e(2) ** 2), 12);
  expect(c.get(2, 0)).toBe(c.get(0, 2));
});

test.each([
  [{ h: 5, w: 5 }, STRUCTURE],
  [
    { h: 3, w: 4 },
    { width: 0.4, blob: -0.3, border: -0.5, nugget: 0.3 },
  ],
])('%j: a fit finds %j', (size, truth) => {
  const d = size.h * size.w;
  const lower = new CholeskyDecomposition(structuredMatrix(size, truth)).lowerTriangularMatrix;
  const count = 20_000;
  const noise = normal(910, count, d).data;
  const data = new Float32Array(count * d);
  for (let i = 0; i < count; i++)
    for (let j = 0; j < d; j++)
      for (let k = 0; k <= j; k++) data[i * d + j] += 0.1 * lower.get(j, k) * noise[i * d + k];
  const prior = closedForm(structured, { ...size, data, count }, {});
  const [width, blob, border, nugget] = prior.parameters.structure.data;
  // the grid ends at steps of 3 %; 20,000 kernels tell κ to about 0.05
  expect(Math.abs(Math.log(width / truth.width))).toBeLessThan(0.06);
  expect(Math.abs(blob - truth.blob)).toBeLessThan(0.2);
  expect(Math.abs(border - truth.border)).toBeLessThan(0.05);
  expect(Math.abs(nugget - truth.nugget)).toBeLessThan(0.03);
  const covariance = prior.parameters.cholesky.data[0] ** 2; // of the first weight: 0.1² C
  expect(covariance / (0.01 * structuredMatrix(size, truth).get(0, 0))).toBeCloseTo(1, 1);
});
