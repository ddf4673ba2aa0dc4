// dwp sample-prior: kernels drawn from a fitted prior, as numbers and as a picture.
import { z } from 'zod';
import { seedKey } from '../../engine/index.js';
import { inputError } from '../../errors.js';
import { refuseExisting, saveFile, saveResult } from '../../formats/files.js';
import { writeNpy } from '../../formats/npy.js';
import { sizeText } from '../../prior-folders/choose-prior.js';
import { readPriorFolder } from '../../prior-folders/prior-folder.js';
import { kernelGridPng } from '../../report/figures/kernel-grid.js';
import { samplePrior } from '../../train/sample-prior.js';
import { argument, defineCommand, integer, option } from '../command.js';
import { engineOptions, openEngine, seedOption } from '../options.js';

export const samplePriorCommand = defineCommand({
  name: 'sample-prior',
  arguments: { prior: argument('<prior>', 'folder of dwp fit-prior', z.string()) },
  options: {
    count: option('-n, --count <n>', 'number of kernels to draw', integer(1, 10_000_000).default(64)),
    out: option(
      '--out <file.npy>',
      'file to write, float32 [n, h, w] or, for whole filters, [n, c, h, w]; must not exist yet',
      z.string(),
    ),
    png: option(
      '--png <file.png>',
      'picture of the first 256 kernels to write; filters of three channels are shown in colour',
      z.string().optional(),
    ),
    denoised: option(
      '--denoised',
      'write the means of p(w|z) instead of samples',
      z.boolean().default(false),
    ),
    seed: seedOption,
    ...engineOptions,
  },
  examples: ['dwp sample-prior priors/7x7 -n 64 --out samples.npy --png samples.png'],
  async run(input) {
    refuseExisting(input.out);
    if (input.png) refuseExisting(input.png);
    const { prior } = readPriorFolder(input.prior);
    const { h, w, channels } = prior.size;
    const engine = await openEngine(input);
    const data = await samplePrior(prior, input.count, engine, seedKey(input.seed), input.denoised);
    if (!data.every(Number.isFinite))
      throw inputError(`${input.prior}: its samples are not finite`, 'fit the prior again');
    const mean = data.reduce((a, b) => a + b, 0) / data.length;
    const std = Math.sqrt(data.reduce((a, b) => a + (b - mean) ** 2, 0) / data.length);
    saveResult(input.out, (path) =>
      writeNpy(path, { data, shape: channels ? [input.count, channels, h, w] : [input.count, h, w] }),
    );
    if (input.png)
      saveFile(input.png, kernelGridPng(data, Math.min(256, input.count), h, w, { scale: 8, channels }));
    return {
      n: input.count,
      size: sizeText(prior.size),
      mean,
      std,
      out: input.out,
      ...(input.png && { png: input.png }),
    };
  },
  render: ({ n, size, mean, std, out, png }) =>
    `${n} kernels of ${size}, mean ${mean.toFixed(4)}, standard deviation ${std.toFixed(4)}, written to ${out}${png ? `; picture in ${png}` : ''}`,
});
