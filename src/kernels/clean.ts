// Which slices are worth learning from: everything that is dropped is counted by its reason.
import { bitsFor, setBit } from './bits.js';
import { DuplicateFinder, type HashedRows } from './duplicates.js';
import {
  FACTOR_A,
  FACTOR_B,
  finish,
  hashesOf,
  type Identity,
  NEAR_TOLERANCE,
  SEED_B,
  seedOf,
} from './identity.js';

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

export const noneDropped = (): Dropped => ({ nonFinite: 0, constant: 0, nearZero: 0, duplicate: 0 });

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
}

/** Working memory of a layer, kept for the next one: a new array for each would cost as much as the work. */
let scratch = { squares: new Float64Array(0), ranges: new Float64Array(0), hashes: new Uint32Array(0) };

/**
 * Checks in the order of {@link Dropped}, so that each slice is counted once. Slices of one value are never
 * constant, only (near) zero.
 *
 * @param data slices of h·w values
 */
export function cleanLayer(data: Float32Array, h: number, w: number, options: CleanOptions = {}): CleanLayer {
  const { minNorm, duplicates = 'exact', tolerance = NEAR_TOLERANCE } = options;
  const size = h * w;
  const count = Math.floor(data.length / size);
  if (scratch.squares.length < count)
    scratch = {
      squares: new Float64Array(count),
      ranges: new Float64Array(count),
      hashes: new Uint32Array(2 * count),
    };
  const { squares, ranges, hashes } = scratch;
  const largest = measure(data, size, count, seedOf(h, w), squares, ranges, hashes);
  const limit = minNorm ?? RELATIVE_MIN_NORM * Math.sqrt(largest.squares);
  const leastSquares = limit * limit;
  const leastRange = size > 1 ? CONSTANT_RESOLUTION * largest.weight : -1;

  const dropped = noneDropped();
  const kept = bitsFor(count);
  const rows = new Uint32Array(new ArrayBuffer(4 * count));
  let n = 0;
  for (let row = 0; row < count; row++) {
    const s = squares[row];
    if (s - s !== 0) dropped.nonFinite++;
    else if (ranges[row] <= leastRange) dropped.constant++;
    else if (s === 0 || s < leastSquares) dropped.nearZero++;
    else {
      setBit(kept, row);
      rows[n++] = row;
    }
  }
  const keptRows: Uint32Array<ArrayBuffer> = rows.subarray(0, n);
  if (duplicates === 'keep')
    return { kept, count: n, dropped, hashes: { rows: new Uint32Array(0), hashes: new Uint32Array(0) } };
  if (duplicates !== 'exact')
    return {
      kept,
      count: n,
      dropped,
      hashes: { rows: keptRows, hashes: hashesOf(data, h, w, keptRows, duplicates, tolerance) },
    };
  const own = new Uint32Array(2 * n);
  for (let i = 0; i < n; i++) {
    const row = rows[i];
    own[2 * i] = hashes[2 * row];
    own[2 * i + 1] = hashes[2 * row + 1];
  }
  return { kept, count: n, dropped, hashes: { rows: keptRows, hashes: own } };
}

/**
 * Sum of squares, max − min and hash of every slice in one pass; the largest of both over slices that are finite.
 * A sum of squares that is not finite marks a slice that is not: float32 squares cannot overflow a double.
 */
function measure(
  data: Float32Array,
  size: number,
  count: number,
  seed: number,
  squares: Float64Array,
  ranges: Float64Array,
  hashes: Uint32Array,
): { squares: number; weight: number } {
  const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
  let mostSquares = 0;
  let mostWeight = 0;
  for (let row = 0, at = 0; row < count; row++) {
    let sum = 0;
    let low = data[at];
    let high = low;
    let a = seed;
    let b = SEED_B;
    for (const end = at + size; at < end; at++) {
      const x = data[at];
      sum += x * x;
      if (x < low) low = x;
      if (x > high) high = x;
      a = Math.imul(a ^ words[at], FACTOR_A);
      a ^= a >>> 15;
      b = Math.imul(((b << 13) | (b >>> 19)) + a, FACTOR_B);
    }
    squares[row] = sum;
    ranges[row] = high - low;
    hashes[2 * row] = finish(a);
    hashes[2 * row + 1] = finish(b ^ a);
    if (sum - sum !== 0) continue;
    if (sum > mostSquares) mostSquares = sum;
    if (high > mostWeight) mostWeight = high;
    if (-low > mostWeight) mostWeight = -low;
  }
  return { squares: mostSquares, weight: mostWeight };
}

/** {@link cleanLayer}, and duplicates within the layer. */
export function cleanAlone(data: Float32Array, h: number, w: number, options: CleanOptions = {}): Dropped {
  const { dropped, hashes } = cleanLayer(data, h, w, options);
  const finder = new DuplicateFinder();
  finder.add(0, hashes);
  finder.find(
    () => 0,
    () => dropped.duplicate++,
  );
  return dropped;
}
