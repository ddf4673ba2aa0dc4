// The aggregated posterior (Molchanov et al. 2018, DSIVI-agg): p(z) = (1/N) Σ_n r(z|x_n) over the training data. By
// Jensen's inequality a random subset of K rows gives a lower bound of log p(z) on average (51): that is what a step
// sees. What is kept is a larger subset, or everything.
import { RandomStream } from '../../engine/index.js';
import { drawRows, encodedPoints, POINTS } from './encoded.js';
import type { LatentPrior, LatentStart } from './latent-prior.js';

/** Rows that are kept for evaluation and sampling. */
const KEPT = 5000;

export const aggregate: LatentPrior = {
  name: 'aggregate',
  summary: 'mixture of the encodings of training data',
  initial(rows, components, key): LatentStart {
    const kept = drawRows(rows, Math.max(KEPT, components), new RandomStream(key));
    return {
      trainable: {},
      fixed: { [POINTS]: kept },
      resampled: components < kept.shape[0] ? { [POINTS]: components } : {},
    };
  },
  ...encodedPoints,
};
