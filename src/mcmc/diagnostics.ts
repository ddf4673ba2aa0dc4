// Whether chains have mixed, and what their draws are worth: rank-normalised split-R̂ and bulk effective sample size
// (Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021, sections 3 and 4). Plain functions of draws[chain][i].

/** One number of each draw of each chain; all chains are equally long. */
export type Chains = readonly ArrayLike<number>[];

/** Fewest draws of a chain that the diagnostics say anything about. */
const FEWEST = 8;

/**
 * (39) Rank-normalised split-R̂: near 1 where chains agree, in location and in spread; above 1.01 they have not mixed.
 * NaN for fewer than 8 draws a chain, or for values that are not finite; 1 where every draw is the same.
 */
export function rHat(chains: Chains): number {
  const halves = splitChains(chains);
  if (!usable(halves)) return Number.NaN;
  const center = median(halves.flat());
  const folded = halves.map((chain) => chain.map((x) => Math.abs(x - center)));
  return Math.max(plainRHat(rankNormalised(halves)), plainRHat(rankNormalised(folded)));
}

/**
 * (40) Bulk effective sample size: how many independent draws would estimate the mean of the (rank-normalised) values
 * as well. Autocorrelations are summed over Geyer's initial monotone sequence (Geyer 1992, section 3.3). NaN as for
 * {@link rHat}; the number of draws where all of them are the same.
 */
export function effectiveSampleSize(chains: Chains): number {
  const halves = splitChains(chains);
  return usable(halves) ? effectiveSize(rankNormalised(halves)) : Number.NaN;
}

/** Mean over all chains, and its standard error: the deviation over the root of the effective size of the values. */
export function chainEstimate(chains: Chains): { mean: number; standardError: number } {
  const all = chains.flatMap((chain) => Array.from(chain));
  const mean = meanOf(all);
  const halves = splitChains(chains);
  const size = usable(halves) ? effectiveSize(halves) : Number.NaN;
  return { mean, standardError: Math.sqrt(variance(all) / size) };
}

function splitChains(chains: Chains): number[][] {
  return chains.flatMap((chain) => {
    const values = Array.from(chain);
    const half = Math.floor(values.length / 2);
    return [values.slice(0, half), values.slice(values.length - half)]; // an odd one in the middle is left out
  });
}

const usable = (halves: readonly (readonly number[])[]) =>
  halves.length > 0 && halves[0].length >= FEWEST / 2 && halves.every((half) => half.every(Number.isFinite));

/** Every value by Φ⁻¹((rank − 3/8) / (S + 1/4)), S the number of all; equal values share the mean of their ranks. */
function rankNormalised(chains: readonly (readonly number[])[]): number[][] {
  const all = chains.flat();
  const order = all.map((_, i) => i).sort((a, b) => all[a] - all[b]);
  const scores = new Float64Array(all.length);
  for (let start = 0; start < order.length; ) {
    let end = start;
    while (end < order.length && all[order[end]] === all[order[start]]) end++;
    const score = normalQuantile(((start + 1 + end) / 2 - 3 / 8) / (all.length + 1 / 4));
    for (; start < end; start++) scores[order[start]] = score;
  }
  let at = 0;
  return chains.map((chain) => chain.map(() => scores[at++]));
}

/** √( ((n−1)/n · W + B/n) / W ): B/n is the variance of the chains' means, W the mean of their variances. */
function plainRHat(chains: readonly (readonly number[])[]): number {
  const n = chains[0].length;
  const within = meanOf(chains.map(variance));
  const between = variance(chains.map(meanOf));
  if (within === 0) return between === 0 ? 1 : Number.POSITIVE_INFINITY;
  return Math.sqrt((n - 1) / n + between / within);
}

/** S / τ, τ = −1 + 2 Σ_k P_k with pairs P_k = ρ_{2k} + ρ_{2k+1}, made monotone, as long as they are positive. */
function effectiveSize(chains: readonly (readonly number[])[]): number {
  const n = chains[0].length;
  const total = n * chains.length;
  const means = chains.map(meanOf);
  const centered = chains.map((chain, c) => chain.map((x) => x - means[c]));
  const within = meanOf(chains.map(variance));
  const pooled = (within * (n - 1)) / n + (chains.length > 1 ? variance(means) : 0);
  if (pooled === 0) return total;
  const correlation = (lag: number): number => {
    if (lag === 0) return 1;
    let covariance = 0;
    for (const chain of centered) for (let i = lag; i < n; i++) covariance += chain[i] * chain[i - lag];
    return 1 - (within - covariance / total) / pooled;
  };
  let time = -1;
  let last = Number.POSITIVE_INFINITY;
  for (let lag = 0; lag + 1 < n; lag += 2) {
    const even = correlation(lag);
    const pair = even + correlation(lag + 1);
    if (pair <= 0 || lag + 4 >= n) {
      time += Math.max(0, even); // the first half of the pair that ends the sum
      break;
    }
    last = Math.min(last, pair);
    time += 2 * last;
  }
  return total / Math.max(time, 1 / Math.log10(total)); // antithetic chains gain this much at most
}

const meanOf = (x: readonly number[]) => x.reduce((sum, v) => sum + v, 0) / x.length;

function variance(x: readonly number[]): number {
  const mean = meanOf(x);
  return x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (x.length - 1);
}

function median(x: readonly number[]): number {
  const sorted = [...x].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Φ⁻¹(p), p in (0, 1): Newton's method on Φ, from a rational approximation of Abramowitz & Stegun (26.2.23). */
export function normalQuantile(p: number): number {
  if (p > 0.5) return -normalQuantile(1 - p);
  const t = Math.sqrt(-2 * Math.log(p));
  let x =
    (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t;
  for (let i = 0; i < 3; i++) {
    const density = Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);
    // Φ(x) = ½ + φ(x) (x + x³/3 + x⁵/(3·5) + …)
    let term = x;
    let series = 0;
    for (let k = 3; series + term !== series; k += 2) {
      series += term;
      term *= (x * x) / k;
    }
    x -= (0.5 + density * series - p) / density;
  }
  return x;
}
