// Which slices are worth learning from: everything that is dropped is counted by its reason.

export interface Dropped {
  /** A NaN or an infinity. */
  nonFinite: number;
  /** max − min at most 2⁻²³ (float32's resolution) of the layer's largest |weight|: dead filters, zeros. */
  constant: number;
  /** L2 norm below the limit. */
  nearZero: number;
  /** The same bytes as a slice seen before, in any layer of any model. */
  duplicate: number;
}

export const noneDropped = (): Dropped => ({ nonFinite: 0, constant: 0, nearZero: 0, duplicate: 0 });

/** Without an absolute limit, slices below this part of their layer's largest norm count as near zero. */
export const RELATIVE_MIN_NORM = 1e-4;

const CONSTANT_RESOLUTION = 2 ** -23;

/**
 * Checks in the order of {@link Dropped}, so that each slice is counted once. Slices of one value are never
 * constant, only (near) zero.
 *
 * @param data slices of `size` values each
 * @param seen slices of this size met before; the kept ones are added
 * @param minNorm absolute limit of the L2 norm; undefined: {@link RELATIVE_MIN_NORM} of the layer's largest
 * @returns the rows kept, in order
 */
export function cleanSlices(
  data: Float32Array,
  size: number,
  seen: SliceSet,
  minNorm?: number,
): { kept: number[]; dropped: Dropped } {
  const dropped = noneDropped();
  const count = data.length / size;
  const norms = new Float64Array(count); // NaN marks a slice that is not finite
  let largestNorm = 0;
  let largestWeight = 0;
  for (let row = 0; row < count; row++) {
    let squares = 0;
    let largest = 0;
    for (let i = row * size; i < (row + 1) * size; i++) {
      squares += data[i] * data[i];
      largest = Math.max(largest, Math.abs(data[i]));
    }
    norms[row] = Number.isFinite(squares) ? Math.sqrt(squares) : Number.NaN;
    if (Number.isNaN(norms[row])) continue;
    largestNorm = Math.max(largestNorm, norms[row]);
    largestWeight = Math.max(largestWeight, largest);
  }
  const limit = minNorm ?? RELATIVE_MIN_NORM * largestNorm;
  const kept: number[] = [];
  for (let row = 0; row < count; row++) {
    const slice = data.subarray(row * size, (row + 1) * size);
    if (Number.isNaN(norms[row])) dropped.nonFinite++;
    else if (size > 1 && range(slice) <= CONSTANT_RESOLUTION * largestWeight) dropped.constant++;
    else if (norms[row] < limit || norms[row] === 0) dropped.nearZero++;
    else if (!seen.add(slice)) dropped.duplicate++;
    else kept.push(row);
  }
  return { kept, dropped };
}

function range(slice: Float32Array): number {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const x of slice) {
    if (x < low) low = x;
    if (x > high) high = x;
  }
  return high - low;
}

/** A set of slices of one size, compared by their bytes: an open-addressing hash table over one growing array. */
export class SliceSet {
  count = 0;
  private bits = new Uint32Array(0);
  private table = new Int32Array(1024).fill(-1);

  constructor(private readonly size: number) {}

  /** @returns whether the slice was not there yet */
  add(slice: Float32Array): boolean {
    const words = new Uint32Array(slice.buffer, slice.byteOffset, slice.length);
    const slot = this.find(words);
    if (this.table[slot] !== -1) return false;
    if ((this.count + 1) * this.size > this.bits.length) {
      const grown = new Uint32Array(Math.max(1024 * this.size, this.bits.length * 2));
      grown.set(this.bits);
      this.bits = grown;
    }
    this.bits.set(words, this.count * this.size);
    this.table[slot] = this.count++;
    if (this.count * 2 > this.table.length) this.rehash();
    return true;
  }

  /** Every slice added, in order: [count, size], a copy. */
  slices(): Float32Array {
    return new Float32Array(this.bits.slice(0, this.count * this.size).buffer);
  }

  private find(words: Uint32Array): number {
    const mask = this.table.length - 1;
    let hash = 0x811c9dc5;
    for (const word of words) {
      hash = Math.imul(hash ^ word, 0x01000193);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash ^= hash >>> 13;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const row = this.table[slot];
      if (row === -1) return slot;
      let i = 0;
      while (i < this.size && this.bits[row * this.size + i] === words[i]) i++;
      if (i === this.size) return slot;
    }
  }

  private rehash(): void {
    this.table = new Int32Array(this.table.length * 2).fill(-1);
    for (let row = 0; row < this.count; row++)
      this.table[this.find(this.bits.subarray(row * this.size, (row + 1) * this.size))] = row;
  }
}
