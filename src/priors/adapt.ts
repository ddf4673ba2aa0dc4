// Empirical Bayes (80): what of a prior a network learns along with itself, on its own evidence bound.
import { usageError } from '../errors.js';
import type { AdaptablePart, Arrays, KernelPrior } from './prior.js';
import { LOG_SCALE, scalePrior } from './scaled.js';

/**
 * `scale`: w = s·u with s learned (77). `latent`: mean and width of p(z) (82), or the weights of a mixture's components.
 * `decoder`: the decoder's networks, or a flow's.
 */
export const ADAPTATIONS = ['scale', 'latent', 'decoder'] as const;
export type Adaptation = (typeof ADAPTATIONS)[number];

/**
 * The prior with what it takes to be adapted, which at first is the same density, and the names that are learned.
 * @param rebuild makes a prior of the same family of other arrays
 * @throws DwpError USAGE where a family has no such part
 */
export function adaptPrior(
  prior: KernelPrior,
  parts: readonly ('scale' | AdaptablePart)[],
  rebuild: (prior: KernelPrior, parameters: Arrays) => KernelPrior,
): { prior: KernelPrior; names: string[] } {
  let adapted = prior;
  let names: string[] = [];
  for (const part of parts) {
    if (part === 'scale') continue;
    const learnable = prior.adaptable?.[part];
    if (!learnable)
      throw usageError(
        `--adapt-prior ${part}: a prior of family ${prior.family} has no ${part === 'latent' ? 'p(z) and no weights' : part}`,
        `it can be adapted by: ${['scale', ...Object.keys(prior.adaptable ?? {})].filter((name) => name !== 'weights').join(', ')}`,
      );
    if (learnable.added) adapted = rebuild(adapted, { ...learnable.added, ...adapted.parameters });
    names = [...new Set([...names, ...learnable.names])];
  }
  if (!parts.includes('scale')) return { prior: adapted, names };
  return { prior: scalePrior(adapted), names: [LOG_SCALE, ...names.map((name) => `base.${name}`)] };
}
