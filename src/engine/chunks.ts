// Rows in chunks of one size: a compiled step has one shape, whatever the number of rows.

/** Rows from ≤ i < to; those before `fresh` were in the chunk before, too. */
export interface Chunk {
  from: number;
  to: number;
  fresh: number;
}

/**
 * Chunks of `size` rows that have each of `count` rows; the last one looks back where they do not divide. Of fewer rows than
 * `size` there is one chunk, which ends beyond them.
 */
export function* chunksOf(count: number, size: number): Generator<Chunk, void> {
  for (let fresh = 0; fresh < count; fresh += size) {
    const from = Math.max(0, Math.min(fresh, count - size));
    yield { from, to: from + size, fresh };
  }
}
