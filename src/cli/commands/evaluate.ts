// dwp evaluate: predictions of a finished run again, with other numbers of weight draws or on other data.
import { z } from 'zod';
import { loadDataset } from '../../data/index.js';
import { createEngine } from '../../engine/index.js';
import { usageError } from '../../errors.js';
import type { EnsembleMetrics } from '../../evaluate/index.js';
import { judge } from '../../methods/judge.js';
import { methodOf, requireFinished } from '../../runs/config.js';
import { readRunConfig } from '../../runs/config-file.js';
import { readProblem } from '../../runs/run.js';
import { argument, defineCommand, integer, option } from '../command.js';
import { table } from '../table.js';
import { progressHooks } from './train.js';

export const evaluate = defineCommand({
  name: 'evaluate',
  arguments: { run: argument('<run>', 'folder of dwp train', z.string()) },
  options: {
    samples: option(
      '--samples <M>',
      'number of weight draws that predictions average over',
      integer(1, 10_000).default(10),
    ),
    data: option(
      '--data <name>',
      'evaluate on the test images of this dataset',
      z.string().optional(),
      'the dataset of the run',
    ),
    dataDir: option(
      '--data-dir <dir>',
      'folder with the four IDX files of that dataset',
      z.string().optional(),
    ),
  },
  examples: ['dwp evaluate runs/dwp-100 --samples 50'],
  async run(
    { run, samples, data, dataDir },
    effects,
  ): Promise<{ run: string; data: string; test: EnsembleMetrics[] }> {
    const config = readRunConfig(run);
    const problem = readProblem(run, config);
    requireFinished(run, config);
    const own = config.validation > 0 ? `${config.data}, held out of the training images` : config.data;
    const name = data ?? (dataDir ? 'data' : own);
    if (data !== undefined || dataDir !== undefined) {
      const { test } = loadDataset(name, dataDir);
      const { input, classes } = problem.model.architecture;
      if (
        test.height !== input.height ||
        test.width !== input.width ||
        test.channels !== input.channels ||
        test.classes !== classes
      )
        throw usageError(
          `${name} has ${test.height}×${test.width}×${test.channels} images of ${test.classes} classes, the network takes ${input.height}×${input.width}×${input.channels} of ${classes}`,
        );
      problem.judged = test;
    }
    const hooks = progressHooks(effects);
    try {
      const engine = await createEngine(config.engine, config.threads, config.device);
      const task = { config, folder: run, problem, engine, hooks };
      const { ensemble } = await judge(problem, methodOf(config).predictions(task, samples), hooks);
      return { run, data: name, test: ensemble };
    } finally {
      hooks.stop();
    }
  },
  render: ({ data, test }) =>
    `${test[0].examples} images of ${data}:\n\n${table(
      ['weight draws', 'accuracy', 'NLL (nats)', 'ECE', 'Brier'],
      test.map((e) => [
        e.samples,
        e.accuracy.toFixed(4),
        e.nll.toFixed(4),
        e.ece.toFixed(4),
        e.brier.toFixed(4),
      ]),
    )}`,
});
