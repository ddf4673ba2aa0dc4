// Quality of many kernels of one size, gathered layer by layer: memory depends on the size, not on their number.
import { entropy10, noiseEntropy, principalAxes } from './entropy.js';
import { LagOneStatistics, lagOne } from './lag-one.js';

/** Larger kernels (over 16×16) have no spectrum: d×d matrices and their eigenvalues would take too long. */
export const MOST_WEIGHTS = 256;

/** Weights up to this part of a layer's largest count as none. */
const SPARSE = 0.01;

export interface Quality {
  /** Finite kernels that were looked at. */
  kernels: number;
  /** Share of kernels with every |w| below 0.01 of their layer's largest; null for no kernels. */
  sparsity: number | null;
  /** Entropy of the explained variance over that of noise: 1 and more for noise, 0 for copies of one shape. */
  varianceEntropy: number | null;
  /** Correlation of neighbouring weights within a kernel; null where no kernel has neighbours that differ. */
  lagOne: { median: number; mean: number; standardError: number; kernels: number } | null;
  /** Shares of the variance along the principal axes, largest first; null where nothing varies. */
  explainedVariance: number[] | null;
  /**
   * What {@link flatness} is computed from, and power spectra: [d, d], the mean of u uᵀ over kernels scaled to unit
   * length u, and how many there were.
   */
  directions: { mean: Float64Array; kernels: number } | null;
}

export class QualityAccumulator {
  private kernels = 0;
  private sparse = 0;
  private readonly lags = new LagOneStatistics();
  /** The kernel at hand. */
  private readonly scaled: Float64Array;
  private readonly sum: Float64Array;
  /** Upper triangles, [d, d]: of w wᵀ, with weights scaled by the layer's largest, and of u uᵀ, |u| = 1. */
  private readonly products: Float64Array;
  private readonly directions: Float64Array;
  private directed = 0;

  constructor(
    readonly h: number,
    readonly w: number,
  ) {
    const d = h * w > MOST_WEIGHTS || h * w === 1 ? 0 : h * w;
    this.scaled = new Float64Array(d);
    this.sum = new Float64Array(d);
    this.products = new Float64Array(d * d);
    this.directions = new Float64Array(d * d);
  }

  /**
   * One layer, or a part of one: weights are measured against the largest |w| of this call.
   *
   * @param data [n, h, w]; kernels that are not finite are left out
   * @param rows which of them; all when left out
   */
  add(data: Float32Array, rows?: ArrayLike<number>): void {
    const { h, w } = this;
    const d = h * w;
    const count = rows ? rows.length : data.length / d;
    const finite: number[] = [];
    const peaks: number[] = [];
    let largest = 0;
    for (let i = 0; i < count; i++) {
      const at = (rows ? rows[i] : i) * d;
      let peak = 0;
      for (let j = at; j < at + d; j++) {
        const size = Math.abs(data[j]);
        if (!(size <= peak)) peak = size; // NaN stays: no comparison with it holds
        if (Number.isNaN(peak)) break;
      }
      if (!Number.isFinite(peak)) continue;
      finite.push(at);
      peaks.push(peak);
      if (peak > largest) largest = peak;
    }
    for (let i = 0; i < finite.length; i++) {
      this.kernels++;
      if (largest === 0 || peaks[i] < SPARSE * largest) this.sparse++;
      this.lags.add(d > 1 ? lagOne(data, h, w, finite[i]) : Number.NaN);
      if (largest > 0) this.addProducts(data, finite[i], 1 / largest);
    }
  }

  finish(): Quality {
    const kernels = this.kernels;
    const d = this.sum.length;
    const shares = kernels < 2 ? undefined : principalAxes(this.covariance(), d)?.shares;
    const bound = noiseEntropy(kernels, d);
    return {
      kernels,
      sparsity: kernels === 0 ? null : this.sparse / kernels,
      varianceEntropy: bound === undefined || d < 2 ? null : shares ? entropy10(shares) / bound : 0,
      lagOne: this.lags.finish() ?? null,
      explainedVariance: shares ?? null,
      directions:
        this.directed === 0 || d < 2 ? null : { mean: this.meanDirections(), kernels: this.directed },
    };
  }

  private addProducts(data: Float32Array, at: number, scale: number): void {
    const [scaled, sum, products, directions] = [this.scaled, this.sum, this.products, this.directions];
    const d = sum.length;
    let squares = 0;
    for (let i = 0; i < d; i++) {
      const x = data[at + i] * scale;
      scaled[i] = x;
      sum[i] += x;
      squares += x * x;
    }
    if (squares === 0) return;
    this.directed++;
    for (let i = 0; i < d; i++) {
      const x = scaled[i];
      const u = x / squares;
      for (let j = i, to = i * d + i; j < d; j++, to++) {
        products[to] += x * scaled[j];
        directions[to] += u * scaled[j];
      }
    }
  }

  private covariance(): Float64Array {
    const [n, sum] = [this.kernels, this.sum];
    const d = sum.length;
    return this.products.map((x, at) => x / n - (sum[Math.floor(at / d)] * sum[at % d]) / n / n);
  }

  private meanDirections(): Float64Array {
    const d = this.sum.length;
    return this.directions.map((_, at) => {
      const [i, j] = [Math.floor(at / d), at % d];
      return this.directions[Math.min(i, j) * d + Math.max(i, j)] / this.directed;
    });
  }
}
