// dwp sample-prior: kernels drawn from a fitted prior, as numbers and as a picture.
import { z } from 'zod';
import { StepError, seedKey } from '../../engine/index.js';
import { DwpError, inputError } from '../../errors.js';
import { startFileWork } from '../../formats/file-work.js';
import { refuseExisting, saveFile } from '../../formats/files.js';
import { NpyWriter } from '../../formats/npy-writer.js';
import { wholeFile } from '../../formats/whole-file.js';
import { sizeText, UNIT_NAMES } from '../../kernels/index.js';
import { readPriorFolder } from '../../prior-folders/prior-folder.js';
import { kernelGridPng } from '../../report/figures/kernel-grid.js';
import { sampleBlocks } from '../../train/sample-prior.js';
import { argument, defineCommand, integer, option } from '../command.js';
import { engineOptions, openEngine, seedOption } from '../options.js';

const notFinite = (prior: string, cause?: Error) =>
  inputError(`${prior}: its samples are not finite`, 'fit the prior again', cause);

/** Kernels in the picture. */
const PICTURED = 256;

/** Mean and standard deviation of values that come in blocks, as exact as those of all at once. */
class Moments {
  private count = 0;
  mean = 0;
  private squares = 0; // Σ (x − mean)²

  add(block: Float32Array): void {
    const mean = block.reduce((sum, x) => sum + x, 0) / block.length;
    const squares = block.reduce((sum, x) => sum + (x - mean) ** 2, 0);
    const total = this.count + block.length;
    this.squares += squares + ((mean - this.mean) ** 2 * this.count * block.length) / total;
    this.mean += ((mean - this.mean) * block.length) / total;
    this.count = total;
  }

  get std(): number {
    return Math.sqrt(this.squares / this.count);
  }
}

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
  async run(input, effects) {
    refuseExisting(input.out);
    if (input.png) refuseExisting(input.png);
    const { prior, about } = readPriorFolder(input.prior);
    const { h, w, channels } = prior.size;
    const engine = await openEngine(input);
    const shape = channels ? [input.count, channels, h, w] : [input.count, h, w];
    const moments = new Moments();
    const d = h * w * (channels ?? 1);
    const pictured = new Float32Array(Math.min(PICTURED, input.count) * d);
    const progress = effects.progress(`sampling ${sizeText(prior.size)} kernels`, input.count);
    await wholeFile(input.out, async (path) => {
      const writer = new NpyWriter(path, shape, startFileWork(false));
      let values = 0;
      const key = seedKey(input.seed);
      for await (const block of sampleBlocks(prior, input.count, engine, key, input.denoised)) {
        if (effects.signal.aborted)
          throw new DwpError('INTERRUPTED', 'interrupted while sampling', 'nothing was written');
        if (!block.every(Number.isFinite)) throw notFinite(input.prior);
        moments.add(block);
        if (values < pictured.length) pictured.set(block.subarray(0, pictured.length - values), values);
        writer.write(block, 0, block.length);
        values += block.length;
        progress.update(values / d);
      }
      await writer.finish();
    })
      .catch((error) => {
        throw error instanceof StepError ? notFinite(input.prior, error) : error;
      })
      .finally(() => progress.stop());
    if (input.png)
      saveFile(input.png, kernelGridPng(pictured, pictured.length / d, h, w, { scale: 8, channels }));
    const { mean, std } = moments;
    return {
      n: input.count,
      size: sizeText(prior.size),
      ...(about.units && { units: about.units }),
      mean,
      std,
      out: input.out,
      ...(input.png && { png: input.png }),
    };
  },
  render: ({ n, size, units, mean, std, out, png }) =>
    `${n} kernels of ${size}${units ? `, divided by ${UNIT_NAMES[units]}` : ''}, mean ${mean.toFixed(4)}, standard deviation ${std.toFixed(4)}, written to ${out}${png ? `; picture in ${png}` : ''}`,
});
