// dwp check-prior: whether a prior's samples look like kernels that it has not seen.
import { z } from 'zod';
import { foldIn, type Key, RandomStream, seedKey } from '../../engine/index.js';
import { inputError } from '../../errors.js';
import {
  nearestDistance,
  norms,
  quantiles,
  type Sample,
  secondMoments,
  type TwoSampleReport,
  twoSampleTests,
} from '../../evaluate/sample-check.js';
import { readPriorFolder } from '../../experiment/prior-folder.js';
import { readKernelDataset } from '../../kernels/index.js';
import { samplePrior } from '../../train/sample-prior.js';
import { argument, defineCommand, integer, option } from '../command.js';
import { engineOptions, openEngine, seedOption } from '../options.js';
import { table } from '../table.js';

interface Both {
  samples: number;
  kernels: number;
}

interface CheckResult extends TwoSampleReport {
  prior: string;
  /** Rows on either side. */
  n: number;
  norm: Record<'5%' | '25%' | '50%' | '75%' | '95%', Both>;
  std: Both;
  /** ‖M_samples − M_kernels‖ / ‖M_kernels‖ of second moments of pixels, and of two halves of the kernels. */
  secondMoments: { error: number; betweenHalves: number };
  /** Median distance to the nearest train kernel; samples much nearer than held-out kernels would be memory. */
  nearestTrain?: Both;
}

const LEVELS = { '5%': 0.05, '25%': 0.25, '50%': 0.5, '75%': 0.75, '95%': 0.95 } as const;

const some = ({ data, count }: Sample, n: number, key: Key): Sample => {
  const d = data.length / count;
  const rows = new RandomStream(key).permutation(count).subarray(0, n);
  const out = new Float32Array(rows.length * d);
  rows.forEach((row, i) => {
    out.set(data.subarray(row * d, (row + 1) * d), i * d);
  });
  return { data: out, count: rows.length };
};

const distance = (a: Float64Array, b: Float64Array): number => {
  const norm = (x: Float64Array) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));
  return norm(a.map((x, i) => x - b[i])) / norm(b);
};

export const checkPrior = defineCommand({
  name: 'check-prior',
  description:
    'Compares samples with kernels that the prior was not fitted on: norms, second moments, the maximum mean ' +
    'discrepancy with its p-value by permutations, and how well five nearest neighbours tell the two apart.',
  arguments: { prior: argument('<prior>', 'folder of dwp fit-prior', z.string()) },
  options: {
    kernels: option(
      '--kernels <path>',
      'held-out kernels: a .npy, or a dataset: its test kernels',
      z.string(),
    ),
    count: option('-n, --count <n>', 'most rows on either side', integer(20, 4000).default(500)),
    permutations: option('--permutations <n>', 'of the p-value', integer(19, 10_000).default(199)),
    seed: seedOption,
    ...engineOptions,
  },
  examples: ['dwp check-prior priors/7x7 --kernels kernels-dataset'],
  async run(input): Promise<CheckResult> {
    const { prior } = readPriorFolder(input.prior);
    const { h, w } = prior.size;
    const dataset = readKernelDataset(input.kernels, `${h}x${w}`);
    const held = dataset.test ?? dataset.train;
    if (held.count < 20)
      throw inputError(
        `${input.kernels}: ${held.count} kernels are too few to compare with`,
        'give at least 20',
      );
    const key = seedKey(input.seed);
    const kernels = some(held, input.count, foldIn(key, 'kernels'));
    const n = kernels.count;
    const engine = await openEngine(input);
    const samples: Sample = {
      data: await samplePrior(prior, n, engine, foldIn(key, 'samples')),
      count: n,
    };
    const levels = Object.values(LEVELS);
    const [a, b] = [quantiles(norms(samples), levels), quantiles(norms(kernels), levels)];
    const std = ({ data }: Sample) => Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);
    const d = h * w;
    const half = Math.floor(n / 2);
    const part = (from: number, to: number): Sample => ({
      data: kernels.data.subarray(from * d, to * d),
      count: to - from,
    });
    const train = dataset.test && some(dataset.train, 4000, foldIn(key, 'train'));
    return {
      prior: input.prior,
      n,
      norm: Object.fromEntries(
        Object.keys(LEVELS).map((level, i) => [level, { samples: a[i], kernels: b[i] }]),
      ) as CheckResult['norm'],
      std: { samples: std(samples), kernels: std(kernels) },
      secondMoments: {
        error: distance(secondMoments(samples), secondMoments(kernels)),
        betweenHalves: distance(secondMoments(part(0, half)), secondMoments(part(half, n))),
      },
      ...twoSampleTests(samples, kernels, input.permutations, foldIn(key, 'tests')),
      ...(train && {
        nearestTrain: { samples: nearestDistance(samples, train), kernels: nearestDistance(kernels, train) },
      }),
    };
  },
  render(r) {
    const row = (name: string, { samples, kernels }: Both) => [name, samples.toFixed(3), kernels.toFixed(3)];
    return [
      `${r.n} samples of ${r.prior} beside ${r.n} of the given kernels:`,
      '',
      table(
        ['', 'samples', 'kernels'],
        [
          ...Object.entries(r.norm).map(([level, both]) => row(`norm, ${level}`, both)),
          row('standard deviation', r.std),
          ...(r.nearestTrain ? [row('distance to the nearest train kernel', r.nearestTrain)] : []),
        ],
      ),
      '',
      `Second moments differ by ${(100 * r.secondMoments.error).toFixed(0)} % (two halves of the kernels by ${(100 * r.secondMoments.betweenHalves).toFixed(0)} %).`,
      `Maximum mean discrepancy² ${r.mmd2.toExponential(1)}, p = ${r.pValue.toFixed(3)}; nearest neighbours tell the two apart in ${(100 * r.accuracy).toFixed(1)} % of cases (50 ± ${(100 * r.accuracyStandardError).toFixed(1)} if they were the same).`,
    ].join('\n');
  },
});
