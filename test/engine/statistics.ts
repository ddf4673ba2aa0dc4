// Laws and distances that samples are compared with.

/** P(Z ≤ x) of a standard normal: Taylor series of the density's integral, a continued fraction in the tail. */
export function normalCdf(x: number): number {
  if (x < 0) return normalTail(-x);
  return 1 - normalTail(x);
}

/** P(Z > x) of a standard normal for x ≥ 0, accurate far out as well. */
export function normalTail(x: number): number {
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
  if (x < 4) {
    let sum = 0;
    for (let k = 0, term = x; k < 100; k++, term *= (x * x) / (2 * k + 1)) sum += term;
    return 0.5 - density * sum;
  }
  let fraction = x;
  for (let k = 60; k > 0; k--) fraction = x + k / fraction;
  return density / fraction;
}

/**
 * P(XY ≤ t) of two independent standard normals. With R² = X² + Y² exponential of mean 2 and an independent uniform
 * angle, XY = ½ R² sin 2θ; so P(XY > t) = (1/2π) ∫₀^π exp(−t / sin u) du for t > 0.
 */
export function productCdf(t: number): number {
  if (t === 0) return 0.5;
  if (t < 0) return 1 - productCdf(-t);
  const nodes = 4000;
  let sum = 0;
  for (let i = 1; i < nodes; i++) sum += Math.exp(-t / Math.sin((Math.PI * i) / nodes));
  return 1 - sum / (2 * nodes);
}

type Numbers = Float32Array | Float64Array;

/**
 * Kolmogorov and Smirnov's √n · sup |F̂ − F|, the supremum over 1,000 order statistics. For a sample of F it exceeds
 * 1.95 once in 1,000 (at most: the supremum over all points is larger), and {@link KS_LIMIT} once in a million.
 */
export function kolmogorovSmirnov(sample: Numbers, cdf: (x: number) => number): number {
  const sorted = sample.slice().sort();
  const n = sorted.length;
  let distance = 0;
  for (let q = 0; q < 1000; q++) {
    const i = Math.floor(((q + 0.5) / 1000) * n);
    const p = cdf(sorted[i]);
    distance = Math.max(distance, p - i / n, (i + 1) / n - p);
  }
  return distance * Math.sqrt(n);
}

/** The same for two samples of n numbers each: √(n/2) · sup |F̂₁ − F̂₂|, over all points. */
export function kolmogorovSmirnov2(a: Numbers, b: Numbers): number {
  const [x, y] = [a.slice().sort(), b.slice().sort()];
  const n = x.length;
  let distance = 0;
  for (let i = 0, j = 0; i < n && j < n; ) {
    const at = Math.min(x[i], y[j]);
    while (i < n && x[i] <= at) i++;
    while (j < n && y[j] <= at) j++;
    distance = Math.max(distance, Math.abs(i - j) / n);
  }
  return distance * Math.sqrt(n / 2);
}

/** 2 exp(−2 · 2.7²) ≈ 1e-6. */
export const KS_LIMIT = 2.7;

/** The probability of a count as far from the expected one, or further on the same side: Poisson of that mean. */
export function poissonTail(count: number, mean: number): number {
  const probability = (k: number) => {
    let logP = -mean + k * Math.log(mean);
    for (let i = 2; i <= k; i++) logP -= Math.log(i);
    return Math.exp(logP);
  };
  let sum = 0;
  if (count > mean) for (let k = count; k < count + 20 * Math.sqrt(mean) + 50; k++) sum += probability(k);
  else for (let k = 0; k <= count; k++) sum += probability(k);
  return sum;
}
