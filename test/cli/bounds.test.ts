// dwp bounds as a real process: figures that fit together, the same every time, a page, and what goes wrong.
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.js';
import { checkWellFormed } from '../report/checks.js';
import { randomVae } from '../train/tiny.js';
import { writeTestPrior } from './prior-folder.js';
import { dwp } from './run.js';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-bounds-'));
  for (const k of [7, 5]) writeTestPrior(at(`vae-${k}`), randomVae({ h: k, w: k }));
  const tiny = [
    '--examples',
    '20',
    '--channels',
    '2',
    '3',
    '--components',
    '1',
    '--steps',
    '4',
    '--samples',
    '1',
    '-q',
  ];
  const prior = ['--prior-path', at('vae-7'), at('vae-5')];
  await Promise.all([
    dwp('train', ...tiny, ...prior, '--posterior', 'semi-implicit', '--encoder', 'local', '--out', at('run')),
    dwp('train', ...tiny, '--prior', 'none', '--out', at('point')),
  ]);
  cpSync(at('run'), at('halfway'), { recursive: true });
  const checkpoint = at('halfway', 'checkpoint.safetensors');
  writeSafetensors(checkpoint, readSafetensors(checkpoint).tensors, { step: '2' });
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const estimate = z.strictObject({ mean: z.number(), standardError: z.number().min(0) });
const interval = { lower: estimate, upper: estimate };
const term = z.strictObject({
  exact: z.boolean(),
  at: z.array(
    z.strictObject({
      samples: z.number(),
      ...interval,
      widestShare: z.number().min(0).max(1),
      settled: z.boolean(),
    }),
  ),
  trained: estimate.extend({ samples: z.number() }),
  gap: z.strictObject(interval),
});
const byK = z.array(z.strictObject({ samples: z.number(), ...interval }));
const terms = { logPrior: term, logPosterior: term, divergence: byK };
const result = z.strictObject({
  run: z.string(),
  samples: z.array(z.number()),
  components: z.literal(1),
  seed: z.number(),
  draws: z.number(),
  expectedLogLikelihood: estimate,
  layers: z.array(z.strictObject({ layer: z.string(), size: z.string(), kernels: z.number(), ...terms })),
  total: z.strictObject({ ...terms, elbo: byK, trained: estimate }),
  largestGap: z.strictObject({
    layer: z.string(),
    term: z.enum(['logPrior', 'logPosterior']),
    samples: z.number(),
    gap: z.strictObject(interval),
  }),
  html: z.string().optional(),
});

test('one JSON document, the same every time; a page', async () => {
  const args = ['bounds', at('run'), '--samples', '10,1,10', '--draws', '3', '--format', 'json'];
  const html = at('bounds.html');
  const [first, second] = await Promise.all([dwp(...args), dwp(...args, '--html', html)]);
  expect(first).toMatchObject({ code: 0, err: '' });
  const found = result.parse(JSON.parse(first.out));
  expect(found.samples).toEqual([1, 10]);
  expect(found.layers.map(({ layer }) => layer)).toEqual(['conv1', 'conv2']);
  for (const { logPrior } of found.layers) {
    expect(logPrior.at.map(({ samples }) => samples)).toEqual([1, 10]);
    expect(logPrior.trained.mean).toBeCloseTo(logPrior.at[0].lower.mean, 6); // hvi: K = 1
  }
  const { html: written, ...again } = result.parse(JSON.parse(second.out));
  expect(again).toEqual(found);
  expect(written).toBe(html);
  const page = readFileSync(html, 'utf8');
  checkWellFormed(page);
  expect(page).toContain(`The largest inner gap is in ${found.largestGap.layer}`);
  const other = await dwp(...args, '--seed', '1');
  expect(JSON.parse(other.out).expectedLogLikelihood).not.toEqual(found.expectedLogLikelihood);
});

test('in words', async () => {
  const { code, out } = await dwp('bounds', at('run'), '--samples', '1', '10', '--draws', '2');
  expect(code).toBe(0);
  expect(out).toMatch(/conv1 \(2 of 7x7\) +1 +−?\d/);
  expect(out).toMatch(/With K = 10, KL\(q‖p\) is between .* and .* nats, and the evidence bound at T = 1/);
  expect(out).toMatch(/\nThe largest inner gap is in conv[12]: as trained \(K = [01]\), /);
});

describe('errors', () => {
  test.each<[string, () => string[], number, RegExp]>([
    ['no such run', () => [at('nowhere')], 3, /nowhere is not a run folder/],
    ['no prior', () => [at('point')], 2, /trained with --method point.*use a run of --method variational/],
    ['an unfinished run', () => [at('halfway')], 2, /stopped at step 2 of 4.*--resume/],
    ['K = 0', () => [at('run'), '--samples', '0,10'], 2, /--samples .*at least 1/],
    ['K is a word', () => [at('run'), '--samples', 'many'], 2, /--samples/],
    ['one draw', () => [at('run'), '--draws', '1'], 2, /--draws "1": must be at least 2/],
    ['a page that exists', () => [at('run'), '--html', at('run', 'config.yaml')], 2, /exists already/],
  ])('%s', async (_, args, code, message) => {
    const outcome = await dwp('bounds', ...args());
    expect(outcome.out).toBe('');
    expect(outcome.err.trim().split('\n')).toHaveLength(1);
    expect(outcome.err).toMatch(message);
    expect(outcome.code).toBe(code);
  });
});
