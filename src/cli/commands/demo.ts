// dwp demo: the whole story on shipped data: inspect → collect → fit → train with three priors → report.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { refuseExisting } from '../../formats/files.js';
import { makePlan } from '../../plans/plan.js';
import type { AnyCommand } from '../command.js';
import { defineCommand, option } from '../command.js';
import type { Effects } from '../effects.js';
import { collectKernelsCommand } from './collect-kernels.js';
import { type CompareResult, carryOut, renderComparison } from './compare.js';
import { fitPriorCommand } from './fit-prior.js';
import { inspect } from './inspect.js';

const shipped = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

interface DemoResult extends CompareResult {
  collected: unknown;
  priors: unknown[];
  seconds: number;
}

export const demo = defineCommand({
  name: 'demo',
  description:
    'Inspects a pretrained network, collects the kernels of the shipped networks, and fits priors to the shipped kernel ' +
    'dataset. Then it trains LeNet on 100 MNIST digits with three priors and writes a report.',
  arguments: {},
  options: {
    out: option(
      '--out <dir>',
      'folder to write; must not exist yet',
      z.string().optional(),
      'a new temporary folder',
    ),
  },
  examples: ['dwp demo', 'dwp demo --out runs/demo'],
  async run({ out }, effects): Promise<DemoResult> {
    if (out) refuseExisting(out);
    const folder = out ?? join(mkdtempSync(join(tmpdir(), 'dwp-demo-')), 'demo');
    const began = Date.now();

    effects.info('1. What is inside a pretrained network?   dwp inspect pretrained/lenet-00.onnx\n');
    await show(inspect, { paths: [shipped('pretrained/lenet-00.onnx')] }, effects);

    effects.info('2. Collect the kernels of all of them.   dwp collect-kernels pretrained --out kernels\n');
    const collected = await show(
      collectKernelsCommand,
      { models: [shipped('pretrained')], out: join(folder, 'kernels') },
      effects,
    );

    const priors: unknown[] = [];
    for (const size of ['7x7', '5x5']) {
      effects.info(
        `3. Fit a prior of ${size} kernels, on the larger shipped dataset.   dwp fit-prior kernels-dataset --size ${size} --out priors/${size}\n`,
      );
      priors.push(
        await show(
          fitPriorCommand,
          { dataset: shipped('kernels-dataset'), size, out: join(folder, 'priors', size) },
          effects,
        ),
      );
    }

    effects.info(
      '4. Train LeNet on 100 digits with three priors.   dwp compare plan.yaml --out comparison\n',
    );
    const priorPath = ['7x7', '5x5'].map((size) => join(folder, 'priors', size));
    const plan = makePlan(
      {
        title: 'Demo: 100 digits, three priors',
        methods: [
          { label: 'deep weight prior', prior: 'dwp', priorPath },
          { label: 'standard normal', prior: 'standard-normal' },
          { label: 'no prior', prior: 'none', priorPath },
        ],
        examples: [100],
        splits: [0, 1],
      },
      'demo',
      folder,
    );
    const comparison = await carryOut(plan, join(folder, 'comparison'), 'dwp demo', effects);
    return { ...comparison, collected, priors, seconds: (Date.now() - began) / 1000 };
  },
  render: (result) => `${renderComparison(result)}\n(${Math.round(result.seconds)} s in all)`,
});

/** Runs a command as the command line would, with its result shown as a message. */
async function show(command: AnyCommand, given: Record<string, unknown>, effects: Effects): Promise<unknown> {
  const definitions = Object.entries({ ...command.arguments, ...command.options });
  const input = Object.fromEntries(
    definitions.map(([name, { schema }]) => [name, schema.parse(given[name])]),
  );
  const result = await command.run(input, effects);
  effects.info(`${command.render(result)}\n`);
  return result;
}
