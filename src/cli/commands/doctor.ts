// dwp doctor: what is here, and does it work; with --explain, what a training step consists of and where its time goes.
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { relative } from 'node:path';
import { z } from 'zod';
import { datasets } from '../../data/index.js';
import {
  availableProviders,
  createEngine,
  DEVICES,
  type Engine,
  type Explanation,
  f32,
  seedKey,
  spec,
  tf,
} from '../../engine/index.js';
import { DwpError, messageOf } from '../../errors.js';
import { environment } from '../../runs/run.js';
import { explainTraining } from '../../train/explain-training.js';
import { defineCommand, option } from '../command.js';
import { engineOptions } from '../options.js';
import { table } from '../table.js';

interface Check {
  name: string;
  ok: boolean;
  detail: string;
}

interface Report {
  environment: Record<string, string>;
  checks: Check[];
  /** With --explain: of a training step of LeNet 32/128. */
  step?: Explanation & { title: string; attainableGigaflopsPerSecond: number };
}

const MATRIX = 1024;

export const doctor = defineCommand({
  name: 'doctor',
  description:
    'With --explain, it also compiles a training step (LeNet 32/128, batch 50, mean-field posterior, standard normal ' +
    'prior). It then shows the operators of this step, how long each takes, and which lines of code they come from.',
  arguments: {},
  options: {
    explain: option(
      '--explain',
      'show the operators of a training step and their times',
      z.boolean().default(false),
    ),
    threads: engineOptions.threads,
    device: engineOptions.device,
  },
  examples: ['dwp doctor', 'dwp doctor --explain --threads 1', 'dwp doctor --device webgpu'],
  async run({ explain, threads, device }): Promise<Report> {
    const checks: Check[] = [{ name: 'cores', ok: true, detail: String(availableParallelism()) }];
    for (const name of ['native', 'cpu', 'tensorflow'] as const)
      checks.push(await check(`engine ${name}`, async () => square(await createEngine(name, 1))));
    checks.push(await check('devices', listDevices));
    if (device !== 'cpu')
      checks.push(
        await check(`device ${device}`, async () => square(await createEngine('native', 1, device))),
      );
    for (const dataset of datasets)
      checks.push(
        await check(`data ${dataset.name}`, async () => {
          if (!existsSync(dataset.directory())) throw new Error('not found');
          return dataset.description;
        }),
      );
    const report = { environment: environment(), checks };
    if (!explain) return report;
    const engine = await createEngine('native', threads, device);
    return {
      ...report,
      step: {
        title: 'a training step of LeNet 32/128, batch 50',
        ...(await explainTraining(engine, seedKey(0))),
        attainableGigaflopsPerSecond: await matrixRate(engine),
      },
    };
  },
  render: ({ environment, checks, step }) =>
    [
      ...Object.entries(environment).map(([name, value]) => `${name}: ${value}`),
      '',
      table(
        ['', 'here', ''],
        checks.map(({ name, ok, detail }) => [name, ok ? 'yes' : 'no', detail]),
      ),
      ...(step ? ['', ...explained(step)] : []),
    ].join('\n'),
});

async function check(name: string, test: () => Promise<string>): Promise<Check> {
  try {
    return { name, ok: true, detail: await test() };
  } catch (error) {
    const hint = error instanceof DwpError && error.hint ? ` — ${error.hint}` : '';
    return { name, ok: false, detail: `${messageOf(error)}${hint}` };
  }
}

/** Devices that the installed onnxruntime has, without starting them. */
async function listDevices(): Promise<string> {
  const providers = await availableProviders();
  const names = DEVICES.flatMap((name) => {
    const found = providers.find((provider) => provider.name === name);
    return found ? [found.bundled ? name : `${name} (with its library)`] : [];
  });
  return `${names.join(', ')}; --device <name> tries one`;
}

/** 3² on an engine. */
async function square(engine: Engine): Promise<string> {
  const step = await engine.compile(({ x }: { x: tf.Tensor }) => ({ y: tf.square(x) }), {
    inputs: { x: f32([1]) },
  });
  const { y } = await step.run({ x: f32([1], Float32Array.of(3)) });
  await step.release();
  if (y.data[0] !== 9) throw new Error(`3² came out as ${y.data[0]}`);
  return engine.name === 'native' ? 'onnxruntime runs a compiled step' : 'runs';
}

/** What the machine reaches in large matrix products, 10⁹ floating-point operations per second: the best of 20. */
async function matrixRate(engine: Engine): Promise<number> {
  const square = spec([MATRIX, MATRIX]);
  const step = await engine.compile(
    ({ a, b }: { a: tf.Tensor; b: tf.Tensor }) => ({ c: tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D) }),
    { inputs: { a: square, b: square } },
  );
  const { milliseconds, flops } = await engine.explain(step, 20);
  await step.release();
  return flops / milliseconds / 1e6;
}

function explained(step: NonNullable<Report['step']>): string[] {
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  const share = step.gigaflopsPerSecond / step.attainableGigaflopsPerSecond;
  const work = new Map(step.nodes.map(({ op, flops }) => [op, flops]));
  const here = (line: string) => (line.startsWith('/') ? relative(process.cwd(), line) : line);
  return [
    `${step.title}: ${step.milliseconds.toFixed(1)} ms on the median run, ${(step.flops / 1e9).toFixed(2)} GFLOP`,
    `${step.nodeCount} nodes; ${megabytes(step.inputBytes)} in, ${megabytes(step.outputBytes)} out, ${megabytes(step.constantBytes)} of constants`,
    `${step.gigaflopsPerSecond.toFixed(0)} GFLOP/s, ${(100 * share).toFixed(0)} % of the ${step.attainableGigaflopsPerSecond.toFixed(0)} that products of ${MATRIX}×${MATRIX} matrices reach`,
    '',
    table(
      ['operator, as executed', 'count', 'ms', 'GFLOP'],
      step.executed
        .slice(0, 14)
        .map(({ op, count, milliseconds }) => [
          op,
          count,
          milliseconds.toFixed(2),
          work.has(op) ? (work.get(op)! / 1e9).toFixed(3) : '',
        ]),
    ),
    '',
    table(
      ['line that called', 'ms'],
      step.lines.slice(0, 10).map(({ line, milliseconds }) => [here(line), milliseconds.toFixed(2)]),
    ),
  ];
}
