// A mixture with full covariances, by expectation maximisation; its density is exact. By default fits from several starts
// are averaged, their components have the tails of t, and the norms of kernels are straightened before (53).
import { z } from 'zod';
import { wholeNumber, wholeNumberOr } from './fields.js';
import { mixtureNumbers } from './mixture/components.js';
import { mixturePrior } from './mixture/exact.js';
import { fitMixture, LONGEST_QUICK } from './mixture/fit.js';
import { RADIAL } from './mixture/radial.js';
import { kernelLength, numbersIn, type PriorFamily } from './prior.js';

const config = z.object({
  components: wholeNumberOr('auto', 1, 1000)
    .default('auto')
    .describe('number of components; auto means the number that is best on a tenth of the kernels'),
  members: wholeNumber(1, 100)
    .default(8)
    .describe('number of mixtures, fitted from different starts, that are averaged'),
  tails: wholeNumberOr('normal', 1, 1000)
    .default(15)
    .describe("degrees of freedom of components that are t's, or normal"),
  straighten: z
    .boolean()
    .default(true)
    .describe('whether norms of kernels are mapped to those of a normal before the fit, and back in samples'),
});
type Config = z.infer<typeof config>;

/** What folders have that were written before mixtures had tails and straightened norms. */
const PLAIN = { members: 1, tails: 'normal', straighten: false } as const;

export const mixture: PriorFamily<Config> = {
  name: 'mixture',
  summary: 'mixture with full covariances, whose number of components is chosen on held-out kernels',
  automatic: (kernels) => (kernelLength(kernels) <= LONGEST_QUICK ? { members: 2 } : undefined),
  config,
  storedConfig: config.extend({
    tails: config.shape.tails.unwrap().default(PLAIN.tails),
    straighten: config.shape.straighten.unwrap().default(PLAIN.straighten),
  }),
  compared: [
    { name: 'mixture-of-normals', label: 'mixture of normals', config: PLAIN },
    { name: 'mixture', label: 'mixture', config: {} },
  ],
  fit: {
    kind: 'iterative',
    parameters: (kernels, { components, members, tails, straighten }, key, work) =>
      fitMixture(
        { ...kernels, size: kernelLength(kernels) },
        {
          components: components === 'auto' ? undefined : components,
          members,
          dof: tails === 'normal' ? Number.POSITIVE_INFINITY : tails,
          straighten,
        },
        key,
        work,
      ),
  },
  prior: (size, settings, given) =>
    mixturePrior(
      'mixture',
      size,
      settings,
      given,
      settings.tails === 'normal' ? undefined : settings.tails,
      settings.straighten,
    ),
  freeNumbers: (_size, _config, parameters) =>
    mixtureNumbers(parameters) + numbersIn(parameters, (name) => name === RADIAL),
};
