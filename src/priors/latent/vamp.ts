// The variational mixture of posteriors (Tomczak & Welling 2018): p(z) = (1/K) Σ_k r(z|x_k) (50), the x_k learned.
import { RandomStream } from '../../engine/index.js';
import { drawRows, encodedPoints, POINTS } from './encoded.js';
import type { LatentPrior } from './latent-prior.js';

export const vamp: LatentPrior = {
  name: 'vamp',
  summary: 'mixture of the encodings of learned pseudo-inputs',
  initial: (rows, components, key) => ({
    trainable: { [POINTS]: drawRows(rows, components, new RandomStream(key)) },
    fixed: {},
    resampled: {},
  }),
  ...encodedPoints,
};
