// dwp train: a CNN from few examples, with what other networks' kernels know.
import { resolve } from 'node:path';
import { z } from 'zod';
import { usageError } from '../../errors.js';
import type { ChainReport } from '../../runs/chains.js';
import { type RunConfig, runConfig } from '../../runs/config.js';
import { type RunSummary, resumeRun, startRun } from '../../runs/run.js';
import { defineCommand, type OptionDefinition, option } from '../command.js';
import type { Effects } from '../effects.js';
import { table } from '../table.js';

/** Options by what they are about, with their shape on the command line; meaning and default are the configuration's. */
const GROUPS = {
  Data: {
    data: '--data <name>',
    dataDir: '--data-dir <dir>',
    examples: '--examples <n>',
    split: '--split <s>',
    validation: '--validation <n>',
  },
  Network: {
    arch: '--arch <name>',
    width: '--width <x>',
    channels: '--channels <n...>',
    init: '--init <kind>',
    filters: '--filters <paths...>',
    denseStart: '--dense-start <x>',
  },
  Prior: {
    prior: '--prior <name>',
    priorPath: '--prior-path <dirs...>',
    fallback: '--fallback <kind>',
    mixPriors: '--mix-priors <kind>',
    adaptPrior: '--adapt-prior <parts...>',
    priorLearningRate: '--prior-learning-rate <x>',
    densePrior: '--dense-prior <kind>',
    densePriorStd: '--dense-prior-std <x>',
  },
  Method: {
    posterior: '--posterior <name>',
    components: '--components <M>',
    samples: '--samples <M>',
    batchNormStatistics: '--batch-norm-statistics <kind>',
    bound: '--bound <name>',
    boundSamples: '--bound-samples <K>',
    boundSamplesFrom: '--bound-samples-from <K>',
    encoder: '--encoder <kind>',
    estimator: '--estimator <name>',
    initialLogStd: '--initial-log-std <x>',
    temperature: '--temperature <T>',
    warmUp: '--warm-up <n>',
    kernelSubsample: '--kernel-subsample <n>',
    encoderLearningRate: '--encoder-learning-rate <x>',
    auxiliaryLearningRate: '--auxiliary-learning-rate <x>',
    weightDecay: '--weight-decay <x>',
    denseDecay: '--dense-decay <x>',
  },
  'Markov chains': {
    chains: '--chains <n>',
    stepSize: '--step-size <x>',
    leapfrog: '--leapfrog <n>',
    cycles: '--cycles <n>',
  },
  Training: {
    steps: '--steps <n>',
    batch: '--batch <n>',
    learningRate: '--learning-rate <x>',
    seed: '--seed <n>',
    engine: '--engine <name>',
    threads: '--threads <n>',
    device: '--device <name>',
    checkpointEvery: '--checkpoint-every <seconds>',
  },
} as const satisfies Record<string, Partial<Record<keyof RunConfig, string>>>;

/** Options that few runs need: shown by --help-all. */
const RARE: ReadonlySet<string> = new Set<keyof RunConfig>([
  'filters',
  'denseStart',
  'mixPriors',
  'adaptPrior',
  'priorLearningRate',
  'densePriorStd',
  'boundSamples',
  'boundSamplesFrom',
  'encoder',
  'estimator',
  'initialLogStd',
  'warmUp',
  'kernelSubsample',
  'encoderLearningRate',
  'auxiliaryLearningRate',
  'batchNormStatistics',
  'weightDecay',
  'denseDecay',
  'chains',
  'stepSize',
  'leapfrog',
  'cycles',
  'device',
  'checkpointEvery',
  'channels',
]);

type ConfigOptions = {
  [K in keyof typeof runConfig.shape]-?: OptionDefinition<(typeof runConfig.shape)[K]>;
};

const configOptions = Object.fromEntries(
  Object.entries(GROUPS).flatMap(([group, flags]) =>
    Object.entries(flags).map(([name, flag]) => {
      const schema = runConfig.shape[name as keyof RunConfig] as z.ZodType;
      return [name, { ...option(flag, schema.description ?? '', schema), group, rare: RARE.has(name) }];
    }),
  ),
) as unknown as ConfigOptions;

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
    'dwp train --examples 100 --prior standard-normal --out runs/normal-100',
    'dwp train --prior standard-normal --posterior mnf --dense-prior normal --dense-prior-std 0.1 --out runs/mnf-100',
    'dwp train --examples 50 --channels 4 8 --prior standard-normal --posterior hmc --dense-prior normal --steps 400 --samples 50 --out runs/hmc-50',
    'dwp train --resume runs/dwp-100',
  ],
  async run({ out, resume, ...config }, effects): Promise<TrainResult> {
    if (resume === undefined && out === undefined)
      throw usageError('--out is required', 'name a folder for the run');
    const hooks = progressHooks(effects);
    try {
      if (resume !== undefined) return { out: resume, ...(await resumeRun(resume, hooks)) };
      const absolute = (paths: readonly string[]) => paths.map((path) => resolve(path));
      const complete: RunConfig = {
        ...config,
        priorPath: absolute(config.priorPath),
        filters: absolute(config.filters),
      };
      return { out: out!, ...(await startRun(complete, out!, hooks)) };
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
      `${examples} examples (split ${split}), prior ${prior}, started from ${init}: ${steps} steps in ${seconds.toFixed(1)} s`,
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

/** Fallbacks, and what was learned of priors. */
function priorLines(priors: NonNullable<RunSummary['priors']>): string[] {
  const lines = priors.flatMap(({ layer, substitute, reason, learned, paths }) => [
    ...(substitute ? [`${layer}: fallback prior, ${reason}`] : []),
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
    progress(phase: 'training' | 'sampling' | 'predicting', done: number, total: number, detail: string) {
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
