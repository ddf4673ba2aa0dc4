// dwp doctor: what is here, and does it work.
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { datasets } from '../../data/index.js';
import { createEngine, f32, tf } from '../../engine/index.js';
import { messageOf } from '../../errors.js';
import { environment } from '../../experiment/run.js';
import { defineCommand } from '../command.js';
import { table } from '../table.js';

interface Check {
  name: string;
  ok: boolean;
  detail: string;
}

export const doctor = defineCommand({
  name: 'doctor',
  arguments: {},
  options: {},
  examples: ['dwp doctor'],
  async run(): Promise<{ environment: Record<string, string>; checks: Check[] }> {
    const checks: Check[] = [{ name: 'cores', ok: true, detail: String(availableParallelism()) }];
    for (const name of ['native', 'cpu', 'tensorflow'] as const)
      checks.push(
        await check(`engine ${name}`, async () => {
          const engine = await createEngine(name, 1);
          const step = await engine.compile(({ x }: { x: tf.Tensor }) => ({ y: tf.square(x) }), {
            inputs: { x: f32([1]) },
          });
          const { y } = await step.run({ x: f32([1], Float32Array.of(3)) });
          await step.release();
          if (y.data[0] !== 9) throw new Error(`3² came out as ${y.data[0]}`);
          return name === 'native' ? 'onnxruntime runs a compiled step' : 'runs';
        }),
      );
    for (const dataset of datasets)
      checks.push(
        await check(`data ${dataset.name}`, async () => {
          if (!existsSync(dataset.directory())) throw new Error('not found');
          return dataset.description;
        }),
      );
    return { environment: environment(), checks };
  },
  render: ({ environment, checks }) =>
    [
      ...Object.entries(environment).map(([name, value]) => `${name}: ${value}`),
      '',
      table(
        ['', 'here', ''],
        checks.map(({ name, ok, detail }) => [name, ok ? 'yes' : 'no', detail]),
      ),
    ].join('\n'),
});

async function check(name: string, test: () => Promise<string>): Promise<Check> {
  try {
    return { name, ok: true, detail: await test() };
  } catch (error) {
    return { name, ok: false, detail: messageOf(error) };
  }
}
