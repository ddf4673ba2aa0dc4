// Runs of a network with batch normalisation: stopped and resumed, judged again, refused to chains.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createEngine } from '../../src/engine/index.js';
import { readCheckpoint, readComponents } from '../../src/runs/checkpoint.js';
import { runConfig } from '../../src/runs/config.js';
import { judge } from '../../src/runs/judge.js';
import { prepare } from '../../src/runs/problem.js';
import { resumeRun, startRun } from '../../src/runs/run.js';

const folder = mkdtempSync(join(tmpdir(), 'dwp-batch-norm-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const options = {
  ...{ arch: 'resnet-8', channels: [2, 2, 2], prior: 'standard-normal', threads: 1 },
  ...{ examples: 20, batch: 10, validation: 30, components: 1, steps: 6, samples: 2 },
};

test('stopped and resumed, a run ends in the same bits; judged again, in the same figures', async () => {
  const whole = join(folder, 'whole');
  const stopped = join(folder, 'stopped');
  const config = runConfig.parse(options);
  const summary = await startRun(config, whole);
  const abort = new AbortController();
  await expect(
    startRun(config, stopped, { signal: abort.signal, progress: (_, step) => step === 3 && abort.abort() }),
  ).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect(readCheckpoint(stopped).averages['stem-norm.steps'].data[0]).toBe(3);
  const { seconds: _, ...figures } = await resumeRun(stopped);
  expect(summary).toMatchObject(figures);
  expect(readCheckpoint(stopped)).toEqual(readCheckpoint(whole));

  const problem = prepare(config);
  const engine = await createEngine('native', 1);
  const components = readComponents(whole, problem.model);
  const { ensemble } = await judge(problem, components, 2, engine);
  expect(ensemble.at(-1)).toMatchObject(summary.test);
  const running = prepare(runConfig.parse({ ...options, batchNormStatistics: 'running' }));
  const other = await judge(running, components, 2, engine);
  expect(other.ensemble.at(-1)!.nll).not.toBe(summary.test.nll);
});

test.each(['hmc', 'sgld', 'sghmc'])('%s is refused, with the layer', (posterior) => {
  const config = runConfig.parse({ ...options, posterior, densePrior: 'normal' });
  expect(() => prepare(config)).toThrow(/layer stem-norm normalises over batches/);
});
