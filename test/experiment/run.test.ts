// A run and the priors it depends on: resuming with another prior is refused, with the same one it goes on.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { runConfig } from '../../src/experiment/config.js';
import { resumeRun, startRun } from '../../src/experiment/run.js';
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
    steps: 20,
    validation: 50,
  };
  const abort = new AbortController();
  const stopAtTen = (_: string, step: number) => step === 10 && abort.abort();
  await expect(
    startRun(runConfig.parse({ ...options, threads: 1, samples: 2 }), run, {
      signal: abort.signal,
      progress: stopAtTen,
    }),
  ).rejects.toMatchObject({ code: 'INTERRUPTED' });

  const weights = join(priorPath[1], 'weights.safetensors');
  copyFileSync(weights, join(folder, 'kept'));
  copyFileSync(join(other, 'weights.safetensors'), weights);
  await expect(resumeRun(run)).rejects.toThrow(/a prior of this run has changed/);

  copyFileSync(join(folder, 'kept'), weights);
  expect(await resumeRun(run)).toMatchObject({ steps: 20, judgedOn: 'validation' });
});
