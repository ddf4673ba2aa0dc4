import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readNpy, writeNpy } from '../../src/formats/npy.js';
import { convModel, hdf5File, ramp, writeWeight } from '../importers/write-models.js';
import { dwp } from './run.js';

const WEBSR = fileURLToPath(new URL('../fixtures/websr/model-checkpoint.h5', import.meta.url));

let folder: string;
const at = (...names: string[]) => join(folder, ...names);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-collect-'));
  mkdirSync(at('models', 'deep'), { recursive: true });
  const weights = ramp([4, 3, 3, 3]);
  weights[0] = Number.NaN; // slice 0 is not finite
  weights.fill(0, 9, 18); // slice 1 is constant
  weights.copyWithin(27, 18, 27); // slice 3 repeats slice 2
  writeFileSync(at('models', 'b.onnx'), convModel([4, 3, 3, 3], weights));
  writeFileSync(at('models', 'deep', 'a.onnx'), convModel([8, 1, 5, 5], undefined, 8));
  writeFileSync(at('models', 'copy.onnx'), convModel([8, 1, 5, 5], undefined, 8));
  writeFileSync(at('models', 'cut.onnx'), convModel([4, 3, 3, 3]).subarray(0, 200));
  writeFileSync(at('models', 'notes.txt'), 'no model');
  writeFileSync(at('dense.h5'), await hdf5File((file) => writeWeight(file, 'dense/kernel:0', [4, 4])));
  writeFileSync(at('secret.onnx'), convModel([2, 2, 7, 7]));
  symlinkSync(at('secret.onnx'), at('models', 'link.onnx'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('a folder of models and a real file: counts add up, one JSON document, arrays as said', async () => {
  const out = at('kernels');
  const { code, out: stdout } = await dwp(
    ...['collect-kernels', at('models'), WEBSR, '--out', out, '--format', 'json', '--licence', 'MIT'],
  );
  expect(code).toBe(0);
  const { models, kernels, skipped } = JSON.parse(stdout);
  expect(
    models.map(({ path, layers, kernels: found }: Record<string, unknown>) => ({ path, layers, found })),
  ).toEqual([
    { path: at('models', 'b.onnx'), layers: 1, found: { '3x3': 12 } },
    { path: at('models', 'copy.onnx'), layers: 1, found: { '5x5': 8 } },
    { path: WEBSR, layers: 4, found: { '3x3': 108 } },
  ]);
  expect(kernels).toEqual({
    '3x3': {
      found: 120,
      kept: 117,
      train: 94,
      test: 23,
      split: 'kernel',
      dropped: { nonFinite: 1, constant: 1, nearZero: 0, duplicate: 1, overLimit: 0 },
    },
    '5x5': {
      found: 8,
      kept: 8,
      train: 6,
      test: 2,
      split: 'kernel',
      dropped: { nonFinite: 0, constant: 0, nearZero: 0, duplicate: 0, overLimit: 0 },
    },
  });
  expect(skipped).toEqual([
    { path: at('models', 'cut.onnx'), reason: expect.stringMatching(/^not a complete ONNX model/) },
    { path: at('models', 'deep', 'a.onnx'), reason: `the same file as ${at('models', 'copy.onnx')}` },
    { path: at('models', 'link.onnx'), reason: expect.stringMatching(/^a link, which is not followed/) },
  ]);
  expect(readNpy(join(out, '3x3', 'train.npy')).shape).toEqual([94, 3, 3]);
  expect(readdirSync(out).sort()).toEqual(['3x3', '5x5', 'dataset.json']);

  const { out: shown } = await dwp('inspect', out, '--format', 'json');
  const dataset = JSON.parse(shown);
  expect(dataset.sizes['3x3']).toMatchObject({ train: 94, test: 23, split: 'kernel' });
  expect(
    dataset.sources.map(({ name, licence, kernels: n }: Record<string, unknown>) => ({ name, licence, n })),
  ).toEqual([
    { name: 'models/b.onnx', licence: 'MIT', n: 9 },
    { name: 'models/copy.onnx', licence: 'MIT', n: 8 },
    { name: 'model-checkpoint.h5', licence: 'MIT', n: 108 },
  ]);
});

test('tables, patterns, sizes and kinds', async () => {
  const { code, out, err } = await dwp(
    ...['collect-kernels', at('models', '**', '?.onnx'), '--out', at('deep')],
    ...['--size', '5x5', '7x7', '--depthwise', 'only'],
  );
  expect(err).toContain('no kernels of 7x7 found');
  expect(code).toBe(0);
  expect(out).toMatch(/5x5 +8 +0 +0 +0 +0 +0 +8 +6 +2 +kernel/);
});

test('limits, roles, depth and duplicates are recorded with what they left out', async () => {
  const out = at('limited');
  const { code, out: stdout } = await dwp(
    ...['collect-kernels', WEBSR, at('models'), '--out', out, '--format', 'json', '--max-per-model', '30'],
    ...['--max-per-layer', '12', '--role', 'first', 'middle', 'last', '--depth', '0:4'],
    ...['--duplicates', 'symmetric', '--test-fraction', '0', '--threads', '2'],
  );
  expect(code).toBe(0);
  const { kernels } = JSON.parse(stdout);
  for (const { found, kept, dropped } of Object.values(kernels) as Record<string, never>[])
    expect(found).toBe(kept + Object.values<number>(dropped).reduce((a, b) => a + b));
  expect(kernels['3x3']).toMatchObject({ found: 120, dropped: { nonFinite: 1, overLimit: 78 } });
  const { version, options, layers } = JSON.parse(readFileSync(join(out, 'dataset.json'), 'utf8'));
  expect(version).toBe(2);
  expect(options).toMatchObject({
    roles: ['first', 'middle', 'last'],
    depth: { by: 'index', from: 0, to: 4 },
    duplicates: 'symmetric',
    maxPerLayer: 12,
    maxPerModel: 30,
  });
  for (const { train, role } of layers) {
    expect(train.count).toBeLessThanOrEqual(12);
    expect(['first', 'middle', 'last']).toContain(role);
  }
});

test('the same files whatever the number of threads', async () => {
  const collect = async (name: string, threads: string) => {
    await dwp('collect-kernels', at('models'), WEBSR, '--out', at(name), '--threads', threads);
    return readFileSync(at(name, 'dataset.json'), 'utf8');
  };
  const one = await collect('threads1', '1');
  expect(one).toContain('"version": 2');
  expect(await collect('threads3', '3')).toBe(one);
});

test('merge, subset, split and diff: results add up', async () => {
  for (const [name, model] of [
    ['one', at('models', 'b.onnx')],
    ['two', WEBSR],
  ])
    await dwp('collect-kernels', model, '--out', at(name));
  const json = async (...args: string[]) => {
    const { code, out, err } = await dwp(...args, '--format', 'json');
    expect(err).toBe('');
    expect(code).toBe(0);
    return JSON.parse(out);
  };
  const merged = await json('merge-kernels', at('one'), at('two'), '--out', at('merged'));
  expect(merged).toMatchObject({ sources: 2, kernels: { '3x3': { found: 117, kept: 117 } } });
  const split = await json('split-kernels', at('merged'), '--by', 'model', '--out', at('split'));
  expect(split.kernels['3x3']).toMatchObject({ train: 108, test: 9, split: 'model' });
  const subset = await json('subset-kernels', at('merged'), '--source', 'model-*', '--out', at('subset'));
  expect(subset).toMatchObject({ sources: 1, kernels: { '3x3': { found: 108 } } });
  const diff = await json('diff-kernels', at('merged'), at('subset'));
  expect(diff.sources).toEqual({ onlyFirst: ['b.onnx'], onlySecond: [], common: 1 });
  expect(diff.kernels).toEqual({ '3x3': { first: 117, second: 108, common: 108 } });
  expect((await dwp('diff-kernels', at('merged'), at('subset'))).out).toContain('sources: 1 in both');
  const nothing = await dwp('subset-kernels', at('merged'), '--layer', 'none*', '--out', at('never'));
  expect(nothing.code).toBe(3);
  expect(nothing.err).toMatch(/no kernels of .* are left/);
  expect((await dwp('merge-kernels', at('models'), '--out', at('never'))).code).toBe(3);
  expect(existsSync(at('never'))).toBe(false);
});

test('inspect a model', async () => {
  const { code, out } = await dwp('inspect', WEBSR, '--format', 'json');
  expect(code).toBe(0);
  const { layers, format } = JSON.parse(out);
  expect(format).toBe('keras-hdf5');
  expect(layers).toHaveLength(4);
  expect(layers[0]).toMatchObject({ name: 'conv2d', size: '3x3', kernels: 12, shape: [4, 3, 3, 3] });
  expect((await dwp('inspect', WEBSR)).out).toMatch(/^3x3 +4 +108 /m);
});

test('models that share their main file are told apart by their shards', async () => {
  const manifest = [
    { paths: ['w.bin'], weights: [{ name: 'conv/kernel', shape: [3, 3, 1, 2], dtype: 'float32' }] },
  ];
  for (const [name, scale] of [
    ['first', 1],
    ['second', -2],
    ['third', 1],
  ] as const) {
    mkdirSync(at('shards', name), { recursive: true });
    writeFileSync(at('shards', name, 'weights_manifest.json'), JSON.stringify(manifest));
    writeFileSync(at('shards', name, 'w.bin'), ramp([18], scale));
  }
  const { code, out } = await dwp(
    ...['collect-kernels', at('shards'), '--out', at('sharded'), '--format', 'json'],
  );
  expect(code).toBe(0);
  const { kernels, skipped } = JSON.parse(out);
  expect(kernels['3x3']).toMatchObject({ found: 4, kept: 4 });
  const path = (name: string) => at('shards', name, 'weights_manifest.json');
  expect(skipped).toEqual([{ path: path('third'), reason: `the same file as ${path('first')}` }]);
});

describe('bad input: one line, the exit code, nothing written', () => {
  const collect = (...args: string[]) => ['collect-kernels', ...args, '--out', at('never')];
  test.each<[string, () => string[], number, RegExp]>([
    ['a missing file', () => collect(at('nowhere.onnx')), 3, /nowhere\.onnx: no such file/],
    ['a truncated ONNX', () => collect(at('models', 'cut.onnx')), 3, /cut\.onnx: not a complete ONNX model/],
    ['an HDF5 without convolutions', () => collect(at('dense.h5')), 3, /dense\.h5: no 2-D convolutions/],
    ['a file of another kind', () => collect(at('models', 'notes.txt')), 3, /not a model of a known format/],
    ['no such size', () => collect(WEBSR, '--size', '7x7'), 3, /no kernels of 7x7 in 1 model/],
    ['everything cleaned away', () => collect(WEBSR, '--min-norm', '1e9'), 3, /108 of 3x3: 108 nearZero/],
    ['a size that is none', () => collect(WEBSR, '--size', 'big'), 2, /--size/],
    ['a depth that is none', () => collect(WEBSR, '--depth', '1-9'), 2, /is not a range of depth/],
    ['a role that is none', () => collect(WEBSR, '--role', 'hero'), 2, /--role/],
    ['a tolerance of exact copies', () => collect(WEBSR, '--tolerance', '0.1'), 2, /--duplicates near/],
    ['a fraction over 1', () => collect(WEBSR, '--test-fraction', '1.5'), 2, /--test-fraction/],
    ['--out that exists', () => ['collect-kernels', WEBSR, '--out', at('models')], 2, /exists already/],
    ['inspect of a folder of models', () => ['inspect', at('models')], 3, /without dataset\.json/],
    ['inspect of kernels with NaN', () => ['inspect', at('nan.npy')], 3, /kernel 1 .* holds NaN/],
  ])('%s', async (_, args, code, message) => {
    writeNpy(at('nan.npy'), { shape: [2, 1, 2], data: Float32Array.of(1, 2, Number.NaN, 4) });
    const result = await dwp(...args());
    expect(result.err).toMatch(message);
    expect(result.err.trim().split('\n').at(-1)).toMatch(/^error: .* — /);
    expect(result.err.trim().split('\n')).toHaveLength(1);
    expect(result.out).toBe('');
    expect(result.code).toBe(code);
    expect(existsSync(at('never'))).toBe(false);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});
