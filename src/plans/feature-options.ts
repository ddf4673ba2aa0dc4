// What a plan of kind random-features may say of a run.
import { adamOptions, posteriorOptions } from '../methods/options.js';
import type { Settings } from '../problems/option.js';
import { PRIORS, startOptions } from '../problems/options.js';
import type { Configurable } from '../runs/config.js';

const options = {
  ...startOptions,
  samples: posteriorOptions.samples,
  denseDecay: adamOptions.denseDecay,
};

export type FeatureSettings = Settings<typeof options>;

/** What stands for a method in such plans: there is no training, and any prior is only what starts are drawn from. */
export const randomFeatures: Configurable = { name: 'random-features', priors: PRIORS, options };
