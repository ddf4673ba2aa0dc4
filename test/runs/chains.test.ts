// Runs by Markov chains in their folders: resuming, predictions, diagnostics, damage.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createEngine } from '../../src/engine/index.js';
import { rHat } from '../../src/mcmc/index.js';
import { readObservations } from '../../src/methods/chain-files.js';
import { judge } from '../../src/methods/judge.js';
import { gatherFigures } from '../../src/plans/report-input.js';
import { methodOf, parseRunConfig, type RunConfig } from '../../src/runs/config.js';
import { problemOf, resumeRun, startRun } from '../../src/runs/run.js';
import { readSummary } from '../../src/runs/summary.js';
import { writeTestPrior } from '../cli/prior-folder.js';
import { randomVae } from '../train/tiny.js';

const folder = mkdtempSync(join(tmpdir(), 'dwp-chains-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const config = (options: Partial<RunConfig>): RunConfig =>
  parseRunConfig({
    ...{
      method: 'chains',
      prior: 'standard-normal',
      densePrior: 'normal',
      channels: [2, 3],
      threads: 1,
      temperature: 1,
    },
    ...{ examples: 10, batch: 5, steps: 20, validation: 50, samples: 5 },
    ...options,
  });

const bytes = (run: string) =>
  [
    'chains.safetensors',
    'chains.jsonl',
    ...readdirSync(join(run, 'samples')).map((name) => join('samples', name)),
  ].map((name) => [name, readFileSync(join(run, name)).toString('base64')]);

async function judged(run: string, options: RunConfig, samples: number) {
  const problem = problemOf(options);
  const task = { config: options, folder: run, problem, engine: await createEngine('native', 1), hooks: {} };
  return judge(problem, methodOf(options).predictions(task, samples));
}

describe.each(['hmc', 'sgld', 'sghmc'] as const)('%s', (sampler) => {
  const options = config(
    sampler === 'hmc'
      ? {
          ...{ sampler, leapfrog: 2, prior: 'dwp' },
          priorPath: [7, 5].map((k) => {
            const path = join(folder, `prior-${k}`);
            writeTestPrior(path, randomVae({ h: k, w: k }));
            return path;
          }),
        }
      : { sampler, cycles: 2, steps: 40 },
  );
  const whole = join(folder, `${sampler}-whole`);

  test('stopped and resumed it ends in the same bits; predictions average the networks that were kept', async () => {
    const summary = await startRun(options, whole);
    const stopped = join(folder, `${sampler}-stopped`);
    const abort = new AbortController();
    await expect(
      startRun(options, stopped, {
        signal: abort.signal,
        progress: (_, step) => step === (sampler === 'sgld' ? 1 : 7) && abort.abort(),
      }),
    ).rejects.toMatchObject({ code: 'INTERRUPTED' });
    const resumed = await resumeRun(stopped);
    expect(bytes(stopped)).toEqual(bytes(whole));
    expect(resumed.test).toEqual(summary.test);
    expect(readSummary(whole).chains).toEqual(summary.chains);
    expect(readdirSync(join(whole, 'samples'))).toHaveLength(5);
    expect(summary.ensemble.at(-1)!.samples).toBe(5);
    expect(summary.bound).toBeUndefined();

    const { ensemble } = await judged(whole, options, 2);
    expect(ensemble.map(({ samples }) => samples)).toEqual([1, 2]);
    expect(ensemble.at(-1)!.nll).toBe(summary.ensemble.find(({ samples }) => samples === 2)!.nll);
    const { runs } = await gatherFigures(
      [{ path: whole, label: sampler, summary }],
      await createEngine('native', 1),
    );
    expect(runs[0].filters.map(({ layer }) => layer)).toEqual(['conv1', 'conv2']);
  });

  test('diagnostics are those of what was observed', () => {
    const { chains } = readSummary(whole);
    const observations = readObservations(whole);
    expect(chains).toMatchObject({ method: sampler, chains: 2, draws: observations.length / 2 });
    const names = chains!.functions.map(({ name }) => name);
    expect(names.slice(0, 4)).toEqual(['log-likelihood', 'norm of conv1', 'norm of conv2', 'norm of dense']);
    const values = [0, 1].map((c) =>
      observations.filter(({ chain }) => chain === c).map((o) => o.values['norm of conv2']),
    );
    const found = chains!.functions[2].rHat;
    expect(found).toBe(rHat(values));
    expect('acceptance' in chains!).toBe(sampler === 'hmc');
  });

  test('a damaged network is told with its file', async () => {
    const path = join(whole, 'samples', '0000.safetensors');
    writeFileSync(path, readFileSync(join(whole, 'chains.safetensors')));
    await expect(judged(whole, options, 1)).rejects.toThrow(
      /0000\.safetensors: conv1\.mean has shape \[none\]/,
    );
  });
});

test.each([
  [{ prior: 'none' }, /--prior none cannot be used with --method chains/],
  [{ densePrior: 'none' }, /needs a prior of the classifier/],
  [{ temperature: 0 }, /with --temperature 0/],
  [{ bound: 'uivi' }, /--bound cannot be used with --method chains: it is an option of variational/],
  [{ mixPriors: 'learned' }, /--mix-priors learned cannot be used with --method chains/],
] as const)('refused: %o', async (options, message) => {
  const start = async () => startRun(config({ ...options }), join(folder, 'never'));
  await expect(start()).rejects.toThrow(message);
});
