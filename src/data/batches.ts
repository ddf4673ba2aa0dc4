// Which rows a training step sees, and their pixels and labels as the network wants them.
import { foldIn, type Key, RandomStream } from '../engine/random.js';
import type { ImageSet } from './dataset.js';

/**
 * An endless order of rows: permutation after permutation of all rows, cut into batches of equal size. The rows
 * of step t are a function of (key, t) alone, so that a resumed training needs no state. Every row comes once
 * per epoch; a batch across the end of an epoch may hold a row twice. When `batch` is n or more, every step
 * uses each row once, in order.
 */
export class BatchOrder {
  /** Rows per step: the batch size, at most n. */
  readonly size: number;
  // The last two permutations: a batch needs no more.
  private readonly epochs = new Map<number, Int32Array>();

  /** @throws RangeError unless n and batch are whole and positive */
  constructor(
    readonly n: number,
    batch: number,
    private readonly key: Key,
  ) {
    if (!(Number.isInteger(n) && Number.isInteger(batch) && n > 0 && batch > 0))
      throw new RangeError(`batches of ${batch} out of ${n} rows`);
    this.size = Math.min(n, batch);
  }

  /** Row numbers of step 0, 1, …; `out` [size] is filled and returned. */
  rows(step: number, out: Int32Array = new Int32Array(this.size)): Int32Array {
    if (out.length !== this.size) throw new RangeError(`room for ${out.length} rows, not ${this.size}`);
    if (this.size === this.n) {
      for (let i = 0; i < out.length; i++) out[i] = i;
      return out;
    }
    let epoch = Math.floor((step * this.size) / this.n);
    let at = step * this.size - epoch * this.n;
    for (let i = 0; i < out.length; i++, at++) {
      if (at === this.n) {
        epoch++;
        at = 0;
      }
      out[i] = this.permutation(epoch)[at];
    }
    return out;
  }

  private permutation(epoch: number): Int32Array {
    let order = this.epochs.get(epoch);
    if (!order) {
      order = new RandomStream(foldIn(this.key, epoch)).permutation(this.n);
      const [oldest] = this.epochs.keys();
      if (this.epochs.size === 2) this.epochs.delete(oldest);
      this.epochs.set(epoch, order);
    }
    return order;
  }
}

// Pixels are scaled to [0, 1] and no further, as in the published experiments.
const SCALED = Float32Array.from({ length: 256 }, (_, x) => x / 255);

/**
 * Pixels of the given rows as x/255, in [0, 1].
 * @param rows [n] row numbers
 * @param out [n, h, w, c], filled and returned
 * @throws RangeError when `out` has another size or a row does not exist
 */
export function gatherImages(set: ImageSet, rows: ArrayLike<number>, out: Float32Array): Float32Array {
  const pixels = set.height * set.width * set.channels;
  if (out.length !== rows.length * pixels)
    throw new RangeError(`room for ${out.length} values, ${rows.length} images have ${rows.length * pixels}`);
  for (let i = 0, to = 0; i < rows.length; i++) {
    const from = requireRow(set, rows[i]) * pixels;
    for (let p = 0; p < pixels; p++) out[to++] = SCALED[set.images[from + p]];
  }
  return out;
}

/** The first n images, or all; memory is shared. */
export function firstImages(set: ImageSet, n = set.count): ImageSet {
  const count = Math.min(n, set.count);
  const pixels = set.height * set.width * set.channels;
  return {
    ...set,
    count,
    images: set.images.subarray(0, count * pixels),
    labels: set.labels.subarray(0, count),
  };
}

/**
 * Class numbers of the given rows.
 * @param out [n], filled and returned
 * @throws RangeError when `out` has another size or a row does not exist
 */
export function gatherLabels(set: ImageSet, rows: ArrayLike<number>, out: Int32Array): Int32Array {
  if (out.length !== rows.length)
    throw new RangeError(`room for ${out.length} labels, ${rows.length} are asked for`);
  for (let i = 0; i < rows.length; i++) out[i] = set.labels[requireRow(set, rows[i])];
  return out;
}

function requireRow(set: ImageSet, row: number): number {
  if (!(row >= 0 && row < set.count)) throw new RangeError(`row ${row} of ${set.count} images`);
  return row;
}
