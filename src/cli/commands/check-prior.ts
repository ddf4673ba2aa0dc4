// dwp check-prior: whether a prior's samples look like kernels that it has not seen.
import { z } from 'zod';
import { foldIn, type Key, RandomStream, seedKey } from '../../engine/index.js';
import { DwpError, inputError } from '../../errors.js';
import { checkSamples } from '../../evaluate/sample-check.js';
import type { Sample } from '../../evaluate/sample-statistics.js';
import { refuseExisting, saveFile } from '../../formats/files.js';
import { networksOfRows, readKernelDataset, sizeText } from '../../kernels/index.js';
import { type HeldOut, heldOutOf, heldOutWarning } from '../../prior-folders/held-out.js';
import { readPriorFolder } from '../../prior-folders/prior-folder.js';
import { samplePrior } from '../../train/sample-prior.js';
import { type CheckSummary, checkRows, checkSentence, memorySentence, summaryOf } from '../check-text.js';
import { argument, defineCommand, integer, option } from '../command.js';
import { engineOptions, openEngine, seedOption } from '../options.js';
import { componentsOf, latentOf, neighboursOf } from '../prior-page.js';
import { table } from '../table.js';

interface CheckResult extends CheckSummary {
  prior: string;
  family: string;
  size: string;
  /** Where the kernels come from, and whether the prior was fitted on them. */
  kernels: { path: string } & Pick<HeldOut, 'from' | 'seen'>;
  sentence: string;
  warning?: string;
  seed: number;
  html?: string;
}

/** Train kernels that nearest distances are taken to. */
const MOST_TRAIN = 4000;

const some = ({ data, count }: Sample, n: number, key: Key): Sample & { rows: Int32Array } => {
  const d = data.length / count;
  const rows = new RandomStream(key).permutation(count).subarray(0, n);
  const out = new Float32Array(rows.length * d);
  rows.forEach((row, i) => {
    out.set(data.subarray(row * d, (row + 1) * d), i * d);
  });
  return { data: out, count: rows.length, rows };
};

export const checkPrior = defineCommand({
  name: 'check-prior',
  description:
    'Compares samples of the prior with kernels that it was not fitted on. Seven tests are made: norms, correlation of ' +
    'neighbours, power spectrum, covariance, maximum mean discrepancy, and two classifiers. Distances to train kernels ' +
    'are shown, too. Each figure is shown with its chance value, from halves of the kernels or random relabellings. If ' +
    '--kernels is the file that the prior was fitted on, the kernels that the fit held out are used.',
  arguments: { prior: argument('<prior>', 'folder of dwp fit-prior', z.string()) },
  options: {
    kernels: option(
      '--kernels <path>',
      'held-out kernels: a .npy file, or a dataset, whose test kernels are used',
      z.string(),
    ),
    count: option(
      '-n, --count <n>',
      'largest number of samples and of kernels to compare',
      integer(20, 4000).default(500),
    ),
    permutations: option(
      '--permutations <n>',
      'number of random permutations for the p-values',
      integer(19, 10_000).default(199),
    ),
    html: option(
      '--html <report.html>',
      'HTML page to write, with figures, nearest kernels, a map of the latent variable of a VAE to move through, and the components of a mixture; must not exist yet',
      z.string().optional(),
    ),
    seed: seedOption,
    ...engineOptions,
  },
  examples: [
    'dwp check-prior priors/7x7 --kernels kernels-dataset',
    'dwp check-prior priors/7x7 --kernels kernels-dataset -n 2000 --html check.html',
  ],
  async run(input, effects): Promise<CheckResult> {
    if (input.html !== undefined) refuseExisting(input.html);
    const { prior, about } = readPriorFolder(input.prior);
    const size = sizeText(prior.size);
    const held = heldOutOf(readKernelDataset(input.kernels, size, { units: about.units }), about);
    if (held.kernels.count < 20)
      throw inputError(
        `${input.kernels}: ${held.kernels.count} kernels are too few to compare with`,
        'give at least 20',
      );
    const warning = heldOutWarning(held, input.kernels);
    if (warning) effects.warn(warning);
    const key = seedKey(input.seed);
    const kernels = some(held.kernels, input.count, foldIn(key, 'kernels'));
    const engine = await openEngine(input);
    const samples: Sample = {
      data: await samplePrior(prior, kernels.count, engine, foldIn(key, 'samples')),
      count: kernels.count,
    };
    if (!samples.data.every(Number.isFinite))
      throw inputError(`${input.prior}: some of its samples are not finite`, 'fit the prior again');
    const train = held.train && some(held.train, MOST_TRAIN, foldIn(key, 'train'));
    const progress = effects.progress('comparing', 1);
    await new Promise((resolve) => setImmediate(resolve));
    if (effects.signal.aborted) throw new DwpError('INTERRUPTED', 'interrupted', 'nothing was written');
    const check = checkSamples({
      samples,
      kernels,
      train,
      size: prior.size,
      permutations: input.permutations,
      key: foldIn(key, 'tests'),
    });
    progress.stop();
    const summary = summaryOf(check);
    const result: CheckResult = {
      prior: input.prior,
      family: prior.family,
      size,
      kernels: { path: input.kernels, from: held.from, seen: held.seen },
      sentence: checkSentence(summary, held.seen),
      ...(warning && { warning }),
      ...summary,
      seed: input.seed,
    };
    if (input.html === undefined) return result;
    const { renderCheckReport } = await import('../../report/check-report.js');
    const { count, permutations, seed } = input;
    const all = held.from === 'test split' ? networksOfRows(input.kernels, size, 'test') : undefined;
    const networks = all && Array.from(kernels.rows, (row) => all[row]);
    saveFile(
      input.html,
      renderCheckReport({
        title: `Samples of ${input.prior}`,
        generated: new Date().toISOString(),
        command: `dwp check-prior ${input.prior} --kernels ${input.kernels} --count ${count} --permutations ${permutations} --seed ${seed} --html ${input.html}`,
        about: `${prior.family} · ${size} · ${kernels.count} samples beside ${kernels.count} kernels of ${input.kernels} (${held.from})`,
        sentences: [result.sentence, ...memorySentence(summary)],
        warning,
        ...prior.size,
        pictures: { samples: [...samples.data], kernels: [...kernels.data] },
        neighbours: { ...neighboursOf(samples, train ?? kernels), of: train ? 'train' : 'held-out' },
        latent: await latentOf(prior, kernels, networks, engine),
        components: componentsOf(prior, foldIn(key, 'components')),
        rows: checkRows(summary),
        check,
      }),
    );
    return { ...result, html: input.html };
  },
  render: (r) =>
    [
      ...(r.warning ? [`Note: ${r.warning}.`, ''] : []),
      `${r.n} samples of ${r.prior} (${r.family}, ${r.size}) beside ${r.n} kernels of ${r.kernels.path} (${r.kernels.from}):`,
      '',
      table(['', 'samples', 'kernels', 'difference', 'if alike', 'p'], checkRows(r)),
      '',
      r.sentence,
      ...memorySentence(r),
      ...(r.html === undefined ? [] : [`report written to ${r.html}`]),
    ].join('\n'),
});
