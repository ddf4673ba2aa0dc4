// What docs/math.md, section 7, says of the bounds, proved of the estimators as they are.
import { beforeAll, expect, test } from 'vitest';
import { createEngine, type Engine } from '../../src/engine/index.js';
import { normal } from '../engine/reference.js';
import { estimate, expectMean } from '../monte-carlo.js';
import { exactLogDensity } from './linear-gaussian.js';
import { closedForm } from './proofs/chains.js';
import { proofs } from './proofs/index.js';
import { subject } from './proofs/proof.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

test.each(proofs)('$id: $name', async ({ check }) => check(await subject(), engine));

test('log p(w) of the linear-Gaussian fixture integrates to 1 (importance sampling from a wider normal)', () => {
  const [n, d] = [20_000, 6];
  const { data } = normal(4, n, d);
  const ratios = Array.from({ length: n }, (_, i) => {
    const x = Array.from(data.subarray(i * d, (i + 1) * d), (v) => 2 * v);
    const logProposal = x.reduce(
      (sum, v) => sum - 0.5 * (v / 2) ** 2 - Math.log(2 * Math.sqrt(2 * Math.PI)),
      0,
    );
    return Math.exp(exactLogDensity(x) - logProposal);
  });
  expectMean(estimate(ratios), 1, 'integral');
});

test('E_q log q(w) of a linear q by quadrature is what it is in closed form', () => {
  expect(closedForm.quadrature()).toBeCloseTo(closedForm.value, 6);
});
