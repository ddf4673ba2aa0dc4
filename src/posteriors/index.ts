// Posteriors of weights by name: a new one is one file and one line.
import { meanField } from './mean-field.js';
import { mnf } from './mnf.js';
import { point } from './point.js';
import type { Posterior } from './posterior.js';
import { semiImplicit } from './semi-implicit.js';
import { semiImplicitFilter, semiImplicitLayer } from './semi-implicit-shared.js';

export * from './posterior.js';

export const posteriors: Readonly<Record<string, Posterior>> = {
  'mean-field': meanField,
  'semi-implicit': semiImplicit,
  'semi-implicit-filter': semiImplicitFilter,
  'semi-implicit-layer': semiImplicitLayer,
  mnf,
  point,
};
