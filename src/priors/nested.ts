// Priors that are made of other priors: their parts' names and configurations.
import { z } from 'zod';
import { prefixed } from '../engine/index.js';
import type { Adaptable, AdaptablePart, KernelPrior, PriorChoice } from './prior.js';

/** What a part lets be learned of it, under the names that the whole has; undefined where it has none. */
export function nestedAdaptable(
  { adaptable }: KernelPrior,
  which: AdaptablePart,
  part: string,
): Adaptable | undefined {
  const adaptablePart = adaptable?.[which];
  return (
    adaptablePart && {
      names: adaptablePart.names.map((name) => `${part}.${name}`),
      ...(adaptablePart.added && { added: prefixed(adaptablePart.added, part) }),
    }
  );
}

/** Of the names of a prior's noise those of p(w|z): `kernels`, or `0.kernels` of a part, where `latent` stands beside it. */
export const observationNoise = (names: readonly string[]): string[] =>
  names.filter((name) => {
    const path = name.split('.');
    return path.at(-1) === 'kernels' && names.includes([...path.slice(0, -1), 'latent'].join('.'));
  });

/** What has to be known beside its arrays to make the prior again. */
export const nestedConfig = ({ family, config }: KernelPrior): PriorChoice => ({ family, config });
nestedConfig.schema = z.object({ family: z.string(), config: z.record(z.string(), z.unknown()) });
