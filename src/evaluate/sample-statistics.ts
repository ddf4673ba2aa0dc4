// What is measured of kernels to see whether two sets are alike: norms, correlation of neighbours, spectrum, covariance.
import { lagOne } from '../kernels/quality/lag-one.js';

/** Rows of d numbers. */
export interface Sample {
  data: Float32Array;
  count: number;
}

/** Euclidean norms, [n]. */
export function norms({ data, count }: Sample): Float64Array {
  const d = data.length / count;
  return Float64Array.from({ length: count }, (_, i) => {
    let square = 0;
    for (let j = 0; j < d; j++) square += data[i * d + j] ** 2;
    return Math.sqrt(square);
  });
}

/** Correlation of neighbours (20) of those kernels that have one: at most [n]. */
export const lagOnes = ({ data, count }: Sample, h: number, w: number): Float64Array =>
  Float64Array.from({ length: count }, (_, i) => lagOne(data, h, w, i * h * w)).filter(Number.isFinite);

export function quantiles(values: Float64Array, levels: readonly number[]): number[] {
  const sorted = values.slice().sort();
  return levels.map((q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]);
}

/** Covariance of pixels over some rows, lower triangle row by row, [d (d + 1) / 2]. */
export function covariance({ data, count }: Sample, rows?: ArrayLike<number>): Float64Array {
  const d = data.length / count;
  const n = rows?.length ?? count;
  const mean = new Float64Array(d);
  const out = new Float64Array((d * (d + 1)) / 2);
  for (let i = 0; i < n; i++) {
    const start = (rows ? rows[i] : i) * d;
    for (let j = 0, at = 0; j < d; j++) {
      const x = data[start + j];
      mean[j] += x / n;
      for (let k = 0; k <= j; k++, at++) out[at] += x * data[start + k];
    }
  }
  for (let j = 0, at = 0; j < d; j++)
    for (let k = 0; k <= j; k++, at++) out[at] = out[at] / n - mean[j] * mean[k];
  return out;
}

/** (91) ‖A − B‖ / ‖B‖, Frobenius, of lower triangles; 0 where both vanish. */
export function covarianceError(a: Float64Array, b: Float64Array): number {
  let difference = 0;
  let size = 0;
  for (let j = 0, at = 0; at < b.length; j++)
    for (let k = 0; k <= j; k++, at++) {
      const twice = k < j ? 2 : 1;
      difference += twice * (a[at] - b[at]) ** 2;
      size += twice * b[at] ** 2;
    }
  return difference === 0 ? 0 : Math.sqrt(difference / size);
}

/** Middles of the rings of frequencies below, cycles per weight. */
export const RINGS = Array.from({ length: 10 }, (_, b) => (b + 0.5) / 20);
/** Directions that a ring is averaged over. */
const DIRECTIONS = 32;

/**
 * (90) Power of each kernel, scaled to unit length, averaged over rings of spatial frequency: 1 everywhere for white
 * noise. [n, rings]; kernels of zeros have none.
 */
export function radialSpectra({ data, count }: Sample, h: number, w: number): Float64Array {
  const d = h * w;
  const wide = 2 * w - 1;
  const shifts = (2 * h - 1) * wide;
  const waves = new Float64Array(RINGS.length * shifts);
  RINGS.forEach((radius, b) => {
    for (let a = 0; a < DIRECTIONS; a++) {
      const angle = (Math.PI * (a + 0.5)) / DIRECTIONS;
      const [fy, fx] = [radius * Math.sin(angle), radius * Math.cos(angle)];
      for (let dy = 1 - h, at = b * shifts; dy < h; dy++)
        for (let dx = 1 - w; dx < w; dx++, at++)
          waves[at] += Math.cos(2 * Math.PI * (fy * dy + fx * dx)) / DIRECTIONS;
    }
  });
  const out = new Float64Array(count * RINGS.length);
  const autocorrelation = new Float64Array(shifts);
  for (let row = 0; row < count; row++) {
    autocorrelation.fill(0);
    let square = 0;
    for (let i = 0; i < d; i++) {
      const x = data[row * d + i];
      square += x * x;
      if (x === 0) continue;
      const centre = (Math.floor(i / w) + h - 1) * wide + (i % w) + w - 1;
      for (let j = 0; j < d; j++)
        autocorrelation[centre - Math.floor(j / w) * wide - (j % w)] += x * data[row * d + j];
    }
    if (square === 0) continue;
    for (let b = 0; b < RINGS.length; b++) {
      let power = 0;
      for (let at = 0; at < shifts; at++) power += waves[b * shifts + at] * autocorrelation[at];
      out[row * RINGS.length + b] = power / square;
    }
  }
  return out;
}

/** Mean over some rows of [n, m]. */
export function meanRow(values: Float64Array, m: number, rows?: ArrayLike<number>): Float64Array {
  const n = rows?.length ?? values.length / m;
  const out = new Float64Array(m);
  for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) out[j] += values[(rows ? rows[i] : i) * m + j] / n;
  return out;
}

/** Mean |log₂ a − log₂ b| over rings: octaves of power. */
export function spectrumDistance(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++)
    sum += Math.abs(Math.log2(Math.max(a[i], 1e-6)) - Math.log2(Math.max(b[i], 1e-6))) / a.length;
  return sum;
}

/** Distance of each row of `from` to the nearest row of `to`, [n]. */
export function nearestDistances(from: Sample, to: Sample): Float64Array {
  const d = from.data.length / from.count;
  return Float64Array.from({ length: from.count }, (_, i) => {
    let nearest = Number.POSITIVE_INFINITY;
    for (let j = 0; j < to.count; j++) {
      let sum = 0;
      for (let k = 0; k < d && sum < nearest; k++) sum += (from.data[i * d + k] - to.data[j * d + k]) ** 2;
      if (sum < nearest) nearest = sum;
    }
    return Math.sqrt(nearest);
  });
}
