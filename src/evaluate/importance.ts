// Bounds of log p(w) from log importance weights ℓ_k = log p(w|z_k) p(z_k) / r(z_k|w) of one w. In double precision, on
// plain arrays: what a report needs of weights that a step has computed in single precision. Where there are more
// weights than one estimate takes, it is averaged over blocks of them, which changes its noise only.

/** log Σ exp ℓ over [from, to). */
export function logSumExp(weights: ArrayLike<number>, from = 0, to = weights.length): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = from; i < to; i++) if (weights[i] > largest) largest = weights[i];
  if (!Number.isFinite(largest)) return largest;
  let sum = 0;
  for (let i = from; i < to; i++) sum += Math.exp(weights[i] - largest);
  return largest + Math.log(sum);
}

/** Mean of `estimate` over the blocks of `size` that lie in the first `count` weights. */
function overBlocks(count: number, size: number, estimate: (from: number, to: number) => number): number {
  const blocks = Math.floor(count / size);
  let sum = 0;
  for (let b = 0; b < blocks; b++) sum += estimate(b * size, (b + 1) * size);
  return sum / blocks;
}

/**
 * (4), or (1) for K = 1: below log p(w) on average.
 * @param weights of draws of r, K or more
 */
export const fromBelow = (weights: ArrayLike<number>, K: number): number =>
  overBlocks(weights.length, K, (from, to) => logSumExp(weights, from, to) - Math.log(K));

/**
 * (5), or (2) for K = 0: above log p(w), on average over w that the density itself has drawn.
 * @param own log weight of the z that w was drawn with
 * @param weights of draws of s, K or more
 */
export const fromAbove = (own: number, weights: ArrayLike<number>, K: number): number =>
  K === 0
    ? own
    : overBlocks(
        weights.length,
        K,
        (from, to) => logSumExp([own, logSumExp(weights, from, to)]) - Math.log(K + 1),
      );

/**
 * (27): above log p(w) on average, wherever w comes from. Each of K + 1 weights is put on the tangent of the logarithm at
 * the mean c of the K others: log c + exp(ℓ)/c − 1.
 * @param weights of draws of r, K + 1 or more
 */
export const byTangents = (weights: ArrayLike<number>, K: number): number =>
  overBlocks(weights.length, K + 1, (from, to) => {
    let top = from;
    for (let i = from; i < to; i++) if (weights[i] > weights[top]) top = i;
    const share = (i: number) => Math.exp(weights[i] - weights[top]); // of the largest weight, as is c below
    let others = 0; // of all but the largest, which is never subtracted: no cancellation
    for (let i = from; i < to; i++) if (i !== top) others += share(i);
    if (others === 0) return Number.POSITIVE_INFINITY; // beyond double precision
    let sum = 0;
    for (let i = from; i < to; i++) {
      const own = i === top ? 1 : share(i);
      const c = (i === top ? others : 1 + others - own) / K;
      sum += Math.log(c) + own / c - 1;
    }
    return weights[top] + sum / (K + 1);
  });
