// Means of samples with their standard errors, and the tolerance of five of them.
import { expect } from 'vitest';

export interface Estimate {
  mean: number;
  standardError: number;
}

/** Of independent values. */
export function estimate(values: ArrayLike<number>): Estimate {
  const n = values.length;
  let mean = 0;
  for (let i = 0; i < n; i++) mean += values[i] / n;
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (values[i] - mean) ** 2;
  return { mean, standardError: Math.sqrt(squares / (n - 1) / n) };
}

export const difference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Float64Array.from({ length: a.length }, (_, i) => a[i] - b[i]);

/** Fails, with the distance in standard errors, when it is five or more. */
export function expectMean({ mean, standardError }: Estimate, expected: number, name = 'mean'): void {
  const errors = (mean - expected) / standardError;
  expect(
    Number.isFinite(errors) && Math.abs(errors) < 5,
    `${name} ${mean} is ${errors.toFixed(1)} standard errors (${standardError}) from ${expected}`,
  ).toBe(true);
}
