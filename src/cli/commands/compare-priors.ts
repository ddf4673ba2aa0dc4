// dwp compare-priors: the held-out density of every family on one set of kernels.
import { join } from 'node:path';
import { z } from 'zod';
import { refuseExisting, writeJson } from '../../formats/files.js';
import { wholeFolder } from '../../formats/folders.js';
import { readKernelDataset, sizeText } from '../../kernels/index.js';
import {
  type ComparedRow,
  comparePriors,
  type PriorComparison,
  totalWork,
} from '../../prior-folders/compare-priors.js';
import { comparedPriors } from '../../prior-folders/compared-priors.js';
import { argument, defineCommand, integer, list, option } from '../command.js';
import { engineOptions, kernelOptions, openEngine } from '../options.js';
import { table } from '../table.js';

interface CompareResult extends PriorComparison {
  dataset: string;
  size: string;
  seeds: number[];
  /** K of the bounds. */
  samples: number;
  out?: string;
}

const PRIORS = comparedPriors();
const NAMES = PRIORS.map(({ name }) => name);

export const comparePriorsCommand = defineCommand({
  name: 'compare-priors',
  description:
    'Every prior is fitted to the same train kernels and judged on the same test kernels, as dwp fit-prior does it with ' +
    'the same seed. Families with latent variables are judged by a lower bound of their density, so they are never ' +
    'shown better than they are.',
  arguments: { dataset: argument('<dataset>', 'folder of dwp collect-kernels, or a .npy file', z.string()) },
  options: {
    size: kernelOptions.size,
    families: option(
      '--families <name...>',
      `priors to compare: ${PRIORS.map(({ name, label }) => `${name} (${label})`).join(', ')}`,
      list(z.enum(NAMES))
        .pipe(z.array(z.enum(NAMES)).min(1))
        .optional(),
      'all that can be fitted to the kernels',
    ),
    seeds: option(
      '--seeds <n...>',
      'seeds; every prior is fitted once for each of them, on another choice of held-out kernels',
      list(integer(0)).default([0]),
    ),
    out: option(
      '--out <dir>',
      'folder to write the fitted priors to, as <name>-<seed>; must not exist yet',
      z.string().optional(),
      'the priors are not kept',
    ),
    steps: option(
      '--steps <n>',
      'largest number of optimiser steps of each fit',
      integer(1, 10_000_000).optional(),
      'as in dwp fit-prior',
    ),
    samples: option(
      '--samples <K>',
      'number of samples of the importance-weighted bounds, at least 200',
      integer(200, 50_000).default(200),
    ),
    testFraction: kernelOptions.testFraction,
    ...engineOptions,
  },
  examples: [
    'dwp compare-priors kernels-dataset --size 7x7',
    'dwp compare-priors kernels.npy --seeds 0 1 2 --out priors/compared',
    'dwp compare-priors kernels-dataset --size 5x5 --families gaussian mixture vae --format json',
  ],
  async run(input, effects): Promise<CompareResult> {
    const { out, samples, testFraction, steps } = input;
    if (out) refuseExisting(out);
    const dataset = readKernelDataset(input.dataset, input.size);
    const seeds = [...new Set(input.seeds)];
    const priors = PRIORS.filter(({ name }) => input.families?.includes(name) ?? true);
    const engine = await openEngine(input);
    const size = sizeText(dataset.train);
    const request = {
      ...{ dataset, priors, seeds, testFraction, samples },
      options: { ...(steps && { steps }) },
      skip: input.families === undefined,
    };
    const progress = effects.progress(`priors of ${size} kernels`, totalWork(request));
    const compare = async (folder?: string): Promise<CompareResult> => {
      const comparison = await comparePriors({ ...request, folder }, engine, {
        signal: effects.signal,
        progress: (done, detail) => progress.update(Math.round(done), detail),
      }).finally(() => progress.stop());
      const result = { dataset: dataset.name, size, seeds, samples, ...comparison, ...(out && { out }) };
      if (folder) writeJson(join(folder, 'comparison.json'), result);
      return result;
    };
    return out ? wholeFolder(out, compare, undefined, effects.warn) : compare();
  },
  render({ size, seeds, samples, kernels, rows, skipped, out }) {
    const over =
      seeds.length > 1
        ? `mean over seeds ${seeds.join(', ')}, ± the standard error over seeds`
        : `seed ${seeds[0]}, ± the standard error over test kernels`;
    const values = rows.map(({ nats }) => nats.toFixed(1));
    const width = Math.max(...values.map(({ length }) => length));
    return [
      `${size} kernels, ${kernels.train} to fit, ${kernels.test} held out; nats per kernel, higher is better; ${over}:`,
      '',
      table(
        ['prior', '--families', 'nats per kernel', '', 'parameters', 'fit, s'],
        rows.map(({ name, label, standardError, kind, parameters, seconds }, i) => [
          i === 0 ? `${label} (best)` : label,
          name,
          `${kind === 'bound' ? '≥' : ' '} ${values[i].padStart(width)} ± ${standardError.toFixed(1)}`,
          kind === 'bound' ? `bound, K = ${samples}` : 'exact',
          Math.round(parameters),
          seconds.toFixed(1),
        ]),
      ),
      '',
      ...rows.flatMap(unmoved),
      ...skipped.map(({ name, reason }) => `Left out: ${name} (${reason}).`),
      ...(out ? [`Priors are in ${out}, as <name>-<seed>.`] : []),
    ]
      .join('\n')
      .trimEnd();
  },
});

/** Said of a fit by gradients that came to nothing: its row is the density that it started from. */
function unmoved({ label, startsFrom, seeds }: ComparedRow): string[] {
  const kept = seeds.filter(({ bestStep }) => bestStep === 0).map(({ seed }) => seed);
  if (kept.length === 0) return [];
  const where = seeds.length > 1 ? ` with ${kept.length > 1 ? 'seeds' : 'seed'} ${kept.join(', ')}` : '';
  const start = startsFrom ? `, ${startsFrom} fitted before it` : '';
  return [`${label}: no step was better than its start${start}; what is shown${where} is that start.`];
}
