// Which slices are worth learning from: everything that is dropped is counted by its reason.
import { bitsFor, clearBit, hasBit } from './bits.js';
import { DuplicateFinder, type HashedRows } from './duplicates.js';
import {
  FACTOR_A,
  FACTOR_B,
  finish,
  type Identity,
  NEAR_TOLERANCE,
  SEED_B,
  seedOf,
  symmetricHashes,
} from './identity.js';
import { nearCells } from './near.js';

export interface Dropped {
  /** A NaN or an infinity. */
  nonFinite: number;
  /** max − min at most 2⁻²³ (float32's resolution) of the layer's largest |weight|: dead filters, zeros. */
  constant: number;
  /** L2 norm below the limit. */
  nearZero: number;
  /** The same as a slice seen before, in any layer of any model: see identity.ts. */
  duplicate: number;
}

const noneDropped = (): Dropped => ({ nonFinite: 0, constant: 0, nearZero: 0, duplicate: 0 });

/** Without an absolute limit, slices below this part of their layer's largest norm count as near zero. */
export const RELATIVE_MIN_NORM = 1e-4;

const CONSTANT_RESOLUTION = 2 ** -23;

export interface CleanOptions {
  /** Absolute limit of the L2 norm; undefined: {@link RELATIVE_MIN_NORM} of the layer's largest. */
  minNorm?: number;
  /** `exact` when left out. */
  duplicates?: Identity;
  /** Of `near`. */
  tolerance?: number;
}

export interface CleanLayer {
  /** One bit per slice. */
  kept: Uint8Array<ArrayBuffer>;
  count: number;
  /** Duplicates are not looked for yet: that takes all layers. */
  dropped: Dropped;
  /** Of the kept ones in order; empty where duplicates are kept. */
  hashes: HashedRows;
  /** Of all slices, where all are kept: with most layers nothing has to be summed again. */
  sums?: SliceSums;
}

/** Over slices, in their order. */
export interface SliceSums {
  sum: number;
  squares: number;
  /** Smallest and largest sum of squares of a slice. */
  least: number;
  most: number;
}

/** Working memory of a layer, kept for the next one: a new array for each would cost as much as the work. */
let scratch = { sums: new Float64Array(0), squares: new Float64Array(0) };

/**
 * Checks in the order of {@link Dropped}, so that each slice is counted once. Slices of one value are never
 * constant, only (near) zero.
 *
 * @param data kernels of channels·h·w values
 */
export function cleanLayer(
  data: Float32Array,
  h: number,
  w: number,
  options: CleanOptions = {},
  channels = 1,
): CleanLayer {
  const { minNorm, duplicates = 'exact', tolerance = NEAR_TOLERANCE } = options;
  const size = channels * h * w;
  const count = Math.floor(data.length / size);
  if (scratch.sums.length < count)
    scratch = { sums: new Float64Array(count), squares: new Float64Array(count) };
  const { sums, squares } = scratch;
  const hashes = new Uint32Array(new ArrayBuffer(8 * count));
  const mostSquares = measure(data, size, seedOf(h, w, channels), { count, sums, squares, hashes });
  const limit = minNorm ?? RELATIVE_MIN_NORM * Math.sqrt(mostSquares);
  const leastSquares = limit * limit;
  const isConstant = constancy(data, size, count, squares, mostSquares);

  const dropped = noneDropped();
  const kept = bitsFor(count).fill(255);
  for (let row = count; row < 8 * kept.length; row++) clearBit(kept, row);
  const rows = new Uint32Array(new ArrayBuffer(4 * count));
  let n = 0;
  for (let row = 0; row < count; row++) {
    const s = squares[row];
    if (s - s !== 0) dropped.nonFinite++;
    else if (size > 1 && isConstant(row, sums[row])) dropped.constant++;
    else if (s === 0 || s < leastSquares) dropped.nearZero++;
    else {
      if (n < row) {
        hashes[2 * n] = hashes[2 * row];
        hashes[2 * n + 1] = hashes[2 * row + 1];
      }
      rows[n++] = row;
      continue;
    }
    clearBit(kept, row);
  }
  const keptRows: Uint32Array<ArrayBuffer> = rows.subarray(0, n);
  const clean = { kept, count: n, dropped, ...(n === count && { sums: total(sums, squares, count) }) };
  if (duplicates === 'exact')
    return { ...clean, hashes: { rows: keptRows, hashes: hashes.subarray(0, 2 * n) } };
  if (duplicates === 'keep')
    return { ...clean, hashes: { rows: new Uint32Array(0), hashes: new Uint32Array(0) } };
  return {
    ...clean,
    hashes:
      duplicates === 'near'
        ? nearCells(data, { h, w, channels }, rows.slice(0, n), tolerance)
        : { rows: keptRows, hashes: symmetricHashes(data, h, w, keptRows, channels) },
  };
}

function total(sums: Float64Array, squares: Float64Array, count: number): SliceSums {
  const all = { sum: 0, squares: 0, least: Number.POSITIVE_INFINITY, most: 0 };
  for (let row = 0; row < count; row++) {
    all.sum += sums[row];
    all.squares += squares[row];
    if (squares[row] < all.least) all.least = squares[row];
    if (squares[row] > all.most) all.most = squares[row];
  }
  return all;
}

/** Of `count` slices, in their order; two words of a hash for each. */
interface SliceMeasures {
  count: number;
  sums: Float64Array;
  squares: Float64Array;
  hashes: Uint32Array;
}

/**
 * Sum, sum of squares and hash of every slice in one pass. A sum of squares that is not finite marks a slice that
 * is not: float32 squares cannot overflow a double. No branch depends on a weight: half of those would be foreseen
 * wrongly, and take longer than all the rest.
 *
 * @returns the largest sum of squares of a finite slice
 */
function measure(
  data: Float32Array,
  size: number,
  seed: number,
  { count, sums, squares, hashes }: SliceMeasures,
): number {
  const words = new Int32Array(data.buffer, data.byteOffset, data.length);
  let most = 0;
  for (let row = 0, at = 0; row < count; row++) {
    let sum = 0;
    let square = 0;
    let a = seed;
    let b = SEED_B;
    for (const end = at + size; at < end; at++) {
      const x = data[at];
      sum += x;
      square += x * x;
      a = Math.imul(a ^ words[at], FACTOR_A);
      a ^= a >>> 15;
      b = Math.imul(((b << 13) | (b >>> 19)) + a, FACTOR_B);
    }
    sums[row] = sum;
    squares[row] = square;
    hashes[2 * row] = finish(a);
    hashes[2 * row + 1] = finish(b ^ a);
    if (square > most && square - square === 0) most = square;
  }
  return most;
}

/**
 * Says of a finite slice whether max − min is at most the resolution of the layer's largest |weight|. Twice the
 * standard deviation is at most max − min, and no weight is larger than the largest norm: where these decide, which
 * is nearly always, nothing else is looked at.
 */
function constancy(
  data: Float32Array,
  size: number,
  count: number,
  squares: Float64Array,
  mostSquares: number,
): (row: number, sum: number) => boolean {
  const bound = CONSTANT_RESOLUTION ** 2 * mostSquares;
  let largest: number | undefined;
  return (row, sum) => {
    const square = squares[row];
    const variance = (square - (sum * sum) / size) / size;
    if (4 * variance > 2 * bound + 1e-12 * square) return false;
    largest ??= largestWeight(data, size, count, squares);
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let at = row * size; at < (row + 1) * size; at++) {
      if (data[at] < low) low = data[at];
      if (data[at] > high) high = data[at];
    }
    return high - low <= CONSTANT_RESOLUTION * largest;
  };
}

/** Of the slices that are finite. */
function largestWeight(data: Float32Array, size: number, count: number, squares: Float64Array): number {
  let largest = 0;
  for (let row = 0; row < count; row++) {
    if (!Number.isFinite(squares[row])) continue;
    for (let at = row * size; at < (row + 1) * size; at++) largest = Math.max(largest, Math.abs(data[at]));
  }
  return largest;
}

/** {@link cleanLayer}, and duplicates within the layer. */
export function cleanAlone(data: Float32Array, h: number, w: number, options: CleanOptions = {}): Dropped {
  const { dropped, hashes, kept } = cleanLayer(data, h, w, options);
  const finder = new DuplicateFinder();
  finder.add(0, hashes);
  finder.find(
    () => 0,
    (_, row) => {
      if (hasBit(kept, row)) dropped.duplicate++;
      clearBit(kept, row);
    },
  );
  return dropped;
}
