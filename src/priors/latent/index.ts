// Every family of p(z): a new one is one file and one line.
import { aggregate } from './aggregate.js';
import { hierarchical } from './hierarchical.js';
import type { LatentPrior } from './latent-prior.js';
import { standard } from './standard.js';
import { vamp } from './vamp.js';

export * from './latent-prior.js';

export const LATENT_PRIORS = ['standard', 'vamp', 'aggregate', 'hierarchical'] as const;
export const latentPriors: Readonly<Record<(typeof LATENT_PRIORS)[number], LatentPrior>> = {
  standard,
  vamp,
  aggregate,
  hierarchical,
};
