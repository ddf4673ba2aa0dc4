// E_q log p(w), kernel by kernel: in closed form where the prior has one, by one sample where its density is known,
// else by the lower bound (1) or (4). The prior says what its density is; how it is estimated is decided here.
import { type DiagonalNormal, reparameterise } from '../distributions/normal.js';
import { spec, tf } from '../engine/index.js';
import {
  type KernelPrior,
  kernelLength,
  type LatentVariableDensity,
  type Specs,
  type Tensors,
} from '../priors/index.js';
import { lowerBound, proposalOf } from './hierarchical.js';
import { type BoundSettings, HIERARCHICAL } from './settings.js';

/** Standard normals that {@link logPrior} needs for n kernels. */
export const latentNoise = (
  { density }: KernelPrior,
  n: number,
  { priorSamples }: BoundSettings = HIERARCHICAL,
): Specs => (density.kind === 'latent' ? { latent: spec([priorSamples, n, density.latentSize]) } : {});

/** Standard normals that {@link expectedLogDensity} needs for n kernels. */
export const priorNoise = (prior: KernelPrior, n: number, settings: BoundSettings = HIERARCHICAL): Specs => {
  const { density, size } = prior;
  if (density.kind === 'exact' && density.expectedLogDensity) return {};
  return { kernels: spec([n, kernelLength(size)]), ...latentNoise(prior, n, settings) };
};

/**
 * r(z|w) of given kernels, as the settings say.
 * @param w [n, d]
 * @param auxiliary of `encoder` trainable: parameters that replace those of the prior's encoder; of `local`: what is added
 *   to its `mean` and `logStd` of z for each kernel, [n, l]
 * @returns [n, l]
 */
export function priorProposal(
  density: LatentVariableDensity,
  parameters: Tensors,
  w: tf.Tensor,
  { encoder, proposal }: Pick<BoundSettings, 'encoder' | 'proposal'>,
  auxiliary: Tensors,
): DiagonalNormal {
  const r = proposalOf(density.of(parameters), w, proposal);
  if (proposal === 'auxiliary' && encoder === 'trainable')
    return density.of({ ...parameters, ...auxiliary }).encode(w);
  if (proposal === 'auxiliary' && encoder === 'local')
    return { mean: tf.add(r.mean, auxiliary.mean), logStd: tf.add(r.logStd, auxiliary.logStd) };
  return r;
}

/** How log p(w) is bounded where it has no formula. */
export interface PriorBound {
  /** (1) unless given. */
  settings?: BoundSettings;
  /** As {@link priorProposal} takes them. */
  auxiliary?: Tensors;
}

/**
 * log p(w) of given kernels, or a lower bound of it.
 * @param w [n, d]
 * @returns [n], nats
 */
export function logPrior(
  { density }: KernelPrior,
  parameters: Tensors,
  w: tf.Tensor,
  { latent }: Tensors,
  { settings = HIERARCHICAL, auxiliary = {} }: PriorBound = {},
): tf.Tensor {
  if (density.kind === 'exact') return density.logDensity(parameters, w);
  const r = priorProposal(density, parameters, w, settings, auxiliary);
  return lowerBound(density.of(parameters), w, latent, { r, gradients: settings.gradients });
}

/**
 * E_q log p(w) of each kernel, or an unbiased estimate of it or of a lower bound on it.
 * @param q of n kernels, [n, d]
 * @returns [n], nats
 */
export function expectedLogDensity(
  prior: KernelPrior,
  parameters: Tensors,
  q: DiagonalNormal,
  noise: Tensors,
  bound: PriorBound = {},
): tf.Tensor {
  const { density } = prior;
  const exact = density.kind === 'exact' ? density.expectedLogDensity?.(parameters, q) : undefined;
  return exact ?? logPrior(prior, parameters, reparameterise(q, noise.kernels), noise, bound);
}
