// How numbers are written on the page.
import type { Spread } from './types.js';

const MINUS = '−';
const MISSING = '–';

/** Fixed number of decimals, thousands set apart, a true minus sign; a dash for what is not a finite number. */
export function decimals(value: number | undefined, digits: number): string {
  if (value === undefined || !Number.isFinite(value)) return MISSING;
  const [whole, fraction] = Math.abs(value).toFixed(digits).split('.') as [string, string?];
  const text = whole.replace(/\B(?=(\d{3})+$)/g, '\u202f') + (fraction ? `.${fraction}` : '');
  return value < 0 && Number(text.replace(/\u202f/g, '')) !== 0 ? MINUS + text : text;
}

export const percent = (fraction: number | undefined, digits = 1): string =>
  fraction === undefined || !Number.isFinite(fraction) ? MISSING : `${decimals(100 * fraction, digits)}%`;

/** Standard deviation if there is one: two runs or more. */
export const deviation = ({ std, values }: Spread): number | undefined =>
  values.length > 1 && Number.isFinite(std) ? std : undefined;

/** `0.512 ± 0.013`, or the mean alone where there was one run. */
export function meanAndDeviation(spread: Spread, digits: number, scale = 1): string {
  const std = deviation(spread);
  const mean = decimals(scale * spread.mean, digits);
  return std === undefined || mean === MISSING ? mean : `${mean} ± ${decimals(scale * std, digits)}`;
}

/** `1 run`, `3 runs`. */
export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
