// How many numbers a fit chose: counted by hand for d = 6, 3×2 pixels.
import { expect, test } from 'vitest';
import { createEngine } from '../../src/engine/index.js';
import { freeNumbers } from '../../src/priors/index.js';
import { fittedPrior, KINDS } from '../prior-folders/fitted-priors.js';

const D = 6;
const COVARIANCE = 21;
/** Two hidden layers of 6. */
const stack = (inputs: number, outputs: number) => inputs * 6 + 6 + 6 * 6 + 6 + 6 * outputs + outputs;
const VAE = stack(D, 2 * 3) + stack(3, 2 * D) + 1; // encoder, decoder, scale

const EXPECTED: Record<string, number> = {
  normal: 1,
  laplace: D,
  'log-uniform': 2,
  correlated: 4,
  structured: 5,
  'kernel-density': 300 * D + COVARIANCE + 1,
  gaussian: D + COVARIANCE,
  'student-t': D + COVARIANCE + 1,
  'scale-mixture': COVARIANCE + 9 + 9,
  'mixture of normals': 3 * (D + COVARIANCE) + 2,
  flow: D + COVARIANCE + 2 * D + 3 * stack(3, 2 * 3),
  'vae-pixels': VAE,
  'vae-pixels, shared variance': VAE - stack(3, 2 * D) + stack(3, D) + D,
  'vae-pixels, vamp': VAE + 5 * D,
  'vae-pixels, hierarchical': VAE + (64 + 64) + (64 * 64 + 64) + (64 * 4 + 4), // z₂ of one number, z₁ of two
};

test.each(Object.entries(EXPECTED))('%s: %d', async (kind, expected) => {
  expect(Object.keys(KINDS)).toContain(kind);
  const prior = await fittedPrior(kind, await createEngine('native', 1, 'cpu'));
  expect(freeNumbers(prior)).toBe(expected);
});

test('of a mixture of straightened kernels the map of norms, too', async () => {
  const prior = await fittedPrior('mixture', await createEngine('native', 1, 'cpu'));
  const components = prior.parameters['mixture.mean'].shape[0];
  const knots = prior.parameters['radial.knots'].data.length;
  expect(freeNumbers(prior)).toBe(knots + components * (D + COVARIANCE) + components - 1);
});
