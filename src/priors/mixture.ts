// A mixture of normals with full covariances, by expectation maximisation; exact.
import { z } from 'zod';
import { wholeNumber, wholeNumberOr } from './fields.js';
import { mixtureNumbers } from './mixture/components.js';
import { mixturePrior } from './mixture/exact.js';
import { fitMixture } from './mixture/fit.js';
import { kernelLength, type PriorFamily } from './prior.js';

const config = z.object({
  components: wholeNumberOr('auto', 1, 1000)
    .default('auto')
    .describe('number of normals; auto means the number that is best on a tenth of the kernels'),
  members: wholeNumber(1, 100)
    .default(1)
    .describe('number of mixtures, fitted from different starts, that are averaged'),
});
type Config = z.infer<typeof config>;

export const mixture: PriorFamily<Config> = {
  name: 'mixture',
  summary: 'mixture of normals with full covariances; their number is chosen on held-out kernels',
  config,
  compared: [{ name: 'mixture', label: 'mixture of normals', config: {} }],
  fit: {
    kind: 'iterative',
    parameters: (kernels, { components, members }, key, tick) =>
      fitMixture(
        { ...kernels, size: kernelLength(kernels) },
        {
          components: components === 'auto' ? undefined : components,
          members,
          dof: Number.POSITIVE_INFINITY,
        },
        key,
        tick,
      ),
  },
  prior: (size, config, given) => mixturePrior('mixture', size, config, given, undefined),
  freeNumbers: (_size, _config, parameters) => mixtureNumbers(parameters),
};
