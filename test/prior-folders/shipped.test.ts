// Priors that come with the package, and priors of kernels in units of their layers.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEngine, type Engine, seedKey } from '../../src/engine/index.js';
import { heStd, readKernelDataset } from '../../src/kernels/index.js';
import { buildArchitecture } from '../../src/network/index.js';
import { readPriorFolder } from '../../src/prior-folders/prior-folder.js';
import { priorPath, shippedPriors } from '../../src/prior-folders/shipped.js';
import { describeNetwork } from '../../src/problems/describe.js';
import { layerNeeds, layerPrior, readOffer } from '../../src/problems/layer-priors.js';
import { initOf, priorPaths } from '../../src/problems/options.js';
import { samplePrior } from '../../src/train/sample-prior.js';
import { dwp } from '../cli/run.js';

const PRETRAINED = fileURLToPath(new URL('../../pretrained/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'dwp-shipped-'));
const at = (name: string) => join(folder, name);
let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
  const models = ['lenet-00.onnx', 'lenet-01.onnx'].map((name) => join(PRETRAINED, name));
  const { code, err } = await dwp('collect-kernels', ...models, '--out', at('kernels'));
  expect(code, err).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rms = (x: ArrayLike<number>) => Math.sqrt(Array.from(x).reduce((sum, v) => sum + v * v, 0) / x.length);

test('5 MB at most, with cards, without kernels of others', () => {
  const names = shippedPriors();
  expect(names).toEqual(
    expect.arrayContaining(['shipped:3x3-inner', 'shipped:3x3-depthwise', 'shipped:7x7-first']),
  );
  const files = names.flatMap((name) =>
    readdirSync(priorPath(name)).map((file) => join(priorPath(name), file)),
  );
  expect(files.reduce((sum, file) => sum + statSync(file).size, 0)).toBeLessThan(5e6);
  for (const name of names) {
    expect(readdirSync(priorPath(name)).sort()).toEqual(['card.md', 'prior.json', 'weights.safetensors']);
    expect(readFileSync(join(priorPath(name), 'card.md'), 'utf8')).toMatch(/licence/);
  }
});

test('each is a better density of networks that it was not fitted on than the isotropic normal, and can be drawn from', async () => {
  for (const name of shippedPriors()) {
    const { prior, about } = readPriorFolder(name);
    expect(about.units).toBe('layer');
    const { test: own, baselines } = about;
    expect(own!.logDensity!, name).toBeGreaterThan(baselines.isotropic.logDensity!);
    const drawn = await samplePrior(prior, 500, engine, seedKey(970));
    expect(drawn.every(Number.isFinite), name).toBe(true);
    expect(rms(drawn), name).toBeGreaterThan(0.5);
    expect(rms(drawn), name).toBeLessThan(2);
  }
});

test.each(['shipped:none', 'shipped:../src', 'shipped:'])('%s is no prior', (name) => {
  expect(() => readPriorFolder(name)).toThrow(/no prior shipped:/);
});

const network = buildArchitecture('small', { height: 12, width: 12, channels: 3 }, 4, [
  { kind: 'conv', channels: 6, kernel: 3, padding: 'same' },
  { kind: 'relu' },
  { kind: 'conv', channels: 6, kernel: 3, padding: 'same', groups: 6 },
  { kind: 'conv', channels: 8, kernel: 3, padding: 'same' },
  { kind: 'relu' },
  { kind: 'flatten' },
  { kind: 'dense', units: 4 },
]);

test('without --prior-path layers take those of their size and role, at the scale of their start', async () => {
  const config = { prior: 'dwp', priorPath: [] as string[] } as const;
  const offers = priorPaths({ ...config }).map(readOffer);
  const paths = describeNetwork(network, offers).layers.flatMap(({ prior }) => (prior ? prior.paths : []));
  expect(paths).toEqual(['shipped:3x3-first', 'shipped:3x3-depthwise', 'shipped:3x3-inner']);
  expect(initOf({ ...config, init: undefined })).toBe('samples');
  expect(priorPaths({ ...config, prior: 'standard-normal' })).toEqual([]);
  for (const need of Object.values(layerNeeds(network)).slice(0, 3)) {
    const { prior, family } = layerPrior(need, offers, 'a test', { fallback: 'none', mixPriors: 'none' });
    const drawn = await samplePrior(prior, 4000, engine, seedKey(971));
    expect(family).not.toBe('scaled');
    const { h, w } = need.size;
    const ratio = rms(drawn) / heStd([1, need.inputs, h, w]);
    expect(ratio, need.name).toBeGreaterThan(0.7);
    expect(ratio, need.name).toBeLessThan(1.4);
  }
});

test('kernels in units of their layers: each layer has a root mean square of 1, and densities are those of w/s', async () => {
  const { train } = readKernelDataset(at('kernels'), '5x5', { units: 'layer' });
  expect(rms(train.data)).toBeCloseTo(1, 1);
  const fitted = (name: string, ...more: string[]) =>
    dwp(
      'fit-prior',
      at('kernels'),
      '--size',
      '5x5',
      '--family',
      'normal',
      ...more,
      '--out',
      at(name),
      '--format',
      'json',
    );
  const [plain, inUnits] = [await fitted('plain'), await fitted('units', '--units', 'layer')];
  expect([plain.code, inUnits.code], inUnits.err).toEqual([0, 0]);
  expect(JSON.parse(readFileSync(join(at('units'), 'prior.json'), 'utf8')).units).toBe('layer');
  expect(existsSync(join(at('plain'), 'prior.json'))).toBe(true);
  const of = ({ out }: { out: string }) => JSON.parse(out).test.logDensity;
  expect(of(inUnits)).toBeLessThan(of(plain) - 10); // −d log s, s < 1
  const again = await dwp('eval-prior', at('units'), '--kernels', at('kernels'), '--format', 'json');
  expect(Math.abs(JSON.parse(again.out).logDensity - of(inUnits))).toBeLessThan(1e-3);
  const bare = join(at('kernels'), '5x5', 'train.npy');
  const refused = await dwp('fit-prior', bare, '--units', 'he', '--out', at('never'));
  expect(refused.code).toBe(3);
  expect(refused.err).toMatch(/train\.npy: .*an array knows no layers/);
});
