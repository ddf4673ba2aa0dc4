// dwp toy: every estimator on posteriors that are known, side by side.
import { z } from 'zod';
import { foldIn, seedKey } from '../../engine/index.js';
import { estimators } from '../../estimators/index.js';
import { refuseExisting, saveFile } from '../../formats/files.js';
import { columnsOf, referenceLine } from '../../toy/columns.js';
import { type CompareOptions, compareOn, type TargetResult, unitsOf } from '../../toy/compare.js';
import { defaultFit } from '../../toy/fit.js';
import { type Picture, pictureOf } from '../../toy/pictures.js';
import { conclusion, summaryOf, type TargetSummary } from '../../toy/summary.js';
import { targets } from '../../toy/targets/index.js';
import { argument, defineCommand, integer, list, option, real } from '../command.js';
import { engineOptions, openEngine, seedOption } from '../options.js';
import { table } from '../table.js';

const NAMES = { targets: targets.map(({ name }) => name), methods: estimators.map(({ name }) => name) };
/** Not by default: (5) with draws of q(ζ) is the auxiliary network's at its worst, and takes as long. */
const LEFT_OUT = NAMES.methods.filter((name) => name.startsWith('sivi'));
const JUDGED = 10_000;
const QUICK = { seeds: 2, steps: 40, judged: 500, targets: ['banana'], methods: NAMES.methods };

export interface ToyResult {
  seed: number;
  options: CompareOptions;
  targets: TargetSummary[];
  sentences: string[];
  seconds: number;
  report?: string;
}

export const toy = defineCommand({
  name: 'toy',
  description:
    'Fits a posterior to known densities with every estimator of E_q log q, and compares it with long chains of ' +
    `Hamiltonian Monte Carlo.\n\nTargets: ${targets.map(({ name, summary }) => `${name} (${summary})`).join('; ')}.\n\n` +
    `Methods: ${estimators.map(({ name, summary }) => `${name} (${summary})`).join('; ')}.`,
  arguments: {
    targets: argument(
      '[targets...]',
      'densities to fit (default: all)',
      list(z.enum(NAMES.targets)).default([]),
    ),
  },
  options: {
    methods: option(
      '--methods <names...>',
      'estimators to test',
      list(z.enum(NAMES.methods)).default(NAMES.methods.filter((name) => !LEFT_OUT.includes(name))),
      `all but ${LEFT_OUT.join(', ')}`,
    ),
    seeds: option('--seeds <n>', 'number of fits of each method on each target', integer(1, 100).default(3)),
    steps: option('--steps <n>', 'number of steps of Adam', integer(10, 1_000_000).default(defaultFit.steps)),
    draws: option(
      '--draws <n>',
      'number of draws of q in each step',
      integer(8, 1_000).default(defaultFit.draws),
    ),
    learningRate: option(
      '--learning-rate <x>',
      'learning rate of Adam; it falls linearly to 0 in the second half',
      real(1e-6, 1).default(defaultFit.learningRate),
    ),
    quick: option(
      '--quick',
      'test the program itself: one target, and two short fits of each method',
      z.boolean().default(false),
    ),
    html: option(
      '--html <file>',
      'HTML page with figures to write; must not exist yet',
      z.string().optional(),
    ),
    seed: seedOption,
    ...engineOptions,
    threads: option(
      '--threads <n>',
      'number of threads of the native engine; 0 means one per core; more than 1 is seldom faster for these small graphs',
      integer(0, 256).default(1),
    ),
  },
  examples: [
    'dwp toy --html toy.html',
    'dwp toy banana ring --methods hvi multisample-10 uivi',
    'dwp toy --quick --format json',
  ],
  async run(input, effects): Promise<ToyResult> {
    if (input.html) refuseExisting(input.html);
    const began = performance.now();
    const options: CompareOptions = { ...input, judged: JUDGED, ...(input.quick && QUICK) };
    const named = input.targets.length > 0 ? input.targets : input.quick ? QUICK.targets : NAMES.targets;
    const chosen = targets.filter(({ name }) => named.includes(name));
    const methods = estimators.filter(({ name }) => input.methods.includes(name));
    const engine = await openEngine(input);
    const progress = effects.progress('fits', chosen.length * unitsOf(methods, options));
    const results: TargetResult[] = [];
    let finished = 0;
    try {
      for (const target of chosen)
        results.push(
          await compareOn(target, methods, options, engine, foldIn(seedKey(input.seed), 'toy'), {
            signal: effects.signal,
            done: (what) => progress.update(++finished, what),
          }),
        );
    } finally {
      progress.stop();
    }
    const summaries = results.map(summaryOf);
    const { seeds, steps, draws, learningRate, judged } = options;
    const sentences = summaries.map(conclusion);
    if (input.html) {
      const { renderToyReport } = await import('../../report/toy-report.js');
      const pictures: Picture[] = [];
      for (const result of results) pictures.push(await pictureOf(result, engine));
      saveFile(
        input.html,
        renderToyReport({
          title: 'Estimators of a posterior, side by side',
          generated: new Date().toISOString(),
          command: commandOf(input),
          sentences,
          targets: summaries.map((summary, i) => ({ ...summary, picture: pictures[i] })),
          seeds,
        }),
      );
    }
    return {
      seed: input.seed,
      options: { seeds, steps, draws, learningRate, judged },
      targets: summaries,
      sentences,
      ...(input.html && { report: input.html }),
      seconds: (performance.now() - began) / 1000,
    };
  },
  render: renderToy,
});

const commandOf = (input: {
  targets: readonly string[];
  methods: readonly string[];
  seeds: number;
  steps: number;
  draws: number;
  learningRate: number;
  quick: boolean;
  seed: number;
  html?: string;
}): string =>
  [
    'dwp toy',
    ...input.targets,
    `--methods ${input.methods.join(' ')}`,
    input.quick
      ? '--quick'
      : `--seeds ${input.seeds} --steps ${input.steps} --draws ${input.draws} --learning-rate ${input.learningRate}`,
    `--seed ${input.seed} --html ${input.html}`,
  ].join(' ');

function renderToy({ targets, sentences, seconds, report, options }: ToyResult): string {
  return [
    ...targets.flatMap((target) => [
      `${target.name}: ${target.summary}`,
      referenceLine(target),
      table(
        ['method', ...columnsOf(target).map(([title]) => title)],
        target.methods.map((method) => [method.method, ...columnsOf(target).map(([, cell]) => cell(method))]),
      ),
      '',
    ]),
    `mean ± standard deviation over ${options.seeds} seeds; KL in nats; hmc: other chains of the same length`,
    ...sentences,
    ...(report ? [`Report: ${report}`] : []),
    `(${Math.round(seconds)} s)`,
  ].join('\n');
}
