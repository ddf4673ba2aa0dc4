// Runs whose priors are mixed, adapted or resampled: what they learn, write, resume, and refuse.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exportRun } from '../../src/interchange/export-run.js';
import { readPriorFolder } from '../../src/prior-folders/prior-folder.js';
import { isotropicNormal } from '../../src/priors/index.js';
import { parseRunConfig } from '../../src/runs/config.js';
import { resumeRun, startRun } from '../../src/runs/run.js';
import { writeTestPrior } from '../cli/prior-folder.js';
import { randomVae } from '../train/tiny.js';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-adapted-'));
  for (const k of [7, 5]) {
    const size = { h: k, w: k };
    writeTestPrior(at(`narrow-${k}`), isotropicNormal(size, {}, 0.05));
    writeTestPrior(at(`wide-${k}`), isotropicNormal(size, {}, 5));
    writeTestPrior(at(`vae-${k}`), randomVae(size));
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const config = (options: Record<string, unknown>) =>
  parseRunConfig(options, {
    base: {
      examples: 10,
      validation: 20,
      channels: [2, 3],
      components: 1,
      steps: 40,
      batch: 10,
      samples: 2,
      kernelSubsample: 4,
      ...{ threads: 1, temperature: 1 },
    },
  });
const both = (name: string) => [at(`${name}-7`), at(`${name}-5`)];

/** Interrupted after a step, and gone on with. */
async function inTwoParts(options: Record<string, unknown>, out: string) {
  const controller = new AbortController();
  const progress = (phase: string, done: number) => {
    if (phase === 'training' && done === 17) controller.abort();
  };
  await expect(startRun(config(options), out, { signal: controller.signal, progress })).rejects.toThrow(
    /interrupted/,
  );
  return resumeRun(out);
}
const checkpoint = (run: string) => readFileSync(join(run, 'checkpoint.safetensors'));

test('learned weights go to the prior that the weights come from, and a resumed run is the same', async () => {
  const options = {
    prior: 'fitted',
    priorPath: [...both('narrow'), ...both('wide')],
    mixPriors: 'learned',
    init: 'xavier',
    priorLearningRate: 0.1,
  };
  const { priors } = await startRun(config(options), at('mixed'));
  expect(priors).toHaveLength(2);
  for (const { paths, learned, family } of priors!) {
    expect(family).toBe('mixed');
    expect(paths[0]).toMatch(/narrow/);
    expect(learned!.weights![0]).toBeGreaterThan(0.6); // Glorot's weights are about 0.1
  }
  await inTwoParts(options, at('mixed-parts'));
  expect(checkpoint(at('mixed-parts')).equals(checkpoint(at('mixed')))).toBe(true);
  const { prior } = readPriorFolder(at('mixed', 'priors', 'conv1'));
  const [a, b] = prior.parameters.logWeight.data;
  expect(1 / (1 + Math.exp(b - a))).toBeCloseTo(priors![0].learned!.weights![0], 5);
});

test('scale, p(z) and decoder of a VAE: the bound is no worse, and the prior it ends with is a folder', async () => {
  const options = { priorPath: both('vae'), init: 'xavier', bound: 'multisample', boundSamples: 2 };
  const fixed = await startRun(config(options), at('fixed'));
  const adapt = { ...options, adaptPrior: ['scale', 'latent', 'decoder'], priorLearningRate: 0.02 };
  const { priors, bound } = await startRun(config(adapt), at('adapted'));
  expect(bound!.total).toBeGreaterThan(fixed.bound!.total);
  expect(priors![0].learned!.scale).not.toBe(1);
  await inTwoParts(adapt, at('adapted-parts'));
  expect(checkpoint(at('adapted-parts')).equals(checkpoint(at('adapted')))).toBe(true);
  const { prior, about } = readPriorFolder(at('adapted', 'priors', 'conv2'));
  expect(prior).toMatchObject({ family: 'scaled', size: { h: 5, w: 5 } });
  expect(about.derived?.from).toEqual([at('vae-5')]);
  // it serves another run, which adapts it further, without the scale
  const again = await startRun(
    config({
      prior: 'fitted',
      priorPath: [at('adapted', 'priors', 'conv1'), at('adapted', 'priors', 'conv2')],
      adaptPrior: ['latent'],
      steps: 2,
    }),
    at('again'),
  );
  expect(again.priors![0].learned).toEqual({});
  const further = readPriorFolder(at('again', 'priors', 'conv1')).prior.parameters;
  const before = readPriorFolder(at('adapted', 'priors', 'conv1')).prior.parameters;
  for (const [name, { data }] of Object.entries(before))
    if (/latent/.test(name)) expect(further[name].data, name).not.toEqual(data);
    else expect(further[name].data, name).toEqual(data);
});

test('a size that is missing is made of another one, and said', async () => {
  const warnings: string[] = [];
  const options = { prior: 'fitted', priorPath: [at('narrow-7')], steps: 2 };
  const { priors } = await startRun(config({ ...options, posterior: 'semi-implicit' }), at('resampled'), {
    warn: (line) => warnings.push(line),
  });
  expect(warnings).toEqual([
    expect.stringMatching(/^conv2: .*narrow-7 \(resampled from 7x7, as no prior of 5x5 fits\)/),
  ]);
  expect(priors![1]).toMatchObject({ layer: 'conv2', family: 'mixture', substitute: true });
  const { about } = readPriorFolder(at('resampled', 'priors', 'conv2-resampled'));
  expect(about.derived?.from).toEqual([at('narrow-7')]);
  const { files } = await exportRun(at('resampled'), { onnx: at('resampled.onnx') });
  expect(files).toHaveLength(1);

  const started = await startRun(config({ ...options, prior: 'none' }), at('started'));
  expect(started.init).toBe('samples');
  expect(existsSync(at('started', 'priors', 'conv2-resampled', 'prior.json'))).toBe(true);

  const normal = await startRun(config({ ...options, fallback: 'normal', init: 'xavier' }), at('normal'));
  expect(normal.priors![1]).toMatchObject({ family: 'normal', paths: [], substitute: true });
  await expect(startRun(config({ ...options, fallback: 'none' }), at('none'))).rejects.toThrow(
    /prior of size 5x5 for layer conv2/,
  );
  expect(existsSync(at('none'))).toBe(false);
}, 300_000);

test.each<[string, () => Record<string, unknown>, RegExp]>([
  [
    'two priors of a size',
    () => ({ priorPath: [...both('narrow'), ...both('wide')] }),
    /conv1 .*match equally well/,
  ],
  [
    'mixing what is one',
    () => ({ priorPath: both('narrow'), mixPriors: 'learned' }),
    /no layer has more than one/,
  ],
  [
    'a decoder of a normal',
    () => ({ priorPath: both('narrow'), adaptPrior: ['decoder'] }),
    /family normal has no decoder/,
  ],
  [
    'chains',
    () => ({ priorPath: both('narrow'), adaptPrior: ['scale'], method: 'chains', densePrior: 'normal' }),
    /--adapt-prior cannot be used with --method chains: it is an option of variational/,
  ],
  [
    'a rate of nothing',
    () => ({ priorPath: both('narrow'), priorLearningRate: 0.1 }),
    /no part of a prior is learned/,
  ],
])('refused: %s', async (_, options, message) => {
  const start = async () => startRun(config({ prior: 'fitted', ...options() }), at('refused'));
  await expect(start()).rejects.toThrow(message);
  expect(existsSync(at('refused'))).toBe(false);
});
