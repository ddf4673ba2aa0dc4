// dwp fit-images: a VAE of binary images with a latent prior of choice, judged by K-sample bounds.
import { z } from 'zod';
import { firstImages, gatherImages, labelWarnings, loadDataset } from '../../data/index.js';
import { foldIn, seedKey } from '../../engine/index.js';
import { DwpError, inputError, usageError } from '../../errors.js';
import { FEW, type ImageReport, judgeImages } from '../../evaluate/judge-images.js';
import { refuseExisting } from '../../formats/files.js';
import { whileClaimed } from '../../formats/locks.js';
import { removeLeftovers } from '../../formats/temporary.js';
import {
  hasImageFit,
  readImageFit,
  removeImageFit,
  writeImageFit,
  writeImageFolder,
} from '../../prior-folders/image-folder.js';
import { imageVae, imageVaeConfig } from '../../priors/image-vae.js';
import { LATENT_PRIORS, latentPriors } from '../../priors/latent/index.js';
import { kernelGridPng } from '../../report/figures/kernel-grid.js';
import { fitPrior } from '../../train/fit-prior.js';
import { sampleImages } from '../../train/sample-images.js';
import { defineCommand, integer, option, real } from '../command.js';
import type { Effects } from '../effects.js';
import { type EngineInput, engineOptions, openEngine, seedOption } from '../options.js';
import { table } from '../table.js';

/** Images that decide which epoch's parameters are kept. */
const VALIDATION = 1000;
const DRAWN = 100;

export const imageDataOptions = {
  data: option(
    '--data <name>',
    'dataset: mnist, fashion-mnist, or any name together with --data-dir',
    z.string().default('mnist'),
  ),
  dataDir: option(
    '--data-dir <dir>',
    'folder with the four IDX files of a dataset',
    z.string().optional(),
    'the folder of the dataset',
  ),
};

export const judgeOptions = {
  testImages: option('--test-images <n>', 'use only the first n test images', integer(2).optional(), 'all'),
  samples: option(
    '--samples <K>',
    'number of samples of the bound at the end',
    integer(1, 1_000_000).default(5000),
  ),
  sampledImages: option(
    '--sampled-images <n>',
    `number of test images, chosen at random, whose bound has --samples; all test images have a bound of ${FEW} samples`,
    integer(2).default(500),
  ),
};

/** What decides the result. */
const fitOptions = {
  latentPrior: option(
    '--latent-prior <name>',
    `latent prior p(z): ${Object.values(latentPriors)
      .map(({ name, summary }) => `${name} (${summary})`)
      .join(', ')}`,
    z.enum(LATENT_PRIORS).default('standard'),
  ),
  components: option(
    '--components <K>',
    'number of normals in p(z): pseudo-inputs of vamp, or training images in each step of aggregate',
    integer(1, 50_000).default(500),
  ),
  latent: option('--latent <n>', 'dimension of the latent variable z', integer(1, 256).default(40)),
  hidden: option('--hidden <n>', 'number of gated units in each hidden layer', integer(1, 4096).default(300)),
  ...imageDataOptions,
  epochs: option(
    '--epochs <n>',
    'number of passes over the training images',
    integer(1, 100_000).default(30),
  ),
  batch: option('--batch <n>', 'number of images in each step', integer(1, 100_000).default(250)),
  learningRate: option('--learning-rate <x>', 'learning rate of Adam', real(1e-9, 10).default(2e-3)),
  trainImages: option(
    '--train-images <n>',
    'use only the first n training images',
    integer(20).optional(),
    'all',
  ),
  ...judgeOptions,
  seed: seedOption,
};
const fitInput = z.object(
  Object.fromEntries(Object.entries(fitOptions).map(([name, { schema }]) => [name, schema])) as {
    [K in keyof typeof fitOptions]: (typeof fitOptions)[K]['schema'];
  },
);

export const fitImages = defineCommand({
  name: 'fit-images',
  description:
    'Training images are binarised again in every step, and test images once, by --seed. The epoch that is best on ' +
    'held-out training images is kept; test images are used once, at the end. The command writes result.json, ' +
    'weights.safetensors and samples.png. An interrupted fit can be resumed after its last epoch, with the same results.',
  arguments: {},
  options: {
    out: option(
      '--out <dir>',
      'folder to write; must not exist yet (required without --resume)',
      z.string().optional(),
    ),
    resume: option(
      '--resume <dir>',
      'folder of an interrupted fit to continue, with the options that it was started with',
      z.string().optional(),
    ),
    ...fitOptions,
    ...engineOptions,
  },
  examples: [
    'dwp fit-images --latent-prior vamp --out runs/vamp',
    'dwp fit-images --latent-prior aggregate --components 2000 --epochs 200 --out runs/aggregate --format json',
    'dwp fit-images --resume runs/aggregate',
    'dwp fit-images --epochs 1 --train-images 2000 --samples 100 --test-images 100 --out runs/quick',
  ],
  async run({ out: given, resume, ...options }, effects) {
    const out = resume ?? given;
    if (out === undefined) throw usageError('--out is required', 'name a folder for the fit');
    if (resume === undefined) refuseExisting(out);
    else readImageFit(resume); // or there is nothing to go on with
    return whileClaimed(out, () => fitVae(out, resume !== undefined, options, effects), effects.warn);
  },
  render: ({ out, config, train, bestEpoch, test }) =>
    [
      `VAE with ${config.latentPrior} latent prior, ${train.epochs} epochs of ${train.images} images in ${train.seconds.toFixed(0)} s (best after ${bestEpoch}); nats per image on ${test.images} test images, higher is better:`,
      '',
      boundTable(test),
      '',
      `Written to ${out}; samples.png shows ${DRAWN} draws.`,
    ].join('\n'),
});

/** @param options of the fit and of the engine; of a resumed fit those of the engine count */
async function fitVae(out: string, resumed: boolean, options: EngineInput, effects: Effects) {
  const interrupted = resumed ? readImageFit(out) : undefined;
  if (resumed) removeLeftovers(out, () => true);
  else refuseExisting(out);
  const parsed = fitInput.safeParse(interrupted ? interrupted.input : options);
  if (!parsed.success)
    throw inputError(`${out}: the options of the fit are damaged`, 'start the fit again', parsed.error);
  const input = parsed.data;
  const config = imageVaeConfig.parse(input);
  const dataset = loadDataset(input.data, input.dataDir);
  const train = firstImages(dataset.train, input.trainImages);
  const test = firstImages(dataset.test, input.testImages);
  if (train.channels !== 1)
    throw usageError(`${input.data} has ${train.channels} channels`, 'binary images have one');
  for (const line of labelWarnings(dataset.train)) effects.warn(line);
  const validationFraction = Math.min(VALIDATION / train.count, 0.1);
  const key = seedKey(input.seed);
  const engine = await openEngine(options);

  const [h, w, count] = [train.height, train.width, train.count];
  const trained = count - Math.max(1, Math.round(count * validationFraction));
  const perEpoch = Math.ceil(trained / Math.min(input.batch, trained));
  const { epochs, batch, learningRate } = input;
  const steps = epochs * perEpoch;
  const progress = effects.progress(`VAE with ${config.latentPrior} prior, ${epochs} epochs`, steps);
  const began = Date.now();
  const { prior, report } = await fitPrior(
    {
      family: imageVae,
      kernels: { h, w, count, data: gatherImages(train, rowNumbers(count), new Float32Array(count * h * w)) },
      config,
      options: { steps, batch, learningRate, validationFraction, patience: epochs, validateEvery: perEpoch },
      engine,
      key: foldIn(key, 'fit'),
    },
    {
      signal: effects.signal,
      progress: (step, _, detail) => progress.update(step, detail),
      resume: interrupted?.state,
      save: (state) => writeImageFit(out, input, state),
    },
  )
    .catch((error) => {
      if (!(error instanceof DwpError && error.code === 'INTERRUPTED' && hasImageFit(out))) throw error;
      throw new DwpError('INTERRUPTED', error.message, `go on with: dwp fit-images --resume ${out}`);
    })
    .finally(() => progress.stop());
  const seconds = (Date.now() - began) / 1000;

  const result = {
    out,
    config,
    seed: input.seed,
    train: { images: trained, validation: count - trained, epochs, batch, learningRate, steps, seconds },
    bestEpoch: report!.bestStep / perEpoch,
    test: await judgeImages(
      { ...input, vae: prior, test, engine, key: foldIn(key, 'test') },
      (samples, images) => effects.progress(`bound of ${samples} samples`, images),
    ),
    trace: report!.trace.map(({ step, ...bounds }) => ({ epoch: step / perEpoch, ...bounds })),
  };
  const drawn = (await sampleImages(prior, DRAWN, engine, foldIn(key, 'draw'))).map((p) => 2 * p - 1);
  const png = kernelGridPng(drawn, DRAWN, h, w, { normalise: 'grid', scale: 2 });
  writeImageFolder(out, prior, result, png);
  removeImageFit(out);
  return result;
}

export const boundTable = ({ elbo, few, bound }: ImageReport): string =>
  table(
    ['bound of log p(x)', 'nats', ''],
    [
      ['ELBO', elbo.toFixed(2), ''],
      [`K = ${few.samples}`, few.mean.toFixed(2), ''],
      [
        `K = ${bound.samples}`,
        bound.mean.toFixed(2),
        `± ${bound.standardError.toFixed(2)}, of ${bound.images} images`,
      ],
    ],
  );

const rowNumbers = (n: number) => Int32Array.from({ length: n }, (_, i) => i);
