// How alike neighbouring weights of a kernel are: near 0 for noise, positive for the smooth kernels of a trained net.

/**
 * Spatial correlation at lag one, equation (20) of docs/quality.md: the mean product of horizontal and vertical
 * neighbours over the mean square, both after the kernel's own mean is taken off. For white noise of d weights its
 * expectation is {@link lagOneOfNoise}.
 *
 * @param kernel [h, w] at `at`, finite
 * @returns NaN for a kernel of one value, which has no neighbours that differ
 */
export function lagOne(kernel: ArrayLike<number>, h: number, w: number, at = 0): number {
  const d = h * w;
  let mean = 0;
  for (let i = at; i < at + d; i++) mean += kernel[i] / d;
  let squares = 0;
  let products = 0;
  for (let y = 0, i = at; y < h; y++)
    for (let x = 0; x < w; x++, i++) {
      const centred = kernel[i] - mean;
      squares += centred * centred;
      if (x + 1 < w) products += centred * (kernel[i + 1] - mean);
      if (y + 1 < h) products += centred * (kernel[i + w] - mean);
    }
  const pairs = h * (w - 1) + w * (h - 1);
  return squares > 0 ? products / pairs / (squares / d) : Number.NaN;
}

/**
 * The exact mean of {@link lagOne} over kernels whose weights can be permuted without changing their distribution:
 * taking the mean off makes the products of all ordered pairs sum to minus the squares.
 */
export const lagOneOfNoise = (d: number): number => -1 / (d - 1);

const BINS = 4096;
/** No value is larger: half the largest eigenvalue of the neighbourhood (below 4, below 2 in a row) times d / pairs. */
const LIMIT = 2;

/** Mean, standard error and median of a stream of lag-one correlations, in constant memory. */
export class LagOneStatistics {
  private readonly histogram = new Float64Array(BINS);
  private count = 0;
  private sum = 0;
  private squares = 0;

  /** NaN is left out. */
  add(value: number): void {
    if (Number.isNaN(value)) return;
    this.count++;
    this.sum += value;
    this.squares += value * value;
    this.histogram[Math.min(BINS - 1, Math.max(0, Math.floor(((value + LIMIT) / (2 * LIMIT)) * BINS)))]++;
  }

  /** @returns the median to about 0.001; undefined before the first value; a standard error of one value is NaN */
  finish(): { median: number; mean: number; standardError: number; kernels: number } | undefined {
    const count = this.count;
    if (count === 0) return undefined;
    const mean = this.sum / count;
    const variance = Math.max(0, this.squares - count * mean * mean) / (count - 1);
    let below = 0;
    let bin = 0;
    while (below + this.histogram[bin] < count / 2) below += this.histogram[bin++];
    const within = (count / 2 - below) / this.histogram[bin];
    const median = ((bin + within) / BINS) * 2 * LIMIT - LIMIT;
    return { median, mean, standardError: Math.sqrt(variance / count), kernels: count };
  }
}
