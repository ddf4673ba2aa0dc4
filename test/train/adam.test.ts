// Adam against the algorithm as printed in Kingma & Ba 2015, in double precision.
import { expect, test } from 'vitest';
import { f32, layoutOf, packedArrays } from '../../src/engine/index.js';
import { adam, initialAdam, packAdam } from '../../src/train/adam.js';
import { engines, normal } from '../engine/reference.js';

const STEPS = 5;
const RATE = 0.05;
const optimiser = adam();

/** θ ← θ − α · m̂ / (√v̂ + ε̂) with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ); ε̂ √(1 − β₂ᵗ) = ε as in its section 2. */
function reference(start: ArrayLike<number>, gradients: readonly ArrayLike<number>[]): number[] {
  const theta = Array.from(start);
  const m = theta.map(() => 0);
  const v = theta.map(() => 0);
  gradients.forEach((gradient, step) => {
    const t = step + 1;
    for (let i = 0; i < theta.length; i++) {
      m[i] = 0.9 * m[i] + 0.1 * gradient[i];
      v[i] = 0.999 * v[i] + 0.001 * gradient[i] ** 2;
      const [mHat, vHat] = [m[i] / (1 - 0.9 ** t), v[i] / (1 - 0.999 ** t)];
      theta[i] -= (RATE * mHat) / (Math.sqrt(vHat) + 1e-8 / Math.sqrt(1 - 0.999 ** t));
    }
  });
  return theta;
}

test('five steps on two tensors in a vector, one with gradients of very different sizes', async () => {
  const { native, cpu } = await engines();
  const start = { a: normal(120, 3, 4), b: normal(121, 5) };
  const layout = layoutOf(start);
  const gradients = Array.from({ length: STEPS }, (_, t) => ({
    a: normal(130 + t, 3, 4),
    b: f32([5], normal(140 + t, 5).data.map((x, i) => x * 10 ** (2 - 3 * i)) as Float32Array),
  }));
  for (const engine of [native, cpu]) {
    let current = packAdam(layout, initialAdam(start));
    let next = packAdam(layout);
    const step = await engine.compile(
      ({ parameters, gradient, moments, rate }) => optimiser.update(gradient, moments, parameters, rate),
      { inputs: { ...current.vectors, gradient: current.vectors.parameters, rate: f32([]) } },
    );
    for (let t = 1; t <= STEPS; t++) {
      const gradient = packedArrays(layout, gradients[t - 1]).vector;
      const rate = f32([], Float32Array.of(optimiser.rate(RATE, t)));
      await step.run({ ...current.vectors, gradient, rate }, next.vectors);
      [current, next] = [next, current];
    }
    await step.release();
    for (const name of ['a', 'b'] as const) {
      const expected = reference(
        start[name].data,
        gradients.map((g) => g[name].data),
      );
      expected.forEach((value, i) => {
        expect(current.state.parameters[name].data[i], `${engine.name} ${name}[${i}]`).toBeCloseTo(value, 5);
      });
    }
  }
});

test('the first step is the learning rate in the direction of the sign', () => {
  // m̂ = g, v̂ = g²: lr · √(1 − β₂) / (1 − β₁) · 0.1 g / √(0.001 g²) = lr · sign g
  expect((optimiser.rate(1, 1) * 0.1) / Math.sqrt(0.001)).toBeCloseTo(1, 12);
  expect(optimiser.rate(1, 100_000)).toBeCloseTo(1, 9);
});
