// Runs whose classifier is random, too: stopped and resumed, judged again, exported as the means of their weights.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadDataset } from '../../src/data/index.js';
import { createEngine, seedKey } from '../../src/engine/index.js';
import { plainWeights } from '../../src/interchange/plain-weights.js';
import { readCheckpoint } from '../../src/methods/checkpoint.js';
import { judge } from '../../src/methods/judge.js';
import { methodOf, parseRunConfig, type RunConfig } from '../../src/runs/config.js';
import { checkRun, problemOf, resumeRun, startRun } from '../../src/runs/run.js';
import { samplePosterior } from '../../src/train/sample-posterior.js';
import { writeTestPrior } from '../cli/prior-folder.js';
import { estimate, expectMean } from '../monte-carlo.js';
import { randomVae } from '../train/tiny.js';

const folder = mkdtempSync(join(tmpdir(), 'dwp-dense-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const config = (options: Partial<RunConfig>): RunConfig =>
  parseRunConfig({
    ...{ prior: 'standard-normal', densePrior: 'normal', densePriorStd: 0.3, channels: [2, 3], threads: 1 },
    ...{ examples: 10, batch: 10, components: 1, steps: 6, validation: 50, samples: 2, initialLogStd: -2 },
    ...options,
  });

test('a run with flows: stopped and resumed it ends in the same bits, and its exported weights are E_q W', async () => {
  const whole = join(folder, 'whole');
  const stopped = join(folder, 'stopped');
  const options = config({ posterior: 'mnf', bound: 'multisample', boundSamples: 3 });
  const summary = await startRun(options, whole);
  expect(Number.isFinite(summary.bound!.total)).toBe(true);
  const abort = new AbortController();
  await expect(
    startRun(options, stopped, {
      signal: abort.signal,
      progress: (_, step) => step === 3 && abort.abort(),
    }),
  ).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect((await resumeRun(stopped)).bound).toEqual(summary.bound);
  const problem = problemOf(options);
  const { parameters } = readCheckpoint(whole, problem.model);
  expect(readCheckpoint(stopped, problem.model).parameters).toEqual(parameters);
  expect(parameters['dense.kernel']).toBeUndefined();
  expect(parameters['dense.mean'].shape).toEqual([10, 27, 1, 1]);

  const engine = await createEngine('native', 1);
  const { ensemble } = await judge(
    problem,
    methodOf(options).predictions({ config: options, folder: whole, problem, engine, hooks: {} }, 2),
  );
  expect(ensemble.at(-1)!.nll).toBe(summary.test.nll);

  const { dense, conv2 } = await plainWeights(problem.model, parameters, engine);
  expect(dense.weights.shape).toEqual([10, 27, 1, 1]);
  const draws = [];
  for (let i = 0; i < 60; i++)
    draws.push(await samplePosterior(problem.model, parameters, engine, seedKey(i)));
  for (const i of [0, 7, 200]) {
    expectMean(estimate(draws.map((draw) => draw.dense.data[i])), dense.weights.data[i], `dense ${i}`);
    expectMean(estimate(draws.map((draw) => draw.conv2.data[i % 150])), conv2.weights.data[i % 150]);
  }
});

describe('the prior of dense layers', () => {
  test('a fitted one of 1×1 kernels, by a bound with a trained encoder', async () => {
    const priorPath = [7, 5, 1].map((k) => {
      const path = join(folder, `prior-${k}`);
      writeTestPrior(path, randomVae({ h: k, w: k }, { latent: 2, hidden: 4 }, k));
      return path;
    });
    const options = config({ prior: 'dwp', densePrior: 'fitted', priorPath, encoder: 'trainable', steps: 2 });
    const { model } = problemOf(options);
    expect(model.priors.dense).toMatchObject({ family: 'vae-pixels', size: { h: 1, w: 1 } });
    const summary = await startRun(options, join(folder, 'fitted'));
    expect(Number.isFinite(summary.bound!.total)).toBe(true);
    const { parameters } = readCheckpoint(join(folder, 'fitted'), model);
    expect(Object.keys(parameters).some((name) => name.startsWith('dense.auxiliary.encoder.'))).toBe(true);
  });

  test.each([
    [{ method: 'point' }, /--dense-prior cannot be used with --method point/],
    [{ denseDecay: 1 }, /--dense-decay/],
    [{ densePrior: 'fitted' as const }, /size 1x1 for layer dense/],
  ])('%j is refused', (options, message) => {
    expect(() => checkRun(config(options), loadDataset('mnist'))).toThrow(message);
  });
});
