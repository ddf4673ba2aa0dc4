// log q itself, for a q that has a formula for it: the mean field, and the measure of all others.
import { divergence, type Estimator } from './estimator.js';

export const exact: Estimator = {
  name: 'mean-field',
  summary: 'independent normals, whose density is known',
  family: 'mean-field',
  valued: true,
  objective({ q, logTarget }, parameters, { w }) {
    if (q.density.kind !== 'exact') throw new TypeError(`${q.family} has no exact density`);
    const value = divergence(q.density.logDensity(parameters.q, w), w, logTarget);
    return { descend: value, value };
  },
};
