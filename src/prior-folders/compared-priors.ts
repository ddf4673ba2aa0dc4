// The rows of the density table: what the families of priors say of themselves.
import { type ComparedFit, families, type PriorFamily } from '../priors/index.js';

export interface ComparedPrior extends ComparedFit {
  family: PriorFamily;
}

/** From the plainest to the richest. */
export const comparedPriors = (): ComparedPrior[] =>
  [...families.values()].reverse().flatMap((family) =>
    (family.compared ?? [{ name: family.name, label: family.name, config: {} }]).map((fit) => ({
      ...fit,
      family,
    })),
  );
