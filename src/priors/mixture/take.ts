// Rows of points.
import type { Points } from './em.js';

export function take({ data, size }: Points, rows: ArrayLike<number>): Points {
  const out = new Float64Array(rows.length * size);
  for (let i = 0; i < rows.length; i++)
    for (let j = 0; j < size; j++) out[i * size + j] = data[rows[i] * size + j];
  return { data: out, count: rows.length, size };
}
