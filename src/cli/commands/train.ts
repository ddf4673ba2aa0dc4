// dwp train: a CNN from few examples, with what other networks' kernels know.

import { resolve } from 'node:path';
import { z } from 'zod';
import { usageError } from '../../errors.js';
import type { ChainReport } from '../../methods/chain-report.js';
import { methods } from '../../methods/index.js';
import { isShipped } from '../../prior-folders/shipped.js';
import { isNetworkFile } from '../../problems/network-file.js';
import { flagOf, GROUPS, type OptionGroup, shownOf } from '../../problems/option.js';
import { parseRunConfig, runOptions } from '../../runs/config.js';
import { settingsOfFile } from '../../runs/config-file.js';
import { resumeRun, startRun } from '../../runs/run.js';
import type { RunSummary } from '../../runs/summary.js';
import { defineCommand, type OptionDefinition, option } from '../command.js';
import type { Effects } from '../effects.js';
import { table } from '../table.js';

/** Headings of options that one method alone has, below the heading of all methods. */
const headingOf = (group: OptionGroup, users: readonly string[]): string =>
  group === 'method' && users.length === 1 ? `Method ${users[0]}` : group[0].toUpperCase() + group.slice(1);

const HEADINGS = ['Method', ...[...methods.keys()].map((name) => `Method ${name}`)];

/** The options of all methods; whether the run's method has them is seen when all of them are known. */
const configOptions: Record<string, OptionDefinition> = Object.fromEntries(
  Object.entries(runOptions())
    .map(([key, schema]) => {
      const { group, value, description, rare } = shownOf(schema);
      const users = [...methods.values()].filter(({ options }) => key in options).map(({ name }) => name);
      const heading = headingOf(group, users);
      return { key, schema, group, heading, flags: `${flagOf(key)} ${value}`, description, rare };
    })
    .sort(
      (one, other) =>
        GROUPS.indexOf(one.group) - GROUPS.indexOf(other.group) ||
        HEADINGS.indexOf(one.heading) - HEADINGS.indexOf(other.heading),
    )
    .map(({ key, schema, flags, description, heading, rare }) => [
      key,
      { flags, description, schema, group: heading, rare, checked: false },
    ]),
);

export interface TrainResult extends RunSummary {
  out: string;
}

export const train = defineCommand({
  name: 'train',
  description:
    'Writes a run folder. To repeat the run, use --config with its config.yaml. Ctrl-C writes a checkpoint. A run that ' +
    'is continued with --resume gives exactly the results of a run that was never interrupted.',
  arguments: {},
  options: {
    out: {
      ...option('--out <dir>', 'run folder to write; must not exist yet', z.string().optional()),
      group: 'Output',
    },
    resume: {
      ...option('--resume <run>', 'interrupted run to continue, with its own options', z.string().optional()),
      group: 'Output',
    },
    ...configOptions,
  },
  examples: [
    'dwp train --examples 100 --prior dwp --prior-path priors/7x7 priors/5x5 --out runs/dwp-100',
    'dwp train --prior standard-normal --posterior mnf --dense-prior normal --dense-prior-std 0.1 --out runs/mnf-100',
    'dwp train --examples 50 --channels 4 8 --prior standard-normal --method chains --dense-prior normal --steps 400 --samples 50 --out runs/hmc-50',
    'dwp train --resume runs/dwp-100',
  ],
  fromFile: settingsOfFile,
  async run({ out, resume, ...config }, effects): Promise<TrainResult> {
    if (resume === undefined && out === undefined)
      throw usageError('--out is required', 'name a folder for the run');
    const hooks = progressHooks(effects);
    const notes: string[] = [];
    try {
      if (resume !== undefined) return { out: resume, ...(await resumeRun(resume, hooks)) };
      const absolute = (paths: readonly string[] = []) => paths.map((path) => resolve(path));
      const complete = parseRunConfig(config, { note: (line) => notes.push(line) });
      const { priorPath, filters, arch, init } = complete;
      const located = {
        ...complete,
        ...(init === 'model' && typeof arch === 'string' && isNetworkFile(arch) && { arch: resolve(arch) }),
        priorPath: priorPath.map((path) => (isShipped(path) ? path : resolve(path))),
        ...(filters && { filters: absolute(filters) }),
      };
      return { out: out!, ...(await startRun(located, out!, { ...hooks, notes })) };
    } finally {
      hooks.stop();
    }
  },
  render({
    out,
    prior,
    priors = [],
    init,
    examples,
    split,
    judgedOn,
    test,
    ensemble,
    bound,
    chains,
    steps,
    seconds,
  }) {
    const rows = ensemble.map((e) => [
      e.samples,
      percent(e.accuracy),
      e.nll.toFixed(3),
      percent(e.ece),
      e.brier.toFixed(3),
    ]);
    const parts = bound
      ? [
          '',
          `Lower bound of the log evidence at T = 1: ${nats(bound.total)} ± ${bound.standardError.toFixed(0)} nats =`,
          `  expected log-likelihood ${nats(bound.expectedLogLikelihood)} + prior term ${nats(bound.priorTerm)} + entropy ${nats(bound.entropyTerm)}`,
          ...(bound.innerGap
            ? [
                `  (prior term and entropy are together at least ${nats(bound.innerGap)} nats below their true values)`,
              ]
            : []),
        ]
      : [];
    return [
      `${examples} examples (split ${split}), prior ${prior}, started from ${init}: ${steps} ${steps === 1 ? 'step' : 'steps'} in ${seconds.toFixed(1)} s`,
      '',
      table(['weight draws', 'accuracy', 'NLL (nats)', 'ECE', 'Brier'], rows),
      ...priorLines(priors),
      ...parts,
      ...(chains ? chainLines(chains) : []),
      '',
      `${percent(test.accuracy)} of ${test.examples} ${judgedOn} images are right. Run written to ${out}`,
    ].join('\n');
  },
});

/** What was learned of priors; which prior each layer has was said before training. */
function priorLines(priors: NonNullable<RunSummary['priors']>): string[] {
  const lines = priors.flatMap(({ layer, learned, paths }) => [
    ...(learned?.scale !== undefined
      ? [`${layer}: learned scale of the prior ${learned.scale.toFixed(3)}`]
      : []),
    ...(learned?.weights?.length === paths.length && paths.length > 1
      ? [
          `${layer}: learned weights ${learned.weights.map((x, i) => `${x.toFixed(3)} ${paths[i]}`).join(', ')}`,
        ]
      : []),
  ]);
  return lines.length > 0 ? ['', ...lines] : [];
}

/** Whether the chains agree, function by function; the judged images in one line. */
function chainLines({ method, chains, draws, acceptance, functions }: ChainReport): string[] {
  const images = functions.filter(({ name }) => name.startsWith('log p of'));
  const worst = images.length > 0 ? Math.max(...images.map(({ rHat }) => rHat)) : 0;
  const rows = functions
    .filter((f) => !images.includes(f))
    .map(({ name, mean, standardError, rHat, effectiveSampleSize }) => [
      name,
      `${nats(mean)} ± ${standardError.toFixed(2)}`,
      rHat.toFixed(3),
      effectiveSampleSize.toFixed(0),
    ]);
  const agree = functions.every(({ rHat }) => rHat < 1.05);
  return [
    '',
    `${chains} chains of ${method}, ${draws} draws of each looked at${acceptance === undefined ? '' : `, acceptance ${acceptance.toFixed(2)}`}:`,
    table(['function', 'mean', 'R̂', 'effective draws'], rows),
    ...(images.length > 0
      ? [`Largest R̂ of log p of ${images.length} judged images: ${worst.toFixed(3)}`]
      : []),
    agree
      ? 'The chains agree (every R̂ below 1.05).'
      : `The chains have not mixed (an R̂ is 1.05 or more): more --steps, or ${method === 'hmc' ? 'more --leapfrog' : 'another --step-size'}.`,
  ];
}

const percent = (x: number) => `${(100 * x).toFixed(2)}%`;
const nats = (x: number) => x.toFixed(Math.abs(x) < 100 ? 1 : 0);

/** Progress of training and predicting as bars; `stop` ends whichever is open. */
export function progressHooks(effects: Effects, prefix = '') {
  let open: { phase: string; bar: ReturnType<Effects['progress']> } | undefined;
  return {
    signal: effects.signal,
    info: (line: string) => effects.info(`${prefix}${line}`),
    warn: (line: string) => effects.warn(`${prefix}${line}`),
    progress(phase: string, done: number, total: number, detail: string) {
      if (open?.phase !== phase) {
        open?.bar.stop();
        open = { phase, bar: effects.progress(`${prefix}${phase}`, total) };
      }
      open.bar.update(done, detail);
    },
    stop() {
      open?.bar.stop();
      open = undefined;
    },
  };
}
