// Whether a peer computes what we compute.

/** Largest relative difference that passes. */
export const TOLERANCE = 1e-4;

/** Largest |ours − theirs| / |ours| over the terms of all steps; NaN or a missing number is an infinite difference. */
export function disagreement(
  ours: readonly (readonly number[])[],
  theirs: readonly (readonly number[])[],
): number {
  const a = ours.flat();
  const b = theirs.flat();
  if (a.length !== b.length || a.length === 0) return Number.POSITIVE_INFINITY;
  return Math.max(
    ...a.map((x, i) => {
      const difference = Math.abs(x - b[i]) / Math.max(Math.abs(x), 1e-6);
      return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    }),
  );
}
