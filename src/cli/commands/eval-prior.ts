// dwp eval-prior: the density of other kernels under a fitted prior.
import { z } from 'zod';
import { seedKey } from '../../engine/index.js';
import { usageError } from '../../errors.js';
import { type DensityReport, evaluateDensity } from '../../evaluate/density.js';
import { readKernelDataset, sizeText } from '../../kernels/index.js';
import { heldOutOf, heldOutWarning } from '../../prior-folders/held-out.js';
import { readPriorFolder } from '../../prior-folders/prior-folder.js';
import { argument, defineCommand, integer, option } from '../command.js';
import { engineOptions, openEngine, seedOption } from '../options.js';

interface EvalResult extends DensityReport {
  prior: string;
  /** Whether the prior was fitted on these kernels: all of a file of which the fit held some out are so in part. */
  seen: 'no' | 'yes' | 'unknown';
  warning?: string;
}

export const evalPrior = defineCommand({
  name: 'eval-prior',
  arguments: { prior: argument('<prior>', 'folder of dwp fit-prior', z.string()) },
  options: {
    kernels: option(
      '--kernels <path>',
      'kernels: a .npy file of [n, h, w] or [n, c, h, w], or a kernel dataset, whose test kernels are used',
      z.string(),
    ),
    filters: option(
      '--filters <c>',
      'with a prior of single slices: report the density of whole filters of c channels, the sum over their slices',
      integer(1, 99).optional(),
    ),
    samples: option(
      '--samples <K>',
      'number of samples of the importance-weighted bound',
      integer(1, 50_000).default(200),
    ),
    seed: seedOption,
    ...engineOptions,
  },
  examples: [
    'dwp eval-prior priors/7x7 --kernels other-kernels.npy --samples 1000',
    'dwp eval-prior priors/7x7 --kernels colour-kernels --filters 3',
  ],
  async run(input, effects): Promise<EvalResult> {
    const { prior, about } = readPriorFolder(input.prior);
    const { filters = 1 } = input;
    if (filters > 1 && (prior.size.channels ?? 1) > 1)
      throw usageError(
        `--filters cannot be used with ${input.prior}, which is already a prior of whole filters (${sizeText(prior.size)})`,
        'leave out --filters',
      );
    const size = { ...prior.size, ...(filters > 1 && { channels: filters }) };
    const dataset = readKernelDataset(input.kernels, sizeText(size), { units: about.units });
    const held = heldOutOf(dataset, about);
    const partly = held.from === 'held out by the fit';
    const { data, count } = partly ? dataset.train : held.kernels;
    const warning = partly
      ? `the prior was fitted on ${held.train!.count} of these ${count} kernels`
      : heldOutWarning(held, input.kernels);
    if (warning) effects.warn(warning);
    const engine = await openEngine(input);
    const progress = effects.progress('evaluating', count);
    const report = await evaluateDensity(
      { prior, kernels: data, samples: input.samples, engine, key: seedKey(input.seed), together: filters },
      (done) => progress.update(Math.floor(done / filters)),
    );
    progress.stop();
    return { prior: input.prior, ...report, seen: partly ? 'yes' : held.seen, ...(warning && { warning }) };
  },
  render: ({ n, logDensity, elbo, bound, samples, standardError }) =>
    logDensity !== undefined
      ? `${n} kernels: ${logDensity.toFixed(2)} ± ${standardError.toFixed(2)} nats per kernel (exact log-density)`
      : `${n} kernels: at least ${bound!.toFixed(2)} ± ${standardError.toFixed(2)} nats per kernel (${samples}-sample bound; ELBO ${elbo!.toFixed(2)})`,
});
