// Priors that are made of other priors: their parts' names and configurations.
import { z } from 'zod';
import type { KernelPrior, PriorChoice } from './prior.js';

/** Entries `part.name` by their own names. */
export const nested = <T>(all: Readonly<Record<string, T>>, part: string): Record<string, T> =>
  Object.fromEntries(
    Object.entries(all)
      .filter(([name]) => name.startsWith(`${part}.`))
      .map(([name, value]) => [name.slice(part.length + 1), value]),
  );

/** The reverse of {@link nested}. */
export const prefixed = <T>(all: Readonly<Record<string, T>>, part: string): Record<string, T> =>
  Object.fromEntries(Object.entries(all).map(([name, value]) => [`${part}.${name}`, value]));

/** What has to be known beside its arrays to make the prior again. */
export const nestedConfig = ({ family, config }: KernelPrior): PriorChoice => ({ family, config });
nestedConfig.schema = z.object({ family: z.string(), config: z.record(z.string(), z.unknown()) });
