// Options as earlier versions called them. Nothing is lost: each has a name of today that does the same.
import { families } from '../priors/index.js';
import { SAMPLERS } from '../train/sample-network.js';

type Given = Readonly<Record<string, unknown>>;

/** The same settings under the names of today. @param note hears what was renamed */
export function withPresentNames(given: Given, note: (line: string) => void = () => {}): Given {
  const { prior, posterior, ...others } = given;
  const renamed: Record<string, unknown> = { ...others };
  if (typeof prior === 'string' && (families.has(prior) || prior === 'external')) {
    note(`--prior ${prior} is --prior dwp now: the folder of a prior says which family it is of`);
    renamed.prior = 'dwp';
  } else if (prior !== undefined) renamed.prior = prior;
  if (SAMPLERS.some((name) => name === posterior)) {
    note(`--posterior ${posterior} is --method chains --sampler ${posterior} now`);
    Object.assign(renamed, { method: 'chains', sampler: posterior });
  } else if (posterior !== undefined) renamed.posterior = posterior;
  return renamed;
}
