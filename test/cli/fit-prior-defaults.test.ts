// Defaults are written in one place: dwp fit-prior and fitPrior of the library fit the same prior where nothing is said.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fitPriorCommand } from '../../src/cli/commands/fit-prior.js';
import { familyConfig, familyOptions } from '../../src/cli/family-options.js';
import { createEngine, type Engine, foldIn, seedKey } from '../../src/engine/index.js';
import { writeNpy } from '../../src/formats/npy.js';
import { readKernelDataset } from '../../src/kernels/index.js';
import { partsOf } from '../../src/prior-folders/fit-and-judge.js';
import { readPriorFolder } from '../../src/prior-folders/prior-folder.js';
import { currentChoice } from '../../src/priors/earlier.js';
import { families } from '../../src/priors/index.js';
import { mixture } from '../../src/priors/mixture.js';
import { vae } from '../../src/priors/vae.js';
import { vaePixels } from '../../src/priors/vae-pixels.js';
import { defaultFit, fitPrior, fitSettings, refinement } from '../../src/train/fit-prior.js';
import { normal } from '../engine/reference.js';
import { dwp } from './run.js';

const folder = mkdtempSync(join(tmpdir(), 'dwp-defaults-'));
const at = (name: string) => join(folder, name);
let engine: Engine;
beforeAll(async () => {
  const data = normal(31, 100, 3, 3).data as Float32Array<ArrayBuffer>;
  writeNpy(at('kernels.npy'), { shape: [100, 3, 3], data });
  engine = await createEngine('native', 1);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(['vae', 'vae-pixels', 'mixture', 'gaussian', 'log-uniform'])('%s', async (name) => {
  const steps = ['--steps', '4', '--samples', '1', '--threads', '1'];
  const { code, err } = await dwp(
    ...['fit-prior', at('kernels.npy'), '--family', name, '--seed', '5', '--out', at(name), ...steps],
  );
  expect(code, err).toBe(0);
  const { train } = partsOf(readKernelDataset(at('kernels.npy')), 0.2, 5);
  const key = foldIn(seedKey(5), 'fit');
  const { prior } = await fitPrior({
    family: families.get(name)!,
    kernels: train,
    options: { steps: 4 },
    engine,
    key,
  });
  const { prior: written } = readPriorFolder(at(name));
  expect(written.config).toEqual(prior.config);
  expect(written.parameters).toEqual(prior.parameters);
});

test('a fit that starts from another fitted density has fewer steps, others those of defaultFit', () => {
  expect(fitSettings(vae, vae.config.parse({}))).toEqual(refinement);
  expect(fitSettings(vaePixels, vaePixels.config.parse({}))).toEqual(defaultFit);
  expect(fitSettings(vae, vae.config.parse({}), { steps: 7, batch: undefined })).toEqual({
    ...refinement,
    steps: 7,
  });
  for (const family of families.values())
    if (!family.name.startsWith('vae'))
      expect(fitSettings(family, family.config.parse({}))).toEqual(defaultFit);
});

test('folders of earlier versions: a VAE of pixels is read, one over a mixture refused, a mixture has no tails', async () => {
  expect(currentChoice({ family: 'vae', config: { networks: 'dense', latent: 3 } })).toEqual({
    family: 'vae-pixels',
    config: { networks: 'dense', latent: 3 },
  });
  const whitened = { networks: 'dense', whitening: 'mixture', members: 8, tails: 15 };
  expect(() => currentChoice({ family: 'vae', config: whitened })).toThrow(/a VAE over a mixture/);
  expect(currentChoice({ family: 'vae', config: { latent: 3 } }).family).toBe('vae');
  expect(mixture.storedConfig!.parse({ components: 3, members: 1 })).toEqual({
    ...{ components: 3, members: 1, tails: 'normal', straighten: false },
  });
});

test('what --help says of an option is what the families say', () => {
  const { hidden, components, latent } = familyOptions(families.values());
  expect(hidden.defaultText).toBe('vae: 96; vae-pixels: 128; flow: 64');
  expect(components.defaultText).toBe('vae and mixture: auto; vae-pixels: 500; scale-mixture: 10');
  expect(latent.defaultText).toBe('vae: 6; vae-pixels: 16');
  for (const family of families.values())
    for (const [name, schema] of Object.entries(family.config.shape)) {
      expect(fitPriorCommand.options[name].description).toContain(schema.description);
      expect(schema.description, `${family.name}.${name}`).toBeTruthy();
      expect(() => schema.parse(undefined), `${family.name}.${name} has a default`).not.toThrow();
    }
});

test.each([
  ['mixture', { components: '7' }, 7],
  ['mixture', { components: 'auto' }, 'auto'],
  ['scale-mixture', { components: '3' }, 3],
] as const)('%s takes %j', (name, given, expected) => {
  const { components } = familyOptions(families.values());
  const value = components.schema.parse(given.components);
  const config = familyConfig(families.get(name)!, { components: value }, families.values());
  expect(config.components).toBe(expected);
});

test.each<[string, Record<string, unknown>, RegExp]>([
  ['gaussian', { latent: 3 }, /--latent is an option of the family vae or vae-pixels, not of gaussian/],
  [
    'laplace',
    { hidden: 3 },
    /--hidden is an option of the family vae(,| or) vae-pixels or flow, not of laplace/,
  ],
  [
    'mixture',
    { latentPrior: 'vamp' },
    /--latent-prior is an option of the family vae-pixels, not of mixture/,
  ],
  ['mixture', { components: 0 }, /--components 0 of the family mixture: must be at least 1/],
  [
    'mixture',
    { components: 'few' },
    /--components "few" of the family mixture: must be auto, or a whole number/,
  ],
  ['scale-mixture', { components: 101 }, /--components 101 of the family scale-mixture: must be at most 100/],
])('%s refuses %j', (name, given, message) => {
  expect(() => familyConfig(families.get(name)!, given, families.values())).toThrow(message);
});
