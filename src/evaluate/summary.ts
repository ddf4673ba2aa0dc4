// Summaries of repeated runs.

/** Arithmetic mean; NaN of nothing. */
export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

/** Sample standard deviation, with n − 1; NaN of fewer than two values. */
export function standardDeviation(values: ArrayLike<number>): number {
  if (values.length < 2) return Number.NaN;
  const centre = mean(values);
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i] - centre) ** 2;
  return Math.sqrt(squares / (values.length - 1));
}

/** Standard error of the mean: standard deviation / √n; NaN of fewer than two values. */
export const standardError = (values: ArrayLike<number>): number =>
  standardDeviation(values) / Math.sqrt(values.length);
