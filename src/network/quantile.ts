// The quantile function of the standard normal, by bisection of its distribution function: exact to 1e-12, and pure.
/** Φ(x), by the complementary error function as a continued fraction or a series (Abramowitz & Stegun 26.2). */
function normalDistribution(x: number): number {
  if (x > 0) return 1 - normalDistribution(-x);
  const density = Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);
  if (x > -3) {
    // Φ(x) = ½ + φ(x) Σ_k x^(2k+1) / (1 · 3 · … · (2k+1))
    let [term, sum] = [x, x];
    for (let k = 1; Math.abs(term) > 1e-18; k++) {
      term *= (x * x) / (2 * k + 1);
      sum += term;
    }
    return 0.5 + density * sum;
  }
  let fraction = 0;
  for (let k = 60; k >= 1; k--) fraction = k / (-x + fraction);
  return density / (-x + fraction);
}

/** The x with Φ(x) = p, for p in (0, 1). */
export function normalQuantile(p: number): number {
  let [low, high] = [-40, 40];
  while (high - low > 1e-13 * Math.max(1, Math.abs(low))) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (normalDistribution(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
