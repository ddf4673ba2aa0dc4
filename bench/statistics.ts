// Medians of interleaved rounds.

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export interface Ratio {
  /** Of the medians. */
  ratio: number;
  /** Least and greatest ratio within a round. */
  range: [number, number];
}

/** Our times over theirs, round by round in the same order. */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): Ratio {
  const ratios = ours.map((ms, i) => ms / theirs[i]);
  return { ratio: median(ours) / median(theirs), range: [Math.min(...ratios), Math.max(...ratios)] };
}
