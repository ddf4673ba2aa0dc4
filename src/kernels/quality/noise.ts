// Whether kernels look like white noise: nothing was learned, or nothing is left of it.
import type { Quality } from './accumulator.js';
import { lagOneOfNoise } from './lag-one.js';

/** How far from noise, at most: lag-one correlation, and squared variation of the spectrum. */
const MARGIN = { lagOne: 0.05, flatness: 0.05 };
/** Two standard errors are added to what is measured: with too few kernels nothing is called noise. */
const ERRORS = 2;

/**
 * How unequal the mean power in all directions is, less what noise shows by chance, (24) of docs/quality.md: 0 for
 * noise, up to d − 1 for copies of one shape. The scale of a single kernel does not count.
 */
export function flatness({ mean, kernels }: NonNullable<Quality['directions']>): {
  excess: number;
  standardError: number;
} {
  const d = Math.sqrt(mean.length);
  let squares = 0;
  for (const x of mean) squares += x * x;
  return {
    excess: d * squares - 1 - (d - 1) / kernels,
    standardError: (2 / kernels) * Math.sqrt((d - 1) / (d + 2)),
  };
}

/**
 * An equivalence test: true when even two standard errors further off, both the lag-one correlation and the spectrum
 * would be those of white noise but for a small margin. False for too few kernels to say (a hundred of 3×3), and for
 * sizes that cannot be told from noise (fewer than three weights).
 */
export function looksLikeNoise({ lagOne, directions }: Pick<Quality, 'lagOne' | 'directions'>): boolean {
  if (!lagOne || !directions || directions.mean.length < 9) return false;
  const d = Math.sqrt(directions.mean.length);
  const distance = Math.abs(lagOne.mean - lagOneOfNoise(d));
  const { excess, standardError } = flatness(directions);
  return (
    distance + ERRORS * lagOne.standardError < MARGIN.lagOne &&
    Math.abs(excess) + ERRORS * standardError < MARGIN.flatness
  );
}

/** @param whose `model.onnx: 512 kernels of 3x3` @returns a line to warn with when {@link looksLikeNoise} */
export function noiseWarning(whose: string, quality: Quality): string | undefined {
  if (!quality.lagOne || !quality.directions || !looksLikeNoise(quality)) return undefined;
  const noise = lagOneOfNoise(Math.sqrt(quality.directions.mean.length));
  return (
    `${whose} look like white noise (correlation of neighbouring weights ${quality.lagOne.mean.toFixed(3)}, ` +
    `of noise ${noise.toFixed(3)}; all directions alike), as those of an untrained model do: nothing to learn but their scale`
  );
}
