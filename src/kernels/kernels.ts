// Sets of kernels of one size: plain arrays [count, h, w], and taking, joining and holding out rows of them.
import { type Key, RandomStream } from '../engine/random.js';
import { inputError, usageError } from '../errors.js';

/** `7x7`: height × width. */
export type KernelSize = string;

export interface Kernels {
  /** [count, h, w], row-major. */
  data: Float32Array;
  count: number;
  h: number;
  w: number;
}

/** @throws DwpError USAGE when `text` is not like `3x3`, each side 1 to 99. */
export function parseKernelSize(text: KernelSize): { h: number; w: number } {
  const match = /^([1-9]\d?)[x×]([1-9]\d?)$/.exec(text);
  if (!match)
    throw usageError(`"${text}" is no kernel size`, 'write height x width, such as 3x3, 5x5 or 1x7');
  return { h: Number(match[1]), w: Number(match[2]) };
}

export const kernelSize = (h: number, w: number): KernelSize => `${h}x${w}`;

/** By area, then height. Sizes of models may be larger than those that {@link parseKernelSize} lets a user ask for. */
export function compareSizes(a: KernelSize, b: KernelSize): number {
  const [[h, w], [otherH, otherW]] = [a, b].map((size) => size.split('x').map(Number));
  return h * w - otherH * otherW || h - otherH;
}

/** @param rows in any order, repeats allowed; each in [0, count) */
export function takeKernels(kernels: Kernels, rows: ArrayLike<number>): Kernels {
  const { h, w } = kernels;
  const size = h * w;
  const data = new Float32Array(rows.length * size);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i];
    if (!(row >= 0 && row < kernels.count)) throw new RangeError(`row ${row} of ${kernels.count} kernels`);
    data.set(kernels.data.subarray(row * size, (row + 1) * size), i * size);
  }
  return { data, count: rows.length, h, w };
}

/** One after the other. @throws DwpError INPUT when the sizes differ or there is nothing to join. */
export function concatKernels(sets: readonly Kernels[]): Kernels {
  if (sets.length === 0) throw inputError('no kernels to join');
  const { h, w } = sets[0];
  const other = sets.find((set) => set.h !== h || set.w !== w);
  if (other) throw inputError(`kernels of ${h}x${w} and of ${other.h}x${other.w} cannot be joined`);
  const count = sets.reduce((sum, set) => sum + set.count, 0);
  const data = new Float32Array(count * h * w);
  let at = 0;
  for (const set of sets) {
    data.set(set.data, at);
    at += set.data.length;
  }
  return { data, count, h, w };
}

/**
 * A random hold-out: `round(fraction · count)` kernels, at least one on either side; both keep the order of the
 * whole.
 *
 * @param fraction of the kernels that go to `test`, in (0, 1)
 * @throws DwpError INPUT when there are fewer than two kernels
 */
export function holdOut(kernels: Kernels, fraction: number, key: Key): { train: Kernels; test: Kernels } {
  const test = heldOutRows(kernels.count, fraction, key);
  const rows = Array.from({ length: kernels.count }, (_, row) => row);
  return {
    train: takeKernels(
      kernels,
      rows.filter((row) => !test.has(row)),
    ),
    test: takeKernels(
      kernels,
      rows.filter((row) => test.has(row)),
    ),
  };
}

/** The rows that {@link holdOut} holds out of `count`. */
export function heldOutRows(count: number, fraction: number, key: Key): Set<number> {
  if (!(fraction > 0 && fraction < 1))
    throw usageError(`a test fraction of ${fraction}`, 'it must lie between 0 and 1');
  if (count < 2)
    throw inputError(
      `${count} kernel${count === 1 ? '' : 's'}: too few to hold some out`,
      'use more kernels',
    );
  return new Set(new RandomStream(key).permutation(count).subarray(0, heldOutCount(count, fraction)));
}

/** Of two or more: at least one on either side. */
export const heldOutCount = (count: number, fraction: number): number =>
  Math.min(count - 1, Math.max(1, Math.round(fraction * count)));

/** Mean and standard deviation over every value of every kernel, in double precision; NaN of nothing. */
export function pooledMoments(data: Float32Array): { mean: number; std: number } {
  let sum = 0;
  for (const x of data) sum += x;
  const mean = sum / data.length;
  let squares = 0;
  for (const x of data) squares += (x - mean) ** 2;
  return { mean, std: Math.sqrt(squares / data.length) };
}
