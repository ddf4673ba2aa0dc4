// fit-prior, eval-prior and sample-prior as real processes, on kernels drawn from a known density.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readNpy, writeNpy } from '../../src/formats/npy.js';
import { normal } from '../engine/reference.js';
import { dwp } from './run.js';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
const STD = 0.1;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-prior-'));
  const data = normal(210, 500, 3, 3).data.map((x) => STD * x) as Float32Array<ArrayBuffer>;
  writeNpy(at('kernels.npy'), { shape: [500, 3, 3], data });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function json(...args: string[]) {
  const { code, out, err } = await dwp(...args, '--format', 'json');
  expect(code, err).toBe(0);
  return JSON.parse(out); // exactly one document, or this throws
}

const fitArgs = (out: string) => [
  ...[
    'fit-prior',
    at('kernels.npy'),
    '--out',
    out,
    '--family',
    'vae-pixels',
    '--steps',
    '200',
    '--latent',
    '2',
  ],
  ...['--hidden', '8', '--samples', '20', '--seed', '3'],
];

test('fit, evaluate and draw; the same seed gives the same bytes', async () => {
  const out = at('vae');
  const fitted = await json(...fitArgs(out));
  expect(fitted).toMatchObject({
    out,
    family: 'vae-pixels',
    size: '3x3',
    kernels: { train: 400, test: 100 },
    steps: 200,
  });
  expect(fitted.seconds).toBeGreaterThan(0);
  const { test: held, baselines } = fitted;
  expect(held).toMatchObject({ n: 100, samples: 20 });
  expect(held.bound).toBeGreaterThan(held.elbo - held.standardError); // from different samples
  // E log N(w | 0, 0.1² I) = −9 (log 0.1 + ½ log 2πe); N(0, I) is at −9 (½ log 2π + ½ 0.1²)
  const truth = -9 * (Math.log(STD) + 0.5 * Math.log(2 * Math.PI * Math.E));
  expect(Math.abs(baselines.isotropic.logDensity - truth)).toBeLessThan(
    5 * baselines.isotropic.standardError,
  );
  expect(baselines.standardNormal.logDensity).toBeCloseTo(-9 * (0.5 * Math.log(2 * Math.PI) + 0.005), 1);
  expect(baselines.gaussian.logDensity).toBeGreaterThan(baselines.standardNormal.logDensity);
  expect(held.bound).toBeLessThan(truth + 5 * held.standardError);
  expect(held.bound).toBeGreaterThan(truth - 3); // 200 steps bring a VAE close to a round cloud
  expect(readdirSync(out).sort()).toEqual(['prior.json', 'real.npy', 'weights.safetensors']);

  await json(...fitArgs(at('again')));
  const weights = (name: string) => readFileSync(at(name, 'weights.safetensors'));
  expect(weights('again').equals(weights('vae'))).toBe(true);

  const evaluated = await json('eval-prior', out, '--kernels', at('kernels.npy'), '--samples', '20');
  expect(evaluated.n).toBe(500);
  expect(evaluated.bound).toBeGreaterThan(evaluated.elbo - evaluated.standardError);
  expect(Math.abs(evaluated.bound - held.bound)).toBeLessThan(1);

  const args = ['sample-prior', out, '-n', '2000', '--out', at('samples.npy'), '--png', at('samples.png')];
  const sampled = await json(...args);
  expect(sampled).toMatchObject({ n: 2000, size: '3x3' });
  expect(Math.abs(sampled.std / STD - 1)).toBeLessThan(0.3);
  const { shape, data } = readNpy(at('samples.npy'));
  expect(shape).toEqual([2000, 3, 3]);
  expect(data.every(Number.isFinite)).toBe(true);
  expect([...readFileSync(at('samples.png')).subarray(1, 4)]).toEqual([...Buffer.from('PNG')]);
});

test('without --family the choice is said, written down, and the same as naming what it chose', async () => {
  const args = ['fit-prior', at('kernels.npy'), '--seed', '3'];
  const fitted = await json(...args, '--out', at('auto'));
  expect(fitted.chosen).toMatchObject({ heldOut: 400, folds: 5, skipped: [] });
  expect(fitted.family).toBe('normal'); // a round cloud
  expect(fitted.chosen.trials.map(({ family }: { family: string }) => family)).toContain('mixture');
  expect(JSON.parse(readFileSync(at('auto', 'prior.json'), 'utf8'))).toMatchObject({
    family: 'normal',
    chosen: fitted.chosen,
  });
  await json(...args, '--family', 'normal', '--out', at('named'));
  const weights = (name: string) => readFileSync(at(name, 'weights.safetensors'));
  expect(weights('auto').equals(weights('named'))).toBe(true);
  const { out, err } = await dwp(...args, '--steps', '9', '--out', at('said'));
  expect(out).toMatch(
    /^Family: normal, chosen on 400 train kernels held out in 5 folds; beside it, in nats/m,
  );
  expect(err).toContain('--steps has no effect');
});

test('an exact family: log-density instead of bounds', async () => {
  const fitted = await json('fit-prior', at('kernels.npy'), '--family', 'gaussian', '--out', at('gaussian'));
  expect(fitted.test).toEqual(fitted.baselines.gaussian);
  expect(fitted.test).not.toHaveProperty('bound');
  const evaluated = await json('eval-prior', at('gaussian'), '--kernels', at('kernels.npy'));
  expect(evaluated.logDensity).toBeGreaterThan(fitted.test.logDensity); // most of them it was fitted on
});

test('tables for people', async () => {
  const { code, out } = await dwp(...fitArgs(at('table')), '-q');
  expect(code).toBe(0);
  for (const label of ['vae-pixels (this prior)', 'N(0, I)', 'N(0, s²I)', 'N(μ, Σ)'])
    expect(out).toContain(label);
  expect(out).toMatch(/(Above|Below) the full-covariance Gaussian by [\d.]+ nats per kernel\./);
});

test('--role of an array is written down for dwp train to choose by', async () => {
  const out = at('first');
  const args = ['fit-prior', at('kernels.npy'), '--family', 'normal', '--role', 'first', '--out', out];
  expect(await json(...args)).toMatchObject({ roles: ['first'] });
  expect(JSON.parse(readFileSync(join(out, 'prior.json'), 'utf8')).layers).toEqual({
    roles: ['first'],
    inputs: [],
  });
});
