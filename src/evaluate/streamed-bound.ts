// Bound (4) with thousands of samples for each of many rows, in memory that depends on neither; and its average over
// all rows when only some of them can be given so many.
import { lowerBound } from '../bounds/hierarchical.js';
import { chunksOf, type Engine, f32, foldIn, type Key, RandomStream, spec } from '../engine/index.js';
import { type KernelPrior, kernelLength } from '../priors/index.js';

/** Samples that one call draws in all; of one row, at most half of it. Fewer where p(z) has more normals than these. */
const DRAWS = 1000;
const COMPONENTS = 10_000;

export interface RowBounds {
  /** K: what was asked for, rounded up to equal chunks. */
  samples: number;
  /** (4) of each row, [n] nats. */
  bounds: Float64Array;
}

/** Whose bound, of what, and with what effort. */
export interface StreamedRows {
  prior: KernelPrior;
  /** [n, d] */
  rows: Float32Array;
  /** K. */
  samples: number;
  engine: Engine;
  key: Key;
}

/**
 * Equal chunks of samples, one after the other: with B_c the bound (4) of chunk c of C, that of all K samples is
 * log (1/C) Σ_c exp B_c (61).
 * @throws RangeError for a density that is exact
 */
export async function streamedBound(
  { prior: { density, size, parameters }, rows, samples, engine, key }: StreamedRows,
  progress?: (done: number) => void,
): Promise<RowBounds> {
  if (density.kind === 'exact') throw new RangeError('an exact density needs no bound');
  const d = kernelLength(size);
  const n = rows.length / d;
  const atOnce = Math.ceil(DRAWS / Math.max(1, (density.components ?? 1) / COMPONENTS));
  const chunks = Math.ceil(samples / Math.ceil(atOnce / 2));
  const draws = Math.ceil(samples / chunks);
  const together = Math.min(n, Math.max(1, Math.floor(atOnce / draws)));
  const x = f32([together, d]);
  const noise = f32([draws, together, density.latentSize]);
  const step = await engine.compile(
    ({ x, noise }, parameters) => ({ bound: lowerBound(density.of(parameters), x, noise) }),
    { inputs: { x: spec(x.shape), noise: spec(noise.shape) }, constants: parameters },
  );
  const bounds = new Float64Array(n);
  for (const { from, to, fresh } of chunksOf(n, together)) {
    x.data.set(rows.subarray(from * d, to * d));
    const means = new Float64Array(together).fill(Number.NEGATIVE_INFINITY);
    for (let c = 0; c < chunks; c++) {
      streamNoise(key, fresh, c, noise.data);
      const { bound } = await step.run({ x, noise });
      for (let i = 0; i < together; i++) means[i] = logAddExp(means[i], bound.data[i]);
    }
    for (let i = 0; i < together; i++) bounds[from + i] = means[i] - Math.log(chunks);
    progress?.(to);
  }
  await step.release();
  return { samples: chunks * draws, bounds };
}

/** Standard normals of chunk c for the rows from `start` on. */
export const streamNoise = (key: Key, start: number, c: number, into: Float32Array): Float32Array =>
  new RandomStream(foldIn(key, start, c)).fillNormal(into);

const logAddExp = (a: number, b: number): number => Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));

/**
 * The mean of the tight bounds over all n rows, of which m have one: the mean of the loose bounds, plus the mean of
 * what the m gain (62). Without bias where the m are drawn at random, and with little noise where gains are alike.
 *
 * @param loose [n]
 * @param tight [m], of the rows that `chosen` [m] numbers
 * @returns nats per row, with the standard error of choosing m of n
 */
export function meanOfTight(
  loose: Float64Array,
  tight: Float64Array,
  chosen: ArrayLike<number>,
): { mean: number; standardError: number } {
  const [n, m] = [loose.length, tight.length];
  const gains = tight.map((bound, i) => bound - loose[chosen[i]]);
  const gain = mean(gains);
  const variance = gains.reduce((sum, g) => sum + (g - gain) ** 2, 0) / Math.max(1, m - 1);
  return { mean: mean(loose) + gain, standardError: Math.sqrt((variance / m) * (1 - m / n)) };
}

const mean = (x: Float64Array): number => x.reduce((a, b) => a + b, 0) / x.length;
