// dwp fit-images, dwp eval-images and the example, as real processes on a few digits.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dwp, startDwp } from './run.js';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-images-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const TINY = [
  ...['--epochs', '3', '--batch', '20', '--train-images', '100', '--hidden', '5', '--latent', '2'],
  ...[
    '--components',
    '4',
    '--samples',
    '20',
    '--test-images',
    '12',
    '--sampled-images',
    '5',
    '--seed',
    '7',
    '--threads',
    '1',
  ],
];

test('fits, judges, draws; the same seed gives the same bytes', async () => {
  const run = (name: string) =>
    dwp('fit-images', '--latent-prior', 'aggregate', ...TINY, '--out', at(name), '--format', 'json');
  const { code, out, err } = await run('one');
  expect(code, err).toBe(0);
  const result = JSON.parse(out); // exactly one document, or this throws
  expect(result).toMatchObject({
    config: { latentPrior: 'aggregate', components: 4, latent: 2, hidden: 5 },
    seed: 7,
    train: { images: 90, validation: 10, epochs: 3, steps: 15 },
    test: { images: 12, few: { samples: 20 }, bound: { samples: 20, images: 5 } },
  });
  expect(result.trace.map(({ epoch }: { epoch: number }) => epoch)).toEqual([1, 2, 3]);
  expect(result.trace[2].validationBound).toBeGreaterThan(result.trace[0].validationBound);
  // The log-odds of a blank network are about 0: 784 log 2 nats, to be improved upon, and p(x) < 1.
  expect(result.test.bound.mean).toBeGreaterThan(-784 * Math.LN2 - 5);
  expect(result.test.bound.mean).toBeLessThan(0);
  expect(readdirSync(at('one')).sort()).toEqual(['result.json', 'samples.png', 'weights.safetensors']);
  expect(JSON.parse(readFileSync(at('one', 'result.json'), 'utf8'))).toEqual(result);
  expect([...readFileSync(at('one', 'samples.png')).subarray(1, 4)]).toEqual([...Buffer.from('PNG')]);

  const again = JSON.parse((await run('two')).out);
  expect(again.test).toEqual(result.test);
  const weights = (name: string) => readFileSync(at(name, 'weights.safetensors'));
  expect(weights('two').equals(weights('one'))).toBe(true);
});

test('interrupted and resumed, a fit ends in the same bytes', async () => {
  const args = ['fit-images', '--latent-prior', 'aggregate', ...TINY, '--epochs', '30', '--format', 'json'];
  const whole = await dwp(...args, '--out', at('whole'));
  expect(whole.code, whole.err).toBe(0);
  const child = startDwp(...args, '--out', at('cut'));
  let over = false;
  const ended = child.ended.finally(() => {
    over = true;
  });
  while (!over && !existsSync(at('cut', 'fit.safetensors')))
    await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill('SIGINT');
  const { code, err } = await ended;
  expect(code).toBe(130);
  expect(err).toContain(`dwp fit-images --resume ${at('cut')}`);
  expect(readdirSync(at('cut'))).toEqual(['fit.safetensors']);

  const resumed = await dwp('fit-images', '--resume', at('cut'), '--threads', '1', '--format', 'json');
  expect(resumed.code, resumed.err).toBe(0);
  const [a, b] = [whole, resumed].map(({ out }) => JSON.parse(out));
  for (const part of ['config', 'test', 'trace', 'bestEpoch']) expect(b[part]).toEqual(a[part]);
  const weights = (name: string) => readFileSync(at(name, 'weights.safetensors'));
  expect(weights('cut').equals(weights('whole'))).toBe(true);
  expect(readdirSync(at('cut')).sort()).toEqual(['result.json', 'samples.png', 'weights.safetensors']);
  const done = await dwp('fit-images', '--resume', at('cut'));
  expect(done.code).toBe(3);
  expect(done.err).toContain('there is no interrupted fit');
});

test('judged once more: the same bounds, and those with fewer points', async () => {
  const judge = async (...args: string[]) => {
    const options = [...TINY.slice(TINY.indexOf('--samples')), '--format', 'json'];
    const { code, out, err } = await dwp('eval-images', at('one'), ...options, ...args);
    expect(code, err).toBe(0);
    return JSON.parse(out);
  };
  const { test } = JSON.parse(readFileSync(at('one', 'result.json'), 'utf8'));
  expect(await judge()).toEqual({ vae: at('one'), points: 90, test });
  const fewer = await judge('--points', '1');
  expect(fewer.points).toBe(1);
  expect(fewer.test.bound.mean).not.toBe(test.bound.mean);
});

test('the example fits one with each prior', async () => {
  const script = fileURLToPath(new URL('../../examples/images.sh', import.meta.url));
  const { stdout } = await execa('sh', [script, at('example'), ...TINY, '--epochs', '1', '-q']);
  expect(readdirSync(at('example')).sort()).toEqual(['aggregate', 'standard', 'vamp']);
  for (const prior of ['standard', 'vamp', 'aggregate'])
    expect(stdout).toContain(`VAE with ${prior} latent prior, 1 epoch`);
});

test.each([
  ['a folder that exists', () => ['fit-images', '--out', folder], 2, /exists/],
  ['no such data', () => ['fit-images', '--out', at('no'), '--data', 'letters'], 2, /letters/],
  ['no such prior', () => ['fit-images', '--out', at('no'), '--latent-prior', 'flow'], 2, /latent-prior/],
  ['no VAE to judge', () => ['eval-images', folder], 3, /result\.json/],
  [
    'points of N(0, I)',
    () => ['eval-images', at('example', 'standard'), '--points', '3'],
    2,
    /standard latent prior/,
  ],
])('%s', async (_, args, code, message) => {
  const outcome = await dwp(...args());
  expect(outcome.code).toBe(code);
  expect(outcome.err.trim()).toMatch(message);
  expect(outcome.err.trim().split('\n')).toHaveLength(1);
  expect(readdirSync(folder)).not.toContain('no');
});
