// What several methods ask of a configuration.
import { usageError } from '../errors.js';
import type { ProblemConfig } from '../problems/options.js';

/** @throws DwpError USAGE where priors are to be learned by a method that does not learn them */
export function requireFixedPrior(method: string, { mixPriors }: Pick<ProblemConfig, 'mixPriors'>): void {
  if (mixPriors === 'learned')
    throw usageError(
      `--mix-priors learned cannot be used with --method ${method}, which learns no priors`,
      'use --mix-priors equal, or --method variational',
    );
}
