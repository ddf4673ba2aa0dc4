// Runs of a network with batch normalisation: stopped and resumed, judged again, refused to chains.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadDataset } from '../../src/data/index.js';
import { createEngine } from '../../src/engine/index.js';
import { readCheckpoint } from '../../src/methods/checkpoint.js';
import { judge } from '../../src/methods/judge.js';
import { methodOf, parseRunConfig, type RunConfig } from '../../src/runs/config.js';
import { checkRun, problemOf, resumeRun, startRun } from '../../src/runs/run.js';

const folder = mkdtempSync(join(tmpdir(), 'dwp-batch-norm-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const options = {
  ...{ arch: 'resnet-8', channels: [2, 2, 2], prior: 'standard-normal', threads: 1 },
  ...{ examples: 20, batch: 10, validation: 30, components: 1, steps: 6, samples: 2 },
};

test('stopped and resumed, a run ends in the same bits; judged again, in the same figures', async () => {
  const whole = join(folder, 'whole');
  const stopped = join(folder, 'stopped');
  const config = parseRunConfig(options);
  const summary = await startRun(config, whole);
  const abort = new AbortController();
  await expect(
    startRun(config, stopped, { signal: abort.signal, progress: (_, step) => step === 3 && abort.abort() }),
  ).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect(readCheckpoint(stopped).averages['stem-norm.steps'].data[0]).toBe(3);
  const { seconds: _, ...figures } = await resumeRun(stopped);
  expect(summary).toMatchObject(figures);
  expect(readCheckpoint(stopped)).toEqual(readCheckpoint(whole));

  const engine = await createEngine('native', 1);
  const judged = (config: RunConfig) => {
    const problem = problemOf(config);
    const task = { config, folder: whole, problem, engine, hooks: {} };
    return judge(problem, methodOf(config).predictions(task));
  };
  const { ensemble } = await judged(config);
  expect(ensemble.at(-1)).toMatchObject(summary.test);
  const other = await judged(parseRunConfig({ ...options, batchNormStatistics: 'running' }));
  expect(other.ensemble.at(-1)!.nll).not.toBe(summary.test.nll);
});

test.each(['hmc', 'sgld', 'sghmc'])('%s is refused, with the layer', (sampler) => {
  const config = parseRunConfig({ method: 'chains', sampler, densePrior: 'normal' }, { base: options });
  expect(() => checkRun(config, loadDataset('mnist'))).toThrow(/layer stem-norm normalises over batches/);
});
