// A run by Markov chains as real processes: trained, evaluated, reported, compared again without being run again.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { dwp } from './run.js';

const folder = mkdtempSync(join(tmpdir(), 'dwp-cli-chains-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const run = join(folder, 'run');

test('train, evaluate and report of an hmc run agree', async () => {
  const trained = await dwp(
    ...['train', '--arch', 'one-conv', '--channels', '2', '--prior', 'standard-normal', '--method', 'chains'],
    ...[
      '--dense-prior',
      'normal',
      '--examples',
      '10',
      '--validation',
      '50',
      '--steps',
      '40',
      '--leapfrog',
      '3',
    ],
    ...['--samples', '6', '--threads', '1', '--out', run, '--format', 'json'],
  );
  expect(trained.err).not.toMatch(/error/i);
  expect(trained.code).toBe(0);
  const result = JSON.parse(trained.out);
  expect(result.chains).toMatchObject({ method: 'hmc', chains: 2, draws: 20 });
  expect(result.chains.functions.map(({ name }: { name: string }) => name)).toContain('norm of conv1');
  expect(result.chains.acceptance).toBeGreaterThan(0);
  expect(result.chains.stepSizes).toHaveLength(2);
  expect(result.bound).toBeUndefined();

  const evaluated = await dwp('evaluate', run, '--samples', '6', '--format', 'json');
  expect(evaluated.code).toBe(0);
  expect(JSON.parse(evaluated.out).test.at(-1)).toEqual(result.ensemble.at(-1));

  const page = join(folder, 'report.html');
  const reported = await dwp('report', run, '--out', page);
  expect(reported.code, reported.err).toBe(0);
  const html = readFileSync(page, 'utf8');
  expect(html).toContain('conv1');
  expect(html).toContain(`${(100 * result.test.accuracy).toFixed(1)}`);
});

test('its draws are exported as networks that predict together', async () => {
  const { code, err, out } = await dwp('export', run, '--onnx', join(folder, 'net.onnx'), '--format', 'json');
  expect(code, err).toBe(0);
  expect(JSON.parse(out).components).toBe(6);
});

test('what it cannot do is told in one line', async () => {
  const [keras, bounds] = [
    ['export', run, '--keras', join(folder, 'net.h5')],
    ['bounds', run],
  ];
  for (const [command, message] of [
    [keras, /mixture of 6/],
    [bounds, /--method chains/],
  ] as const) {
    const { code, err, out } = await dwp(...command);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err.trim().split('\n')).toHaveLength(1);
    expect(err).toMatch(message);
  }
  expect(existsSync(join(folder, 'net.h5'))).toBe(false);
});

test('names of earlier versions are taken, and said', async () => {
  const { code, err } = await dwp(
    ...['train', '--examples', '10', '--prior', 'none', '--posterior', 'hmc', '--out', join(folder, 'never')],
  );
  expect(code).toBe(2);
  expect(err).toMatch(/^error: --prior none cannot be used with --method chains/);
  const trained = await dwp(
    ...['train', '--examples', '10', '--prior', 'normal', '--posterior', 'hmc', '--dense-prior', 'normal'],
    ...[
      '--fallback',
      'normal',
      '--arch',
      'one-conv',
      '--channels',
      '2',
      '--validation',
      '20',
      '--steps',
      '4',
    ],
    ...['--samples', '1', '--threads', '1', '--out', join(folder, 'earlier')],
  );
  expect(trained.code, trained.err).toBe(0);
  expect(trained.err).toMatch(/--posterior hmc is --method chains --sampler hmc now/);
  expect(trained.err).toMatch(/--prior normal is --prior dwp now/);
});

test('a plan keeps runs of chains that have finished', async () => {
  const plan = join(folder, 'plan.yaml');
  writeFileSync(
    plan,
    `base: { arch: one-conv, channels: [2], prior: standard-normal, densePrior: normal, validation: 20, samples: 2, steps: 20, threads: 1 }
methods: [{ label: sghmc, method: chains, sampler: sghmc }]
examples: [10]
splits: [0]
`,
  );
  const out = join(folder, 'compared');
  const first = await dwp('compare', plan, '--out', out, '--format', 'json');
  expect(first.code, first.err).toBe(0);
  const kept = join(out, 'runs', 'sghmc-10-0', 'chains.safetensors');
  const { mtimeMs } = statSync(kept);
  const again = await dwp('compare', plan, '--out', out, '--format', 'json');
  expect(JSON.parse(again.out)).toEqual(JSON.parse(first.out));
  expect(statSync(kept).mtimeMs).toBe(mtimeMs);
});
