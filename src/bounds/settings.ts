// Which bounds a network is trained with: one family, (1), (2), (4), (5), with a proposal and a K on each side.
import type { Gradients, Proposal } from './hierarchical.js';

/**
 * r(z|w) of the prior term: the prior's encoder as fitted; a copy of it for each layer that is trained along; or the
 * encoder's answer with a correction of mean and width for every single kernel. Either of the latter contains the
 * first, so that at its best its bound is no looser.
 */
export const ENCODERS = ['frozen', 'trainable', 'local'] as const;
export type Encoder = (typeof ENCODERS)[number];

export interface ChainSettings {
  /** Transitions that lead away from the ζ₀ that drew w. What ζ still shares with ζ₀, given w, is bias. */
  away: number;
  /** Transitions after those, over whose ζ is averaged. */
  kept: number;
  /** Leapfrog steps of a transition. */
  leapfrog: number;
  /** Acceptance that the step size is adapted to. */
  acceptance: number;
}

export const CHAIN: ChainSettings = { away: 3, kept: 2, leapfrog: 5, acceptance: 0.8 };

export interface BoundSettings {
  encoder: Encoder;
  /** What proposes z in the prior term, and ζ in the entropy term of a semi-implicit posterior. */
  proposal: Proposal;
  /** K ≥ 1 of (4). */
  priorSamples: number;
  /** K ≥ 0 of (5), beside the ζ that drew w. */
  posteriorSamples: number;
  gradients: Gradients;
  /** The gradient of the entropy term is (41), by chains over ζ; its value stays (2) or (5). */
  chain?: ChainSettings;
}

/** (1) and (2): hierarchical variational inference with auxiliary networks. */
export const HIERARCHICAL: BoundSettings = {
  encoder: 'frozen',
  proposal: 'auxiliary',
  priorSamples: 1,
  posteriorSamples: 0,
  gradients: 'plain',
};

export const BOUNDS = ['hvi', 'multisample', 'sivi', 'uivi'] as const;
export type BoundName = (typeof BOUNDS)[number];

/**
 * `hvi`: (1) and (2). `multisample`: (4) and (5) with auxiliary networks (Sobolev & Vetrov 2019). `sivi`: (4) and (5)
 * with p(z) and q(ζ) as proposals (Yin & Zhou 2018, Molchanov et al. 2018). `uivi`: as `multisample`, with unbiased
 * gradients of the entropy term (Titsias & Ruiz 2019).
 */
export function boundSettings(name: BoundName, samples: number, encoder: Encoder): BoundSettings {
  if (name === 'hvi') return { ...HIERARCHICAL, encoder };
  const proposal = name === 'sivi' ? 'prior' : 'auxiliary';
  return withSamples(
    { ...HIERARCHICAL, encoder, proposal, ...(name === 'uivi' && { chain: CHAIN }) },
    samples,
  );
}

/** The same bounds with K samples on both sides. */
export const withSamples = (bound: BoundSettings, samples: number): BoundSettings => ({
  ...bound,
  priorSamples: samples,
  posteriorSamples: samples,
  gradients: samples > 1 ? 'doubly-reparameterised' : 'plain',
});
