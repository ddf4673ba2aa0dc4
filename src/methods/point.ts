// One set of weights, or several trained from different starts (a deep ensemble, Lakshminarayanan et al. 2017): Adam on the
// negative log-likelihood with L2 penalties.

import { posteriors } from '../posteriors/index.js';
import { option, real, type Settings } from '../problems/option.js';
import { type ProblemConfig, startOptions } from '../problems/options.js';
import type { Method } from './method.js';
import { adamOptions, componentsByStart } from './options.js';
import { requireFixedPrior } from './requirements.js';
import { trainedNetworks } from './trained-networks.js';

const options = {
  ...startOptions,
  ...adamOptions,
  weightDecay: option(
    real(0, 1e6).default(0),
    'method',
    '<x>',
    'weight λ of the penalty ½λ‖w‖² of the convolutions',
    'rare',
  ),
};

type PointConfig = ProblemConfig & Settings<typeof options>;

const training = trainedNetworks<PointConfig>({
  components: (config) => config.components ?? componentsByStart(config),
  networkOptions: ({ batch, learningRate, weightDecay }) => ({
    ...{ batch, learningRate, weightDecay },
    ...{ temperature: 0, warmUp: 0 }, // there is no divergence
  }),
  initialLogStd: () => 0, // there is no width
});

export const point: Method<PointConfig> = {
  name: 'point',
  summary: 'no uncertainty; with components a deep ensemble',
  priors: ['none'],
  options,
  ...training,
  model: () => ({ posterior: posteriors.point, estimator: 'weight-samples', kernelSubsample: 1 }),
  check: (config) => requireFixedPrior('point', config),
  report: async () => ({}),
};
