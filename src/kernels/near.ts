// Kernels that are nearly the same: each has a cell of a grid at unit norm, and neighbouring cells where it lies close
// to an edge, so that no pair is missed because an edge runs between its two.
import type { HashedRows } from './duplicates.js';
import { hashWords, seedOf } from './identity.js';
import type { KernelSize } from './kernels.js';

/** Coordinates that are compared: the weights themselves up to nine, and as many fixed directions of larger kernels. */
const MOST_COORDINATES = 9;
/** Side of a cell, in steps of the tolerance. */
const CELL = 2;
/** Pairs that differ by at most this part of the tolerance in every coordinate are found. */
const FOUND_WITHIN = 0.25;

/**
 * Two kernels share a cell or a neighbouring one where every coordinate of the kernels at norm 1 differs by at most
 * {@link FOUND_WITHIN} steps, and never where one differs by more than CELL + FOUND_WITHIN steps.
 *
 * @param data kernels of channels·h·w values
 * @param rows which of them; none of norm 0
 * @param tolerance the step
 * @param neighbours whether to look for neighbouring cells, too: of a pair, one of the two is enough
 */
export function nearCells(
  data: Float32Array,
  { h, w, channels = 1 }: KernelSize,
  rows: Uint32Array<ArrayBuffer>,
  tolerance: number,
  neighbours = true,
): HashedRows {
  const size = channels * h * w;
  const seed = seedOf(h, w, channels);
  const k = Math.min(size, MOST_COORDINATES);
  const directions = size > k ? fixedDirections(size, k) : undefined;
  const order = Int32Array.from({ length: k }, (_, i) => i);
  const cells = new Int32Array(k);
  const words = new Uint32Array(cells.buffer);
  const hashes = new Uint32Array(new ArrayBuffer(8 * rows.length));
  const pair = new Uint32Array(2);
  const probedRows: number[] = [];
  const probes: number[] = [];
  const other = new Int32Array(k);
  for (let i = 0; i < rows.length; i++) {
    const from = rows[i] * size;
    let squares = 0;
    for (let j = 0; j < size; j++) squares += data[from + j] * data[from + j];
    const scale = 1 / (Math.sqrt(squares) * CELL * tolerance);
    const close: number[] = [];
    for (let c = 0; c < k; c++) {
      let along = 0;
      if (directions) for (let j = 0; j < size; j++) along += directions[c * size + j] * data[from + j];
      else along = data[from + c];
      const place = along * scale;
      cells[c] = Math.floor(place);
      const inside = place - cells[c];
      other[c] = 0;
      if (inside < FOUND_WITHIN / CELL) other[c] = -1;
      else if (inside > 1 - FOUND_WITHIN / CELL) other[c] = 1;
      if (other[c] !== 0) close.push(c);
    }
    hashWords(words, seed, order, hashes, 2 * i);
    if (!neighbours) continue;
    for (let choice = 1; choice < 1 << close.length; choice++) {
      for (const [bit, c] of close.entries()) if (choice & (1 << bit)) cells[c] += other[c];
      hashWords(words, seed, order, pair, 0);
      for (const [bit, c] of close.entries()) if (choice & (1 << bit)) cells[c] -= other[c];
      probedRows.push(i);
      probes.push(pair[0], pair[1]);
    }
  }
  return { rows, hashes, probes: { rows: Uint32Array.from(probedRows), hashes: Uint32Array.from(probes) } };
}

const known = new Map<number, Float64Array>();

/** [k, size]: orthonormal rows, the same in every process. */
function fixedDirections(size: number, k: number): Float64Array {
  const found = known.get(size);
  if (found) return found;
  const rows = new Float64Array(k * size);
  let state = size;
  for (let i = 0; i < rows.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    rows[i] = state / 2 ** 31;
  }
  for (let a = 0; a < k; a++) {
    const direction = rows.subarray(a * size, (a + 1) * size);
    for (let b = 0; b < a; b++) {
      const before = rows.subarray(b * size, (b + 1) * size);
      const along = direction.reduce((sum, x, i) => sum + x * before[i], 0);
      for (let i = 0; i < size; i++) direction[i] -= along * before[i];
    }
    const norm = Math.sqrt(direction.reduce((sum, x) => sum + x * x, 0));
    for (let i = 0; i < size; i++) direction[i] /= norm;
  }
  known.set(size, rows);
  return rows;
}
