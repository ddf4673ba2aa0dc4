// dwp eval-images: the bounds of a fitted VAE of images once more: more samples, more images, another p(z).
import { z } from 'zod';
import { firstImages, gatherImages, loadDataset } from '../../data/index.js';
import { f32, foldIn, RandomStream, seedKey } from '../../engine/index.js';
import { usageError } from '../../errors.js';
import { judgeImages } from '../../evaluate/judge-images.js';
import { readImageFolder } from '../../prior-folders/image-folder.js';
import { imageVae, imageVaeConfig } from '../../priors/image-vae.js';
import { POINTS } from '../../priors/latent/encoded.js';
import { argument, defineCommand, integer, option } from '../command.js';
import { engineOptions, openEngine, seedOption } from '../options.js';
import { boundTable, imageDataOptions, judgeOptions } from './fit-images.js';

export const evalImages = defineCommand({
  name: 'eval-images',
  description:
    'With the seed of dwp fit-images, the binary test images are the same as there. --points shows how the bound ' +
    'depends on the number of training images in an aggregated posterior.',
  arguments: { vae: argument('<vae>', 'folder of dwp fit-images', z.string()) },
  options: {
    points: option(
      '--points <K>',
      'with an aggregate latent prior: number of training images that make p(z), drawn by --seed',
      integer(1, 1_000_000).optional(),
      'the images that the fit kept',
    ),
    ...imageDataOptions,
    ...judgeOptions,
    seed: seedOption,
    ...engineOptions,
  },
  examples: [
    'dwp eval-images runs/vamp --sampled-images 10000',
    'dwp eval-images runs/aggregate --points 500 --format json',
  ],
  async run(input, effects) {
    const { train, test: all } = loadDataset(input.data, input.dataDir);
    const test = firstImages(all, input.testImages);
    const size = { h: test.height, w: test.width };
    let vae = readImageFolder(input.vae, size);
    const key = seedKey(input.seed);
    if (input.points !== undefined) {
      if (vae.config.latentPrior !== 'aggregate')
        throw usageError(
          `${input.vae} has a ${vae.config.latentPrior} latent prior, which is not made of training images`,
          'leave out --points',
        );
      const rows = new RandomStream(foldIn(key, 'points')).permutation(train.count).subarray(0, input.points);
      const points = f32([rows.length, size.h * size.w]);
      gatherImages(train, rows, points.data);
      vae = imageVae.prior(size, imageVaeConfig.parse(vae.config), { ...vae.parameters, [POINTS]: points });
    }
    const engine = await openEngine(input);
    const report = await judgeImages(
      { ...input, vae, test, engine, key: foldIn(key, 'test') },
      (samples, images) => effects.progress(`bound of ${samples} samples`, images),
    );
    const points: number | undefined = vae.parameters[POINTS]?.shape[0];
    return { vae: input.vae, ...(points !== undefined && { points }), test: report };
  },
  render: ({ vae, points, test }) =>
    [
      `${vae}${points === undefined ? '' : `, p(z) a mixture of ${points} normals`}; nats per image on ${test.images} test images, higher is better:`,
      '',
      boundTable(test),
    ].join('\n'),
});
