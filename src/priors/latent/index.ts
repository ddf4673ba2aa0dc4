// Every family of p(z): a new one is one file and one line.
import { aggregate } from './aggregate.js';
import { hierarchical } from './hierarchical.js';
import type { LatentPrior } from './latent-prior.js';
import { standard } from './standard.js';
import { vamp } from './vamp.js';

export * from './latent-prior.js';

export const latentPriors = { standard, vamp, aggregate, hierarchical } satisfies Record<string, LatentPrior>;
export const LATENT_PRIORS = Object.keys(latentPriors) as (keyof typeof latentPriors)[];
