// dwp mix-priors: several fitted priors of one size as one.
import { z } from 'zod';
import { usageError } from '../../errors.js';
import { refuseExisting } from '../../formats/files.js';
import { sizeText } from '../../kernels/index.js';
import { writeDerivedPrior } from '../../prior-folders/prior-folder.js';
import { mixPriors } from '../../priors/index.js';
import { readOffer } from '../../problems/layer-priors.js';
import { argument, defineCommand, option } from '../command.js';

interface MixResult {
  out: string;
  size: string;
  components: { path: string; family: string; weight: number }[];
}

export const mixPriorsCommand = defineCommand({
  name: 'mix-priors',
  description:
    'Writes the mixture p(w) = Σ π_m p_m(w) of priors of one kernel size as a prior folder. Use it with dwp train ' +
    '--prior dwp; with --adapt-prior latent, its weights are trained jointly with the network.',
  arguments: { priors: argument('<priors...>', 'folders of fitted priors', z.array(z.string()).min(2)) },
  options: {
    weights: option(
      '--weights <x...>',
      'weight of each prior, above 0; weights are divided by their sum',
      z.array(z.coerce.number().positive('must be above 0')).optional(),
      'equal weights',
    ),
    out: option('--out <dir>', 'folder to write; must not exist yet', z.string()),
  },
  examples: ['dwp mix-priors priors/grey-7x7 priors/colour-7x7 --weights 0.7 0.3 --out priors/mixed-7x7'],
  async run({ priors: paths, weights = paths.map(() => 1), out }): Promise<MixResult> {
    refuseExisting(out);
    if (weights.length !== paths.length)
      throw usageError(
        `${weights.length} weights for ${paths.length} priors`,
        'give one for each, in the same order',
      );
    const offers = paths.map(readOffer);
    const sizes = offers.map(({ size }) => sizeText(size));
    const other = sizes.findIndex((size) => size !== sizes[0]);
    if (other !== -1)
      throw usageError(
        `the kernel sizes differ: ${paths[0]} has ${sizes[0]}, ${paths[other]} has ${sizes[other]}`,
        'only priors of one kernel size can be mixed',
      );
    const [{ units }] = offers;
    const odd = offers.findIndex((offer) => offer.units !== units);
    if (odd !== -1)
      throw usageError(
        `the units differ: kernels of ${paths[0]} are in ${units ?? 'weights'}, those of ${paths[odd]} in ${offers[odd].units ?? 'weights'}`,
        'fit them with the same --units',
      );
    const mixed = mixPriors(
      offers.map(({ prior }) => prior),
      weights,
    );
    writeDerivedPrior(out, mixed, `a mixture of ${paths.length} priors`, offers, units);
    const total = weights.reduce((a, b) => a + b, 0);
    const components = offers.map(({ path, prior: { family } }, m) => ({
      path,
      family,
      weight: weights[m] / total,
    }));
    return { out, size: sizes[0], components };
  },
  render: ({ out, size, components }) =>
    [
      `${size}: ${components.map(({ path, family, weight }) => `${weight.toFixed(3)} ${path} (${family})`).join(' + ')}`,
      `Written to ${out}. Train with it:  dwp train --prior dwp --prior-path ${out} --out runs/mixed`,
    ].join('\n'),
});
