// Ways 1 and 2: an upper bound of E_q log q for a semi-implicit q, (2) without and (5) with K more samples of ζ.

import { proposalOf, upperBound } from '../bounds/hierarchical.js';
import { type BoundName, boundSettings } from '../bounds/settings.js';
import { spec } from '../engine/index.js';
import { divergence, type Estimator } from './estimator.js';
import type { Sampler } from './sampler.js';

/** @param samples K of (5); `hvi` has none */
export function bound(name: BoundName, samples: number, summary: string): Estimator {
  const { posteriorSamples: k, proposal, gradients } = boundSettings(name, samples, 'frozen');
  return {
    name: k > 0 ? `${name}-${k}` : name,
    summary,
    family: 'semi-implicit',
    valued: true,
    noise: (q, n): ReturnType<Sampler['noise']> =>
      k > 0 && q.density.kind === 'latent' ? { proposed: spec([k, n, q.density.latentSize]) } : {},
    objective({ q, logTarget }, parameters, { w, latent }, { noise }) {
      if (q.density.kind !== 'latent' || !latent) throw new TypeError(`${q.family} has no ζ`);
      const density = q.density.of(parameters.q);
      const s = proposalOf(density, w, proposal);
      const value = divergence(
        upperBound(density, w, latent, noise.proposed, { s, gradients }), // ≥ log q on average
        w,
        logTarget,
      );
      return { descend: value, value };
    },
  };
}
