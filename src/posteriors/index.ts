// Posteriors of convolution weights by name: a new one is one file and one line.
import { meanField } from './mean-field.js';
import { point } from './point.js';
import type { Posterior } from './posterior.js';
import { semiImplicit } from './semi-implicit.js';

export * from './posterior.js';

export const posteriors: Readonly<Record<string, Posterior>> = {
  'mean-field': meanField,
  'semi-implicit': semiImplicit,
  point,
};
