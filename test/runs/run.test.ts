// Runs stopped and resumed: with the prior they began with, and in the midst of their components.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createEngine, foldIn } from '../../src/engine/index.js';
import { PredictiveMean, predictions } from '../../src/evaluate/index.js';
import { readCheckpoint, readComponents } from '../../src/methods/checkpoint.js';
import { judge } from '../../src/methods/judge.js';
import { readTrace } from '../../src/methods/trained-networks.js';
import { componentKey } from '../../src/problems/problem.js';
import { methodOf, parseRunConfig, withDefaults } from '../../src/runs/config.js';
import { readRunConfig } from '../../src/runs/config-file.js';
import { problemOf, resumeRun, startRun } from '../../src/runs/run.js';
import { writeTestPrior } from '../cli/prior-folder.js';
import { randomVae } from '../train/tiny.js';

const folder = mkdtempSync(join(tmpdir(), 'dwp-run-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function writePrior(path: string, k: number, seed: number): string {
  writeTestPrior(path, randomVae({ h: k, w: k }, { latent: 2, hidden: 4 }, seed));
  return path;
}

test('a prior that changed between the stretches of a run', async () => {
  const priorPath = [7, 5].map((k) => writePrior(join(folder, `prior-${k}`), k, k));
  const other = writePrior(join(folder, 'other'), 5, 99);
  const run = join(folder, 'run');
  const options = {
    prior: 'dwp',
    priorPath,
    channels: [2, 3],
    examples: 10,
    batch: 10,
    components: 1,
    steps: 20,
    validation: 50,
  };
  const abort = new AbortController();
  const stopAtTen = (_: string, step: number) => step === 10 && abort.abort();
  await expect(
    startRun(parseRunConfig({ ...options, threads: 1, samples: 2 }), run, {
      signal: abort.signal,
      progress: stopAtTen,
    }),
  ).rejects.toMatchObject({ code: 'INTERRUPTED' });

  const weights = join(priorPath[1], 'weights.safetensors');
  copyFileSync(weights, join(folder, 'kept'));
  copyFileSync(join(other, 'weights.safetensors'), weights);
  await expect(resumeRun(run)).rejects.toThrow(/a prior or model of this run has changed/);

  copyFileSync(join(folder, 'kept'), weights);
  const file = join(run, 'config.yaml');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace('learningRate: 0.003', 'learningRate: 0.01'));
  await expect(resumeRun(run)).rejects.toThrow(/config\.yaml was changed after the run had begun/);
  writeFileSync(file, text.replace('threads: 1', 'threads: 2')); // decides nothing
  expect(await resumeRun(run)).toMatchObject({ steps: 20, judgedOn: 'validation' });
});

test('components: stopped in the second and resumed, a run ends in the same bits; predictions average over all', async () => {
  const options = parseRunConfig({
    ...{ prior: 'standard-normal', channels: [2, 3], threads: 1, examples: 10, batch: 10, validation: 50 },
    ...{ components: 3, steps: 4, samples: 4 },
  });
  const whole = join(folder, 'components');
  const stopped = join(folder, 'components-stopped');
  const summary = await startRun(options, whole);
  const abort = new AbortController();
  await expect(
    startRun(options, stopped, { signal: abort.signal, progress: (_, step) => step === 6 && abort.abort() }),
  ).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect(readCheckpoint(stopped)).toMatchObject({ component: 1, step: 2 });
  const { seconds: _, ...figures } = await resumeRun(stopped);
  expect(summary).toMatchObject(figures);
  expect(readTrace(stopped)).toEqual(readTrace(whole));
  expect(readTrace(whole).map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));

  const problem = problemOf(options);
  const components = readComponents(whole, problem.model);
  expect(components).toHaveLength(3);
  expect(readComponents(stopped, problem.model)).toEqual(components);
  const means = components.map((component) => component['conv1.mean'].data);
  expect(means[0]).not.toEqual(means[1]); // each from a start of its own
  expect(means[1]).not.toEqual(means[2]);

  // 4 draws of 3 components: 2 of the first
  const engine = await createEngine('native', 1);
  const { ensemble } = await judge(
    problem,
    methodOf(options).predictions({ config: options, folder: whole, problem, engine, hooks: {} }, 4),
  );
  expect(ensemble.at(-1)!.nll).toBe(summary.test.nll);
  const predictive = new PredictiveMean(50, 10);
  for (const [c, draws] of [2, 1, 1].entries())
    for await (const draw of predictions({
      network: problem.model,
      parameters: components[c],
      images: problem.judged,
      samples: draws,
      engine,
      key: componentKey(foldIn(problem.key, 'predict'), c),
    }))
      predictive.add(draw);
  expect(predictive.metrics(problem.judged.labels).nll).toBe(summary.test.nll);

  // the first component is what a run of one component is
  const one = join(folder, 'one-component');
  await startRun({ ...options, components: 1 }, one);
  expect(readCheckpoint(one).parameters).toEqual(components[0]);
});

test('a classifier starts at --dense-start times Glorot, in its configuration as well', async () => {
  const options = { prior: 'standard-normal', channels: [2, 3], examples: 10, components: 1, steps: 1 };
  const started = async (name: string, more: Record<string, unknown>) => {
    const run = join(folder, name);
    const config = { ...options, learningRate: 1e-9, validation: 50, samples: 2, threads: 1, ...more };
    await startRun(parseRunConfig(config), run);
    return readCheckpoint(run).parameters['dense.kernel'].data;
  };
  const [tenth, glorot] = [
    await started('tenth', { denseStart: 0.1 }),
    await started('glorot', { denseStart: 1 }),
  ];
  expect(tenth.every((x, i) => Math.abs(10 * x - glorot[i]) < 1e-6)).toBe(true);
  expect(readRunConfig(join(folder, 'tenth'))).toMatchObject({ components: 1, denseStart: 0.1 });
  expect(readRunConfig(join(folder, 'glorot')).denseStart).toBe(1);
  const file = join(folder, 'glorot', 'config.yaml');
  const text = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    text.replace(/^ *(components|denseStart): .*\n/gm, '').replace(/^method:\n +name: .*\n/m, 'method:\n'),
  ); // as it was written before either
  expect(() => readRunConfig(join(folder, 'glorot'))).toThrow(/config\.yaml was changed after the run/);
  for (const name of ['summary.json', 'environment.json']) {
    const record = join(folder, 'glorot', name);
    const { configuration: _, ...others } = JSON.parse(readFileSync(record, 'utf8')); // nor did they say that
    writeFileSync(record, JSON.stringify(others));
  }
  expect(readRunConfig(join(folder, 'glorot'))).toMatchObject({ components: 1, denseStart: 1 });
});

test('a classifier starts fitted to what the first convolutions see', async () => {
  const options = { prior: 'standard-normal', channels: [2, 3], examples: 20, components: 1, steps: 1 };
  const logLikelihood = async (name: string, more: Record<string, unknown>) => {
    const config = { ...options, learningRate: 1e-9, validation: 50, samples: 2, threads: 1, ...more };
    await startRun(parseRunConfig(config), join(folder, name));
    const [line] = readFileSync(join(folder, name, 'metrics.jsonl'), 'utf8').split('\n');
    return JSON.parse(line).expectedLogLikelihood / options.examples;
  };
  const [random, auto, weak] = [
    await logLikelihood('random', { denseStart: 0.1 }),
    await logLikelihood('auto', { denseStart: 'fitted', denseDecay: 'auto' }),
    await logLikelihood('weak', { denseStart: 'fitted', denseDecay: 1e-3 }),
  ];
  expect(auto).toBeGreaterThan(random + 0.03); // two and three channels say little to a classifier of small weights
  expect(weak).toBeGreaterThan(-0.5);
  expect(readRunConfig(join(folder, 'auto'))).toMatchObject({ denseStart: 'fitted', denseDecay: 'auto' });
});

test('what is not said: components, and steps by the number of examples', () => {
  const { components, steps } = withDefaults(parseRunConfig({ examples: 400 }));
  expect(components).toBe(10);
  expect(steps).toBe(10 * Math.sqrt(400));
  const classifier = (given: Record<string, unknown>) => {
    const { denseStart, denseDecay } = withDefaults(parseRunConfig(given));
    return { denseStart, denseDecay };
  };
  expect(classifier({ priorPath: ['x'] })).toEqual({ denseStart: 'fitted', denseDecay: 'auto' });
  for (const given of [{ prior: 'none' }, { priorPath: ['x'], densePrior: 'normal' }])
    expect(classifier(given)).toEqual({ denseStart: 0.1, denseDecay: 0 });
  const chains = withDefaults(parseRunConfig({ method: 'chains' }));
  expect(chains).toMatchObject({ sampler: 'hmc', steps: 1000 });
  expect(chains).not.toHaveProperty('components');
});
