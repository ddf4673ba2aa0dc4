// How different the filters of a layer are from one another: 1 when all are orthogonal, 0 when all are parallel.

/** Multiplications above which filters are sampled: less than a tenth of a second. */
const BUDGET = 4e7;

/**
 * 1 − Σ|ŴŴᵀ − I| / (n (n − 1)), (23) of docs/quality.md, with a filter (all weights of one output) per row of Ŵ, scaled
 * to length one. A filter of zeros stays zero. Above the budget, the same over evenly spaced filters, as many as it
 * allows: a mean over thousands of pairs.
 *
 * @param data [out, …]; filters that are not finite are left out
 * @returns undefined for fewer than two filters
 */
export function orthogonality(data: Float32Array, out: number, budget = BUDGET): number | undefined {
  const length = data.length / out;
  const filters: { at: number; norm: number }[] = [];
  for (let at = 0; at < data.length; at += length) {
    let squares = 0;
    for (let i = at; i < at + length; i++) squares += data[i] * data[i];
    if (Number.isFinite(squares)) filters.push({ at, norm: Math.sqrt(squares) });
  }
  const n = Math.min(filters.length, Math.max(2, Math.floor(Math.sqrt((2 * budget) / length))));
  if (n < 2) return undefined;
  const chosen = Array.from({ length: n }, (_, i) => filters[Math.floor((i * filters.length) / n)]);
  let deviation = 0;
  for (const [a, { at, norm }] of chosen.entries()) {
    if (norm === 0) {
      deviation += 1; // its place on the diagonal; its products are 0
      continue;
    }
    let sum = 0;
    let b = a + 1;
    for (; b + 3 < n; b += 4) sum += fourCosines(data, at, length, chosen, b);
    for (; b < n; b++) {
      let dot = 0;
      for (let i = 0; i < length; i++) dot += data[at + i] * data[chosen[b].at + i];
      sum += Math.abs(dot) / (chosen[b].norm || 1);
    }
    deviation += (2 * sum) / norm;
  }
  return 1 - deviation / (n * (n - 1));
}

/** Four products in one go, because reading the numbers takes longer than multiplying them. */
function fourCosines(
  data: Float32Array,
  at: number,
  length: number,
  filters: readonly { at: number; norm: number }[],
  from: number,
): number {
  const [p, q, r, s] = [filters[from], filters[from + 1], filters[from + 2], filters[from + 3]];
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i < length; i++) {
    const x = data[at + i];
    a += x * data[p.at + i];
    b += x * data[q.at + i];
    c += x * data[r.at + i];
    d += x * data[s.at + i];
  }
  return (
    Math.abs(a) / (p.norm || 1) +
    Math.abs(b) / (q.norm || 1) +
    Math.abs(c) / (r.norm || 1) +
    Math.abs(d) / (s.norm || 1)
  );
}
