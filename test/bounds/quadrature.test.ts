// Bounds (1) and (4) of a decoder that is not linear, against log p(w) by quadrature (docs/math.md, section 7,
// proof 3): (1) ≤ (4, K = 2) ≤ (4, K = 10) ≤ (4, K = 100) ≤ log p(w).
import { expect, test } from 'vitest';
import { lowerBound } from '../../src/bounds/hierarchical.js';
import { createEngine, f32, type tf } from '../../src/engine/index.js';
import { normal, runOn } from '../engine/reference.js';
import { difference, estimate } from '../monte-carlo.js';
import { quadrature, sine } from './sine.js';

const VALUES = [-2, -1.1, -0.3, 0.4, 1.3, 1.9];

/** `repeats` draws of the bound at each value, in the order of the values. */
async function draws(k: number, repeats: number): Promise<Float32Array> {
  const n = VALUES.length * repeats;
  const engine = await createEngine('native', 1);
  const w = f32(
    [n, 1],
    Float32Array.from({ length: n }, (_, i) => VALUES[Math.floor(i / repeats)]),
  );
  const { value } = await runOn(
    engine,
    ({ w, noise }: { w: tf.Tensor; noise: tf.Tensor }) => ({
      value: lowerBound(sine, w, noise),
    }),
    { w, noise: normal(40 + k, Math.max(1, k), n, 1) },
  );
  return value.data as Float32Array;
}

test('(1) ≤ (4, K = 2) ≤ (4, K = 10) ≤ (4, K = 100) ≤ log p(w), at each w', async () => {
  const repeats = 2000;
  const bounds = await Promise.all([0, 2, 10, 100].map((k) => draws(k, repeats)));
  VALUES.forEach((w, i) => {
    const at = bounds.map((bound) => bound.subarray(i * repeats, (i + 1) * repeats));
    for (const j of [1, 2, 3]) {
      const gain = estimate(difference(at[j], at[j - 1]));
      expect(gain.mean, `gain ${j} at w = ${w}`).toBeGreaterThan(-5 * gain.standardError);
    }
    // Apart by more than the noise from end to end: an estimator that ignores K would not pass.
    const whole = estimate(difference(at[3], at[0]));
    expect(whole.mean, `(4, K = 100) − (1) at w = ${w}`).toBeGreaterThan(5 * whole.standardError);
    const exact = quadrature(w);
    const slack = estimate(at[3].map((x) => exact - x));
    expect(slack.mean, `slack at w = ${w}`).toBeGreaterThan(-5 * slack.standardError);
  });
});

test('K = 5,000 is within 0.01 nats of log p(w)', async () => {
  const repeats = 20;
  const bound = await draws(5000, repeats);
  VALUES.forEach((w, i) => {
    const { mean, standardError } = estimate(bound.subarray(i * repeats, (i + 1) * repeats));
    expect(Math.abs(mean - quadrature(w)), `at w = ${w}`).toBeLessThan(0.01 + 5 * standardError);
    expect(5 * standardError).toBeLessThan(0.05);
  });
});
