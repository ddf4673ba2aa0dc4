// Sets of kernels of one size: plain arrays [count, h, w], and taking, joining and holding out rows of them.
import { type Key, RandomStream } from '../engine/random.js';
import { inputError, usageError } from '../errors.js';

/** A kernel is a slice [h, w], or a filter [channels, h, w] of several input channels. */
export interface KernelSize {
  h: number;
  w: number;
  /** 1 unless given. */
  channels?: number;
}

/** A size as it is written: `7x7` is height × width; `3x7x7` are whole filters, channels × height × width. */
export type SizeText = string;

export interface Kernels extends KernelSize {
  /** [count, h, w] of single slices, [count, channels, h, w] of whole filters; row-major. */
  data: Float32Array;
  count: number;
}

/** d, the numbers of one kernel. */
export const kernelLength = ({ channels = 1, h, w }: KernelSize): number => channels * h * w;

/** Whole filters taken apart: their channels as kernels of their own, in order. */
export const slicesOf = ({ data, count, h, w, channels = 1 }: Kernels): Kernels => ({
  ...{ data, count: count * channels, h, w },
});

/** @throws DwpError USAGE when `text` is not like `3x3`, or `3x7x7` for whole filters, each number 1 to 99. */
export function parseSize(text: SizeText): KernelSize {
  const match = /^(?:([1-9]\d?)[x×])?([1-9]\d?)[x×]([1-9]\d?)$/.exec(text);
  if (!match)
    throw usageError(
      `"${text}" is not a kernel size`,
      'write height x width, such as 3x3, 5x5 or 1x7, or channels x height x width',
    );
  const [channels, h, w] = match.slice(1).map((digits) => Number(digits ?? 1));
  return { h, w, ...(channels > 1 && { channels }) };
}

export const sizeText = ({ h, w, channels = 1 }: KernelSize): SizeText =>
  `${channels > 1 ? `${channels}x` : ''}${h}x${w}`;

/** By area, then height, then channels. Sizes of models may be larger than {@link parseSize} allows. */
export function compareSizes(a: SizeText, b: SizeText): number {
  const [[w, h, c = 1], [otherW, otherH, otherC = 1]] = [a, b].map((size) =>
    size.split('x').map(Number).reverse(),
  );
  return h * w - otherH * otherW || h - otherH || c - otherC;
}

/** @param rows in any order, repeats allowed; each in [0, count) */
export function takeKernels(kernels: Kernels, rows: ArrayLike<number>): Kernels {
  const { h, w, channels } = kernels;
  const size = kernelLength(kernels);
  const data = new Float32Array(rows.length * size);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i];
    if (!(row >= 0 && row < kernels.count)) throw new RangeError(`row ${row} of ${kernels.count} kernels`);
    data.set(kernels.data.subarray(row * size, (row + 1) * size), i * size);
  }
  return { data, count: rows.length, h, w, ...(channels && { channels }) };
}

/** One after the other. @throws DwpError INPUT when the sizes differ or there is nothing to join. */
export function concatKernels(sets: readonly Kernels[]): Kernels {
  if (sets.length === 0) throw inputError('no kernels to join');
  const { h, w, channels } = sets[0];
  const other = sets.find((set) => sizeText(set) !== sizeText(sets[0]));
  if (other) throw inputError(`kernels of ${sizeText(sets[0])} and of ${sizeText(other)} cannot be joined`);
  const count = sets.reduce((sum, set) => sum + set.count, 0);
  const data = new Float32Array(count * kernelLength(sets[0]));
  let at = 0;
  for (const set of sets) {
    data.set(set.data, at);
    at += set.data.length;
  }
  return { data, count, h, w, ...(channels && { channels }) };
}

/**
 * A random hold-out: `round(fraction · count)` kernels, at least one on either side; both keep the order of the
 * whole.
 *
 * @param fraction of the kernels that go to `test`, in (0, 1)
 * @throws DwpError INPUT when there are fewer than two kernels
 */
export function holdOut(kernels: Kernels, fraction: number, key: Key): { train: Kernels; test: Kernels } {
  const { train, test } = heldOutRows(kernels.count, fraction, key);
  return { train: takeKernels(kernels, train), test: takeKernels(kernels, test) };
}

/** The rows that {@link holdOut} leaves to `train` and to `test`, each in ascending order. */
export function heldOutRows(
  count: number,
  fraction: number,
  key: Key,
): { train: Int32Array; test: Int32Array } {
  if (!(fraction > 0 && fraction < 1))
    throw usageError(`the test fraction is ${fraction}`, 'it must be between 0 and 1');
  if (count < 2)
    throw inputError(
      `${count} kernel${count === 1 ? '' : 's'}: too few for a test split`,
      'use more kernels',
    );
  const order = new RandomStream(key).permutation(count);
  const held = heldOutCount(count, fraction);
  return { test: order.slice(0, held).sort(), train: order.slice(held).sort() };
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
