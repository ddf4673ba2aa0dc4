// p(z) = N(0, I).
import { klToStandard, logStandardDensity } from '../../distributions/normal.js';
import { spec, tf } from '../../engine/index.js';
import type { LatentMarginal, LatentPrior } from './latent-prior.js';

export const standardMarginal: LatentMarginal = {
  logDensity: logStandardDensity,
  negativeDivergence: (r) => tf.neg(klToStandard(r)), // (17)
  sample: ({ latent }) => latent,
};

export const standard: LatentPrior = {
  name: 'standard',
  summary: 'N(0, I)',
  initial: () => ({ trainable: {}, fixed: {}, resampled: {} }),
  shapes: () => ({}),
  components: () => 1,
  noise: (n, latentSize) => ({ latent: spec([n, latentSize]) }),
  of: () => standardMarginal,
};
