// Which bounds a network is trained with: one family, (1), (2), (4), (5), with a proposal and a K on each side.
import type { Gradients, Proposal } from './hierarchical.js';

/**
 * r(z|w) of the prior term: the prior's encoder as fitted; a copy of it for each layer that is trained along; or the
 * encoder's answer with a correction of mean and width for every single kernel. Either of the latter contains the
 * first, so that at its best its bound is no looser.
 */
export const ENCODERS = ['frozen', 'trainable', 'local'] as const;
export type Encoder = (typeof ENCODERS)[number];

export interface BoundSettings {
  encoder: Encoder;
  /** What proposes z in the prior term, and ζ in the entropy term of a semi-implicit posterior. */
  proposal: Proposal;
  /** K ≥ 1 of (4). */
  priorSamples: number;
  /** K ≥ 0 of (5), beside the ζ that drew w. */
  posteriorSamples: number;
  gradients: Gradients;
}

/** (1) and (2): hierarchical variational inference with auxiliary networks. */
export const HIERARCHICAL: BoundSettings = {
  encoder: 'frozen',
  proposal: 'auxiliary',
  priorSamples: 1,
  posteriorSamples: 0,
  gradients: 'plain',
};

export const BOUNDS = ['hvi', 'multisample', 'sivi'] as const;
export type BoundName = (typeof BOUNDS)[number];

/**
 * `hvi`: (1) and (2). `multisample`: (4) and (5) with auxiliary networks (Sobolev & Vetrov 2019). `sivi`: (4) and (5)
 * with p(z) and q(ζ) as proposals (Yin & Zhou 2018, Molchanov et al. 2018).
 */
export const boundSettings = (name: BoundName, samples: number, encoder: Encoder): BoundSettings =>
  name === 'hvi'
    ? { ...HIERARCHICAL, encoder }
    : withSamples({ ...HIERARCHICAL, encoder, proposal: name === 'sivi' ? 'prior' : 'auxiliary' }, samples);

/** The same bounds with K samples on both sides. */
export const withSamples = (bound: BoundSettings, samples: number): BoundSettings => ({
  ...bound,
  priorSamples: samples,
  posteriorSamples: samples,
  gradients: samples > 1 ? 'doubly-reparameterised' : 'plain',
});
