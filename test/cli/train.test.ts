// dwp train as a real process: what it prints and writes, and that killing it at any moment changes nothing.
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { readSafetensors } from '../../src/formats/safetensors.js';
import { randomVae } from '../train/tiny.js';
import { writeTestPrior } from './prior-folder.js';
import { dwp, startDwp } from './run.js';

const STEPS = 400;

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
const checkpointOf = (run: string) => readFileSync(join(run, 'checkpoint.safetensors'));
const stepOf = (run: string): number => {
  try {
    return Number(readSafetensors(join(run, 'checkpoint.safetensors')).metadata.step);
  } catch {
    return -1; // not there yet
  }
};

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-train-'));
  for (const k of [7, 5]) writeTestPrior(at(`vae-${k}`), randomVae({ h: k, w: k }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A training with everything random in it: kernel VAE, subsampled kernels, mini-batches. */
const trainArgs = (out: string) => [
  ...[
    'train',
    '--examples',
    '20',
    '--channels',
    '4',
    '6',
    '--components',
    '1',
    '--steps',
    `${STEPS}`,
    '--batch',
    '10',
  ],
  ...['--prior', 'dwp', '--prior-path', at('vae-7'), at('vae-5'), '--kernel-subsample', '8'],
  ...['--samples', '2', '--checkpoint-every', '0.05', '--out', out],
];

test('a run: one JSON document, a complete folder, figures that fit together', async () => {
  const out = at('small');
  const { code, out: stdout } = await dwp(
    ...[
      'train',
      '--examples',
      '20',
      '--channels',
      '4',
      '6',
      '--components',
      '3',
      '--steps',
      '20',
      '--prior',
      'standard-normal',
    ],
    ...['--samples', '3', '--out', out, '--format', 'json'],
  );
  expect(code).toBe(0);
  const result = JSON.parse(stdout); // exactly one document, or this throws
  const { test, bound, ensemble } = result;
  expect(result).toMatchObject({
    out,
    prior: 'standard-normal',
    init: 'xavier',
    examples: 20,
    split: 0,
    steps: 60,
  });
  expect(result.judgedOn).toBe('test');
  expect(test.examples).toBe(10_000);
  for (const name of ['accuracy', 'ece', 'brier']) {
    expect(test[name]).toBeGreaterThanOrEqual(0);
    expect(test[name]).toBeLessThanOrEqual(name === 'brier' ? 2 : 1);
  }
  expect(test.nll).toBeGreaterThan(0);
  expect(ensemble.at(-1)).toEqual({ samples: 3, ...test });
  expect(result.reliability.reduce((n: number, bin: { count: number }) => n + bin.count, 0)).toBe(10_000);
  expect(bound.total).toBeCloseTo(bound.expectedLogLikelihood + bound.priorTerm + bound.entropyTerm, 3);
  expect(bound.expectedLogLikelihood).toBeLessThan(0);
  expect(bound.innerGap).toBe(0); // the prior term is exact
  expect(bound.standardError).toBeGreaterThan(0);

  const files = [
    'checkpoint.safetensors',
    'components',
    'config.yaml',
    'environment.json',
    'metrics.jsonl',
    'priors.json',
    'summary.json',
  ];
  expect(readdirSync(out).sort()).toEqual(files);
  const { out: _, ...summary } = result;
  expect(JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8'))).toEqual(summary);
  const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n');
  expect(lines.map((line) => JSON.parse(line).step)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));

  // The saved configuration makes the same run again.
  const again = at('again');
  const { code: code2 } = await dwp('train', '--config', join(out, 'config.yaml'), '--out', again, '-q');
  expect(code2).toBe(0);
  expect(checkpointOf(again)).toEqual(checkpointOf(out));
  expect(parseYaml(readFileSync(join(again, 'config.yaml'), 'utf8'))).toEqual(
    parseYaml(readFileSync(join(out, 'config.yaml'), 'utf8')),
  );

  // Predictions again from the folder alone.
  const { out: evaluated } = await dwp('evaluate', out, '--samples', '3', '--format', 'json');
  expect(JSON.parse(evaluated).test.at(-1)).toEqual(ensemble.at(-1));
});

describe('interrupted and resumed, a run ends in the same bytes', () => {
  let through: string;
  beforeAll(async () => {
    through = at('through');
    expect((await dwp(...trainArgs(through), '-q')).code).toBe(0);
    expect(stepOf(through)).toBe(STEPS);
  });

  /** Starts the command, sends the signal once the checkpoint has come to `step`, and waits for the end. */
  async function interrupted(run: string, step: number, signal: NodeJS.Signals, args: string[]) {
    const child = startDwp(...args);
    let over = false;
    const ended = child.ended.finally(() => {
      over = true;
    });
    while (!over && stepOf(run) < step) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill(signal);
    return ended;
  }

  function expectSame(run: string) {
    expect(checkpointOf(run).equals(checkpointOf(through)), 'checkpoint.safetensors').toBe(true);
    const lines = (path: string) => readFileSync(join(path, 'metrics.jsonl'), 'utf8');
    expect(lines(run)).toBe(lines(through));
    const summary = (path: string) => {
      const { seconds: _, ...rest } = JSON.parse(readFileSync(join(path, 'summary.json'), 'utf8'));
      return rest;
    };
    expect(summary(run)).toEqual(summary(through));
  }

  test.each([1, 130, 260])('SIGKILL after step %i', async (step) => {
    const run = at(`killed-${step}`);
    const { code, signal } = await interrupted(run, step, 'SIGKILL', trainArgs(run));
    expect({ code, signal }).toEqual({ code: undefined, signal: 'SIGKILL' });
    expect(stepOf(run)).toBeGreaterThanOrEqual(step);
    expect(stepOf(run)).toBeLessThan(STEPS);
    expect(existsSync(join(run, 'summary.json'))).toBe(false);
    const { code: resumed, out } = await dwp('train', '--resume', run, '--format', 'json');
    expect(resumed).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ out: run, steps: STEPS });
    expectSame(run);
  });

  test('SIGKILL again and again', async () => {
    const run = at('killed-often');
    await interrupted(run, 40, 'SIGKILL', trainArgs(run));
    for (const step of [120, 220]) await interrupted(run, step, 'SIGKILL', ['train', '--resume', run]);
    expect(stepOf(run)).toBeLessThan(STEPS);
    expect((await dwp('train', '--resume', run, '-q')).code).toBe(0);
    expectSame(run);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('%s: exit code 130, and what to do', async (signal) => {
    const run = at(`stopped-${signal}`);
    const { code, out, err } = await interrupted(run, 60, signal, trainArgs(run));
    expect(code).toBe(130);
    expect(out).toBe('');
    const step = Number(/error: interrupted after step (\d+), checkpoint written/.exec(err)?.[1]);
    expect(step).toBe(stepOf(run)); // not one step is lost
    expect(err).toContain(`continue with dwp train --resume ${run}`);
    expect((await dwp('train', '--resume', run, '-q')).code).toBe(0);
    expectSame(run);
  });

  test('killed after the last step, while predicting', async () => {
    const run = at('predicting');
    cpSync(through, run, { recursive: true });
    rmSync(join(run, 'summary.json'));
    expect((await dwp('train', '--resume', run, '-q')).code).toBe(0);
    expectSame(run);
  });

  test('killed before its first checkpoint', async () => {
    const run = at('early');
    cpSync(through, run, { recursive: true });
    for (const name of ['summary.json', 'checkpoint.safetensors', 'metrics.jsonl']) rmSync(join(run, name));
    expect((await dwp('train', '--resume', run, '-q')).code).toBe(0);
    expectSame(run);
  });
});
