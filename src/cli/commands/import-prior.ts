// dwp import-prior: a prior that was fitted elsewhere, as ONNX graphs, made one of ours.
import { basename } from 'node:path';
import { z } from 'zod';
import { foldIn, seedKey } from '../../engine/index.js';
import { type DensityReport, evaluateDensity } from '../../evaluate/density.js';
import { refuseExisting } from '../../formats/files.js';
import { importPrior } from '../../interchange/import-prior.js';
import { readKernelDataset, sizeText } from '../../kernels/index.js';
import { writePriorFolder } from '../../prior-folders/prior-folder.js';
import { samplePrior } from '../../train/sample-prior.js';
import { argument, defineCommand, integer, option } from '../command.js';
import { engineOptions, openEngine, seedOption } from '../options.js';

/** Of its own samples, where no kernels are given to judge it on. */
const DRAWN = 100;

interface ImportResult {
  out: string;
  size: string;
  graphs: string[];
  weights: number;
  judgedOn: string;
  test: DensityReport;
  licence?: string;
}

export const importPriorCommand = defineCommand({
  name: 'import-prior',
  description:
    'Reads a description and ONNX graphs. The graphs are an encoder and a decoder (normal or t, with a log standard ' +
    'deviation for each pixel), or a log-density and a sampler. docs/interchange.md describes the format; dwp export ' +
    '<prior> --onnx writes an example. The result can be used like any other prior (dwp train --prior-path).',
  arguments: {
    source: argument('<source>', 'folder with kernel-prior.json, or a .json or .yaml file', z.string()),
  },
  options: {
    out: option('--out <dir>', 'prior folder to write; must not exist yet', z.string()),
    kernels: option(
      '--kernels <path>',
      'kernels to judge the prior on: a .npy file, or a dataset, whose test kernels are used',
      z.string().optional(),
      'samples of the prior',
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
    'dwp import-prior vae-of-pytorch/prior.yaml --kernels kernels-dataset --out priors/theirs',
    'dwp train --prior-path priors/theirs-7x7 priors/theirs-5x5 --out runs/theirs',
  ],
  async run(input): Promise<ImportResult> {
    refuseExisting(input.out);
    const { prior, about, sha256 } = importPrior(input.source);
    const size = sizeText(prior.size);
    const engine = await openEngine(input);
    const key = seedKey(input.seed);
    const dataset = input.kernels ? readKernelDataset(input.kernels, size) : undefined;
    const real = dataset && (dataset.test ?? dataset.train);
    const data = real?.data ?? (await samplePrior(prior, DRAWN, engine, foldIn(key, 'samples')));
    const test = await evaluateDensity({
      prior,
      kernels: data,
      samples: input.samples,
      engine,
      key: foldIn(key, 'evaluate'),
    });
    const std = Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);
    const name = about.name ?? basename(input.source);
    writePriorFolder(
      input.out,
      prior,
      {
        source: { name, sha256, train: 0, test: test.n, std },
        seed: input.seed,
        seconds: 0,
        test,
        baselines: {},
      },
      real,
    );
    return {
      out: input.out,
      size,
      graphs: Object.keys(prior.config.graphs as object),
      weights: Object.values(prior.parameters).reduce((sum, { data }) => sum + data.length, 0),
      judgedOn: input.kernels ?? 'its own samples',
      test,
      ...(about.licence && { licence: about.licence }),
    };
  },
  render: ({ out, size, graphs, weights, judgedOn, test, licence }) =>
    [
      `${size} prior of ${graphs.join(', ')}, ${weights} weights${licence ? `, licence ${licence}` : ''}`,
      `${(test.logDensity ?? test.bound)!.toFixed(2)} ± ${test.standardError.toFixed(2)} nats per kernel on ${judgedOn}` +
        (test.bound === undefined
          ? ' (exact)'
          : ` (${test.samples}-sample bound; ELBO ${test.elbo!.toFixed(2)})`),
      `Written to ${out}.`,
    ].join('\n'),
});
