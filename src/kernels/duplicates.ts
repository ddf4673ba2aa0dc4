// Duplicates among any number of slices, by 64-bit hashes: parted by their first bits, so that one part after the
// other fits the processor's cache, and spilled to a file where they would fill the memory.
//
// Two of n different slices share a hash by chance with a probability of about n²/2⁶⁵: 0.003 % for 32 million.
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';

/** Slices of one layer: `hashes` has two words for each of `rows`. */
export interface HashedRows {
  rows: Uint32Array<ArrayBuffer>;
  hashes: Uint32Array<ArrayBuffer>;
  /** Further hashes by which a slice is the same as an earlier one that has one of them: of `rows[of]`. */
  probes?: { rows: Uint32Array<ArrayBuffer>; hashes: Uint32Array<ArrayBuffer> };
}

/** Marks the row of a further hash. */
const PROBE = 0x80000000;

const PARTS = 256;
/** Low word of the hash, high word, layer, row. */
const WORDS = 4;
const CHUNK = 512 * WORDS;
/** Hashes up to this many bytes stay in memory. */
const BUDGET = 2 ** 26;

interface Part {
  count: number;
  /** Full chunks in memory. */
  chunks: Uint32Array[];
  /** Places of full chunks in the file. */
  spilled: number[];
  open: Uint32Array;
  filled: number;
}

export class DuplicateFinder {
  private readonly parts: Part[] = Array.from({ length: PARTS }, () => ({
    count: 0,
    chunks: [],
    spilled: [],
    open: new Uint32Array(0),
    filled: 0,
  }));
  private kept = 0;
  private spill: number | undefined;
  private spillEnd = 0;

  /** @param spillPath file for what is more than `budget` bytes; without one everything stays in memory */
  constructor(
    private readonly spillPath?: string,
    private readonly budget = BUDGET,
  ) {}

  /** @param layer any number below 2³² that names the layer */
  add(layer: number, { rows, hashes, probes }: HashedRows): void {
    for (let i = 0; i < rows.length; i++) this.put(layer, hashes[2 * i], hashes[2 * i + 1], rows[i]);
    if (probes)
      for (let i = 0; i < probes.rows.length; i++)
        this.put(layer, probes.hashes[2 * i], probes.hashes[2 * i + 1], (rows[probes.rows[i]] | PROBE) >>> 0);
  }

  private put(layer: number, low: number, high: number, row: number): void {
    const part = this.parts[high >>> 24];
    if (part.filled === part.open.length) this.make(part);
    const { open, filled } = part;
    open[filled] = low;
    open[filled + 1] = high;
    open[filled + 2] = layer;
    open[filled + 3] = row;
    part.filled += WORDS;
    part.count++;
  }

  /** Room in a part: its chunk grows up to its full length, and is put away then. */
  private make(part: Part): void {
    if (part.open.length < CHUNK) {
      const grown = new Uint32Array(Math.min(CHUNK, Math.max(16 * WORDS, 4 * part.open.length)));
      grown.set(part.open);
      part.open = grown;
      return;
    }
    part.filled = 0;
    if (this.spillPath === undefined || this.kept + part.open.byteLength <= this.budget) {
      this.kept += part.open.byteLength;
      part.chunks.push(part.open);
      part.open = new Uint32Array(CHUNK);
      return;
    }
    this.spill ??= openSync(this.spillPath, 'wx+');
    part.spilled.push(this.spillEnd);
    writeFully(this.spill, part.open, this.spillEnd);
    this.spillEnd += part.open.byteLength;
  }

  /**
   * Of slices that are the same the first one stays: that of the layer with the lowest rank, then of the lowest row.
   *
   * @param rank of a layer; negative for a layer that does not count
   * @param mark called for every other slice, more than once where it has further hashes
   */
  find(rank: (layer: number) => number, mark: (layer: number, row: number) => void): void {
    let all = new Uint32Array(0);
    let table = new Int32Array(0);
    for (const part of this.parts) {
      if (all.length < part.count * WORDS) all = new Uint32Array(Math.ceil(1.25 * part.count) * WORDS);
      this.gather(part, all);
      let length = 64;
      while (length < 2 * part.count) length *= 2;
      if (table.length !== length) table = new Int32Array(length);
      table.fill(-1);
      for (let at = 0; at < part.count * WORDS; at += WORDS) {
        const rowRank = rank(all[at + 2]);
        if (rowRank < 0 || all[at + 3] >= PROBE) continue;
        let slot = all[at] & (length - 1);
        for (; ; slot = (slot + 1) & (length - 1)) {
          const other = table[slot];
          if (other === -1) {
            table[slot] = at;
            break;
          }
          if (all[other] !== all[at] || all[other + 1] !== all[at + 1]) continue;
          const rival = rank(all[other + 2]);
          if (rowRank < rival || (rowRank === rival && all[at + 3] < all[other + 3])) {
            mark(all[other + 2], all[other + 3]);
            table[slot] = at;
          } else mark(all[at + 2], all[at + 3]);
          break;
        }
      }
      this.probe(part, all, table, rank, mark);
    }
  }

  /** Marks slices of which a further hash is that of an earlier slice. */
  private probe(
    part: Part,
    all: Uint32Array,
    table: Int32Array,
    rank: (layer: number) => number,
    mark: (layer: number, row: number) => void,
  ): void {
    for (let at = 0; at < part.count * WORDS; at += WORDS) {
      const row = all[at + 3] - PROBE;
      const rowRank = rank(all[at + 2]);
      if (row < 0 || rowRank < 0) continue;
      for (let slot = all[at] & (table.length - 1); ; slot = (slot + 1) & (table.length - 1)) {
        const other = table[slot];
        if (other === -1) break;
        if (all[other] !== all[at] || all[other + 1] !== all[at + 1]) continue;
        const rival = rank(all[other + 2]);
        if (rival < rowRank || (rival === rowRank && all[other + 3] < row)) mark(all[at + 2], row);
        break;
      }
    }
  }

  private gather(part: Part, all: Uint32Array): void {
    let at = 0;
    for (const chunk of part.chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    for (const place of part.spilled) {
      readFully(this.spill!, all.subarray(at, at + CHUNK), place);
      at += CHUNK;
    }
    all.set(part.open.subarray(0, part.filled), at);
  }

  /** Removes the file. */
  close(): void {
    if (this.spill === undefined) return;
    closeSync(this.spill);
    this.spill = undefined;
    rmSync(this.spillPath!, { force: true });
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Uint32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength);

function writeFully(file: number, words: Uint32Array, place: number): void {
  const bytes = bytesOf(words);
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, place + at);
}

function readFully(file: number, words: Uint32Array, place: number): void {
  const bytes = bytesOf(words);
  for (let at = 0; at < bytes.length; ) {
    const read = readSync(file, bytes, at, bytes.length - at, place + at);
    if (read === 0) throw new RangeError('the file of hashes is shorter than what was written to it');
    at += read;
  }
}
