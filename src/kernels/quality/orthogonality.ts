// How different the filters of a layer are from one another: 1 when all are orthogonal, 0 when all are parallel.

/** Multiplications above which filters are sampled: about a second. */
const BUDGET = 1e9;

/**
 * 1 − Σ|ŴŴᵀ − I| / (n (n − 1)), (33) of docs/math.md, with a filter (all weights of one output) per row of Ŵ, scaled
 * to length one. A filter of zeros stays zero. Above the budget, the same over evenly spaced filters, as many as it
 * allows. Memory: two rows of filters beside the weights.
 *
 * @param data [out, …]; filters that are not finite are left out
 * @returns undefined for fewer than two filters
 */
export function orthogonality(data: Float32Array, out: number, budget = BUDGET): number | undefined {
  const length = data.length / out;
  const norms: number[] = [];
  const rows: number[] = [];
  for (let row = 0; row < out; row++) {
    let squares = 0;
    for (let i = row * length; i < (row + 1) * length; i++) squares += data[i] * data[i];
    if (!Number.isFinite(squares)) continue;
    rows.push(row * length);
    norms.push(Math.sqrt(squares) || 1);
  }
  const most = Math.max(2, Math.floor(Math.sqrt((2 * budget) / length)));
  const n = Math.min(rows.length, most);
  if (n < 2) return undefined;
  const chosen = Array.from({ length: n }, (_, i) => Math.floor((i * rows.length) / n));
  let deviation = 0;
  for (let a = 0; a < n; a++) {
    const p = rows[chosen[a]];
    const norm = norms[chosen[a]];
    if (norm === 1 && isZero(data, p, length)) deviation += 1;
    for (let b = a + 1; b < n; b++) {
      const q = rows[chosen[b]];
      let dot = 0;
      for (let i = 0; i < length; i++) dot += data[p + i] * data[q + i];
      deviation += (2 * Math.abs(dot)) / (norm * norms[chosen[b]]);
    }
  }
  return 1 - deviation / (n * (n - 1));
}

const isZero = (data: Float32Array, at: number, length: number): boolean =>
  data.subarray(at, at + length).every((x) => x === 0);
