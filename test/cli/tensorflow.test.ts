// dwp train --engine tensorflow as a real process, beside the other engines. `npm run test:tensorflow` makes it possible.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasTensorflow, NO_TENSORFLOW, PRESENT } from '../engine/backends.js';
import { randomVae } from '../train/tiny.js';
import { writeTestPrior } from './prior-folder.js';
import { dwp } from './run.js';

const STEPS = 15;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-tensorflow-'));
  for (const k of [7, 5]) writeTestPrior(join(folder, `vae-${k}`), randomVae({ h: k, w: k }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Metrics = Record<'step' | 'bound' | 'expectedLogLikelihood' | 'priorTerm' | 'entropyTerm', number>;

/** A Bayesian LeNet with a kernel VAE for a prior on a few digits: metrics of each step, and the summary. */
async function train(engine: string) {
  const out = join(folder, engine);
  const {
    code,
    out: stdout,
    err,
  } = await dwp(
    ...['train', '--engine', engine, '--threads', '1', '--examples', '30', '--channels', '4', '6'],
    ...['--prior', 'dwp', '--prior-path', join(folder, 'vae-7'), join(folder, 'vae-5')],
    ...[
      '--kernel-subsample',
      '8',
      '--components',
      '1',
      '--steps',
      `${STEPS}`,
      '--batch',
      '10',
      '--validation',
      '100',
    ],
    ...['--samples', '3', '--seed', '5', '--out', out, '--quiet', '--format', 'json'],
  );
  expect(err).toBe(''); // neither banners nor notes of libtensorflow
  expect(code).toBe(0);
  JSON.parse(stdout); // one document and nothing else
  const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n');
  return {
    metrics: lines.map((line) => JSON.parse(line) as Metrics),
    summary: JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8')),
  };
}

const missing = hasTensorflow ? '' : `: ${NO_TENSORFLOW}`;
describe.skipIf(!hasTensorflow)(`libtensorflow${missing}`, () => {
  test('a training gives the numbers of the other engines', async () => {
    const runs = Object.fromEntries(
      await Promise.all(PRESENT.map(async (engine) => [engine, await train(engine)] as const)),
    );
    const { metrics, summary } = runs.tensorflow;
    expect(metrics).toHaveLength(STEPS);
    for (const engine of ['native', 'cpu']) {
      const other = runs[engine];
      // float32, and sums of some thousand terms in another order: 1e-5 at each of the first steps.
      // Adam divides by the size of the gradient, so that differences grow; a hundred times that at the end.
      for (const [i, expected] of other.metrics.entries())
        for (const name of Object.keys(expected) as (keyof Metrics)[])
          expect(
            Math.abs(metrics[i][name] - expected[name]),
            `${engine}, step ${i + 1}, ${name}: ${metrics[i][name]} and ${expected[name]}`,
          ).toBeLessThanOrEqual((i < 3 ? 1e-5 : 1e-3) * Math.max(1, Math.abs(expected[name])));
      expect(Math.abs(summary.test.nll - other.summary.test.nll)).toBeLessThan(1e-3);
    }
  });

  test('dwp doctor finds it, and says nothing else', async () => {
    const { out, err } = await dwp('doctor');
    expect(out).toMatch(/engine tensorflow +yes/);
    expect(err).toBe('');
  });
});
