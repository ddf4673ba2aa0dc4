// dwp bounds: how far a trained run's bounds can be from what they bound, from both sides.
import { z } from 'zod';
import { createEngine, foldIn, seedKey } from '../../engine/index.js';
import { DwpError, usageError } from '../../errors.js';
import { refuseExisting, saveFile } from '../../formats/files.js';
import { methodOf, requireFinished } from '../../runs/config.js';
import { readRunConfig } from '../../runs/config-file.js';
import { readProblem } from '../../runs/run.js';
import { type NetworkBounds, networkBounds } from '../../train/network-bounds.js';
import { boundsText, gapSentence, intervalSentence } from '../bounds-text.js';
import { argument, defineCommand, integer, option } from '../command.js';
import { seedOption } from '../options.js';

interface BoundsResult extends NetworkBounds {
  run: string;
  samples: number[];
  seed: number;
  /** Of the posterior; the bounds are those of the last one. */
  components: number;
  html?: string;
}

const componentSentence = ({ components }: Pick<BoundsResult, 'components'>): string[] =>
  components === 1
    ? []
    : [`The posterior is a mixture of ${components}; these are the bounds of its last component.`];

/** `1,10,100`, `1 10 100`, or numbers of a configuration file. */
const numbers = z.preprocess(
  (value) => [value].flat().flatMap((item) => (typeof item === 'string' ? item.split(',') : item)),
  z
    .array(integer(1, 100_000))
    .min(1)
    .max(12, 'must be at most 12 numbers')
    .transform((all) => [...new Set(all)].sort((a, b) => a - b)),
);

export const bounds = defineCommand({
  name: 'bounds',
  description:
    'Bounds E_q log p(w) and E_q log q(w) of every layer from below and from above, and from these KL(q‖p) and the ' +
    'evidence bound at T = 1. The bounds become tighter with more samples K. If the posterior is a mixture, the bounds ' +
    'are those of its last component. The time is proportional to --draws times the largest K.',
  arguments: { run: argument('<run>', 'folder of dwp train', z.string()) },
  options: {
    samples: option(
      '--samples <K...>',
      'numbers of samples K, such as 1,10,100,1000',
      numbers.default([1, 10, 100, 1000]),
    ),
    draws: option(
      '--draws <M>',
      'number of draws of the weights; standard errors are computed from them',
      integer(2, 10_000).default(5),
    ),
    html: option(
      '--html <report.html>',
      'HTML page with figures of the bounds to write; must not exist yet',
      z.string().optional(),
    ),
    seed: seedOption,
  },
  examples: [
    'dwp bounds runs/dwp-100',
    'dwp bounds runs/dwp-100 --samples 1,10,100 --draws 10 --html bounds.html',
    'dwp bounds runs/dwp-100 --samples 5000 --draws 2 --format json',
  ],
  async run({ run, samples, draws, html, seed }, effects): Promise<BoundsResult> {
    if (html !== undefined) refuseExisting(html);
    const config = readRunConfig(run);
    const problem = readProblem(run, config);
    const { model, train, statistics } = problem;
    if (!model.posterior.kernels)
      throw usageError(
        `${run} was trained with --method ${config.method}: there is no density of its weights, and so no bound`,
        'use a run of --method variational',
      );
    requireFinished(run, config);
    const networks = methodOf(config).networks(run, config, model);
    const engine = await createEngine(config.engine, config.threads, config.device);
    const key = foldIn(seedKey(seed), 'bounds');
    let open: { phase: string; bar: ReturnType<typeof effects.progress> } | undefined;
    try {
      const result = await networkBounds(
        {
          model,
          images: train.images,
          rows: train.rows,
          parameters: networks.at(-1)!,
          statistics,
          samples,
          draws,
          engine,
          key,
        },
        (phase, done, total) => {
          if (effects.signal.aborted) throw new DwpError('INTERRUPTED', 'interrupted', 'nothing was written');
          if (open?.phase !== phase) {
            open?.bar.stop();
            open = { phase, bar: effects.progress(phase, total) };
          }
          open.bar.update(done);
        },
      );
      const whole = { run, samples, seed, components: networks.length, ...result };
      if (html === undefined) return whole;
      const { renderBoundsReport } = await import('../../report/bounds-report.js');
      saveFile(
        html,
        renderBoundsReport({
          ...whole,
          title: `Bounds of ${run}`,
          generated: new Date().toISOString(),
          command: `dwp bounds ${run} --samples ${samples.join(',')} --draws ${draws} --seed ${seed} --html ${html}`,
          sentences: [...componentSentence(whole), gapSentence(result), intervalSentence(result)],
        }),
      );
      return { ...whole, html };
    } finally {
      open?.bar.stop();
    }
  },
  render: (result) =>
    [
      ...componentSentence(result),
      boundsText(result),
      ...(result.html === undefined ? [] : [`report written to ${result.html}`]),
    ].join('\n\n'),
});
