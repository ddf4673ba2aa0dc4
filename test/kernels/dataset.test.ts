import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { inputError } from '../../src/errors.js';
import { readNpy, writeNpy } from '../../src/formats/npy.js';
import type { ConvLayer, OpenedModel } from '../../src/importers/index.js';
import {
  type CollectOptions,
  collectKernels,
  parseDepth,
  pooledMoments,
  readDatasetDescription,
  readKernelDataset,
} from '../../src/kernels/index.js';
import { filesOf, opener, sha256 } from './in-memory.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-dataset-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const OPTIONS: CollectOptions = {
  depthwise: 'include',
  transposed: 'exclude',
  normalize: 'none',
  testFraction: 0.25,
  seed: 0,
};

/** A layer, and its weights for comparison. */
interface TestLayer extends ConvLayer {
  data: Float32Array;
}

const layer = (
  name: string,
  shape: ConvLayer['shape'],
  value: (i: number) => number,
  kind: ConvLayer['kind'] = 'conv',
): TestLayer => {
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => value(i));
  return { name, kind, shape, dtype: 'float32', data, read: () => data };
};

const MODELS = [
  [layer('a', [4, 3, 2, 2], (i) => i + 1), layer('b', [2, 1, 3, 1], (i) => i - 3)],
  [layer('a', [4, 3, 2, 2], (i) => i + 5), layer('c', [4, 1, 2, 2], (i) => 1000 - i * i, 'depthwise')],
];

let made = 0;
function collect(
  options: Partial<CollectOptions> = {},
  models = MODELS,
  out = join(folder, `out${made++}`),
  about?: (path: string) => Partial<OpenedModel>,
) {
  return collectKernels(
    filesOf(models),
    out,
    { ...OPTIONS, ...options },
    {},
    { open: opener(models, about) },
  );
}

test('counts by model and by size, duplicates across models', async () => {
  const { models, sizes } = await collect();
  expect(models.map(({ kernels }) => kernels)).toEqual([{ '2x2': 12, '3x1': 2 }, { '2x2': 16 }]);
  // model 1's layer a is model 0's moved by one slice: 11 of 12 are duplicates
  expect(sizes.get('2x2')).toMatchObject({
    found: 28,
    dropped: { nonFinite: 0, constant: 0, nearZero: 0, duplicate: 11, overLimit: 0 },
  });
});

test('kinds and sizes that are not wanted are not found', async () => {
  const found = async (options: Partial<CollectOptions>, models = MODELS) =>
    (await collect(options, models)).models.map(({ kernels }) => kernels);
  expect((await found({ depthwise: 'exclude' }))[1]).toEqual({ '2x2': 12 });
  expect(await found({ depthwise: 'only' })).toEqual([{}, { '2x2': 4 }]);
  expect(await found({ sizes: ['3x1'] })).toEqual([{ '3x1': 2 }, {}]);
  const others = [[layer('t', [1, 2, 2, 2], (i) => i, 'transposed'), layer('p', [2, 2, 1, 1], (i) => i + 1)]];
  expect(await found({}, others)).toEqual([{}]);
  expect(await found({ transposed: 'include', sizes: ['1x1', '2x2'] }, others)).toEqual([
    { '1x1': 4, '2x2': 2 },
  ]);
});

test('roles and depth', async () => {
  const net = [
    layer('stem', [4, 3, 2, 2], (i) => i + 0.1),
    layer('depth', [4, 1, 2, 2], (i) => i + 0.2, 'depthwise'),
    layer('point', [4, 4, 1, 1], (i) => i + 0.3),
    layer('body', [4, 4, 2, 2], (i) => i + 0.4),
    layer('up', [4, 4, 2, 2], (i) => i + 0.5, 'transposed'),
    layer('head', [4, 4, 2, 2], (i) => i + 0.6),
  ];
  const names = async (options: Partial<CollectOptions>) => {
    const { description } = await collect(options, [net]);
    return description!.layers.map((record) => `${record.layer} ${record.role} ${record.depth}`);
  };
  expect(await names({})).toEqual(['stem first 0', 'depth depthwise 0.2', 'body middle 0.6', 'head last 1']);
  expect(await names({ roles: ['first', 'transposed'] })).toEqual(['stem first 0', 'up transposed 0.8']);
  expect(await names({ roles: ['pointwise'], sizes: ['1x1'] })).toEqual(['point pointwise 0.4']);
  expect(await names({ depth: parseDepth('0:2') })).toEqual(['stem first 0', 'depth depthwise 0.2']);
  expect(await names({ depth: parseDepth('0.5-1') })).toEqual(['body middle 0.6', 'head last 1']);
});

test.each(['', '3', '5:5', '0.5-0.25', '0-2', '-1:3', 'a-b'])('%j is not a range of depth', (text) => {
  expect(() => parseDepth(text)).toThrow(/not a range of depth/);
});

test('limits: a large model and a large layer do not drown the rest; the seed chooses', async () => {
  const net = (salt: number, ...outs: number[]) =>
    outs.map((out, i) => layer(`l${i}`, [out, 1, 3, 3], (j) => Math.sin(j * 7.1 + i + 100 * salt)));
  const models = [net(1, 5, 1000, 200), net(2, 40)];
  const options = { testFraction: 0, maxPerModel: 90, maxPerLayer: 60 };
  const { description, sizes } = await collect(options, models);
  expect(description!.layers.map(({ train }) => train.count)).toEqual([5, 42, 43, 40]);
  expect(sizes.get('3x3')).toMatchObject({ found: 1245, train: 130, dropped: { overLimit: 1115 } });
  const rows = async (seed: number) => {
    const out = join(folder, `limit${seed}-${made++}`);
    await collect({ ...options, seed }, models, out);
    return readKernelDataset(out).train.data;
  };
  const [a, b, other] = [await rows(1), await rows(1), await rows(2)];
  expect(b).toEqual(a);
  expect(other).not.toEqual(a);
  // rows keep the order of the layer, spread over all of it
  const of1000 = Array.from({ length: 42 }, (_, i) => a[9 * (5 + i)]);
  const places = of1000.map((x) => [...models[0][1].data].indexOf(x) / 9);
  expect(places).toEqual([...places].sort((p, q) => p - q));
  expect(places[0]).toBeLessThan(250);
  expect(places[41]).toBeGreaterThan(750);
});

test('copies of a model are skipped; a model that changes between the passes ends it', async () => {
  const same = await collect({}, [...MODELS, MODELS[0]], undefined, (path) =>
    path === 'm2' ? { sha256: sha256('m0') } : {},
  );
  expect(same.skipped).toEqual([{ path: 'm2', reason: 'the same file as m0' }]);
  expect(same.models).toHaveLength(2);
  let opened = 0;
  const changing = () => ({ files: [{ path: 'm0', bytes: 1, modified: opened++ }] });
  const out = join(folder, 'changed');
  await expect(collect({}, [MODELS[0]], out, changing)).rejects.toMatchObject({
    code: 'INPUT',
    message: expect.stringMatching(/^m0: changed while/),
  });
  expect(readdirSync(folder).filter((name) => name.includes('changed'))).toEqual([]);
});

test('a layer that cannot be read is skipped with its reason, and what fails otherwise leaves nothing', async () => {
  const broken = (error: Error): TestLayer => ({
    ...layer('broken', [4, 4, 2, 2], (i) => i),
    read: () => {
      throw error;
    },
  });
  const { models } = await collect({}, [[broken(inputError('m0: damaged', 'x')), ...MODELS[0]]]);
  expect(models[0].skipped).toEqual([{ layer: 'broken', reason: 'damaged' }]);
  expect(models[0].kernels).toEqual(MODELS_0);
  const out = join(folder, 'bug');
  await expect(collect({}, [[broken(new Error('a bug'))]], out)).rejects.toThrow('a bug');
  expect(readdirSync(folder).filter((name) => name.includes('bug'))).toEqual([]);
});

const MODELS_0 = { '2x2': 12, '3x1': 2 };

test('Ctrl-C between layers leaves nothing', async () => {
  const abort = new AbortController();
  const model = [
    ...MODELS[0],
    {
      ...MODELS[1][1],
      read: () => {
        abort.abort();
        return MODELS[1][1].data;
      },
    },
    layer('after', [4, 4, 2, 2], (i) => i),
  ];
  const files = [{ path: 'm0', name: 'm0' }];
  const out = join(folder, 'interrupted');
  await expect(
    collectKernels(files, out, OPTIONS, { signal: abort.signal }, { open: opener([model]) }),
  ).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect(readdirSync(folder).filter((name) => name.includes('interrupted'))).toEqual([]);
});

test('what is written is read back, and the table says where each layer went', async () => {
  const out = join(folder, 'kernels');
  await collect({}, MODELS, out);
  const read = readKernelDataset(out, '2x2');
  expect(read).toMatchObject({ name: 'kernels', train: { count: 13, h: 2, w: 2 }, test: { count: 4 } });
  expect(read.sha256).toMatch(/^[0-9a-f]{64}$/);
  expect(readNpy(join(out, '2x2', 'train.npy')).shape).toEqual([13, 2, 2]);
  expect(readdirSync(folder).filter((name) => !name.startsWith('out'))).toEqual(['kernels']); // nothing temporary is left

  const { layers, sizes } = readDatasetDescription(out);
  expect(sizes['2x2'].split).toEqual({ by: 'kernel', testModels: [] });
  for (const { size, model, layer: name, train, test: held } of layers) {
    const original = [...MODELS[model].find((l) => l.name === name)!.data];
    const cells = size === '2x2' ? 4 : 3;
    const { train: trainSet, test: testSet } = readKernelDataset(out, size);
    for (const [set, { offset, count }] of [[trainSet, train] as const, [testSet!, held] as const])
      for (let row = offset; row < offset + count; row++) expect(original).toContain(set.data[row * cells]); // the row's first weight is one of this layer's
  }
  expect(layers.map(({ train, test: held }) => train.count + held.count)).toEqual([2, 12, 1, 4]); // 3x1 first, then 2x2 by model
});

test('unit: every kernel has norm 1 and its norm is kept beside', async () => {
  const out = join(folder, 'kernels');
  await collect({ normalize: 'unit' }, MODELS, out);
  const { train } = readKernelDataset(out, '2x2', { asStored: true });
  const scale = readNpy(join(out, '2x2', 'train.scale.npy')).data;
  expect(scale).toHaveLength(train.count);
  for (let row = 0; row < train.count; row++) {
    const slice = [...train.data.subarray(4 * row, 4 * row + 4)];
    expect(Math.hypot(...slice)).toBeCloseTo(1, 6);
    expect(slice[0] * scale[row]).toBeCloseTo(Math.round(slice[0] * scale[row]), 3); // the weights were whole
  }
  expect(readDatasetDescription(out).layers.every(({ scale }) => scale === null)).toBe(true);
});

test('layer: each layer has root mean square 1 and its scale is recorded', async () => {
  const out = join(folder, 'kernels');
  const { description } = await collect({ normalize: 'layer', testFraction: 0 }, MODELS, out);
  const first = description!.layers.find(({ size }) => size === '2x2')!;
  const rms = Math.sqrt(MODELS[0][0].data.reduce((sum, x) => sum + x * x, 0) / 48);
  expect(first.scale).toBeCloseTo(rms, 10);
  const train = readNpy(join(out, '2x2', 'train.npy'));
  expect(train.data[0]).toBeCloseTo(1 / rms, 6);
});

test.each(['layer', 'unit'] as const)('%s: normalisation is undone on use', async (normalize) => {
  const [plain, normalised] = [join(folder, 'plain'), join(folder, 'normalised')];
  await collect({}, MODELS, plain);
  await collect({ normalize }, MODELS, normalised);
  const expected = readKernelDataset(plain, '2x2');
  const read = readKernelDataset(normalised, '2x2');
  for (const part of ['train', 'test'] as const)
    for (const [i, x] of read[part]!.data.entries())
      expect(Math.abs(x / expected[part]!.data[i] - 1)).toBeLessThan(2 ** -22); // two roundings
  expect(read.std).toBeCloseTo(expected.std, 3);
  const stored = readKernelDataset(normalised, '2x2', { asStored: true });
  expect(stored.std).not.toBeCloseTo(expected.std, 1);
  const { sizes } = readDatasetDescription(normalised);
  expect(stored.std).toBe(sizes['2x2'].std);
});

test('mean and std are those of the stored train kernels', async () => {
  for (const normalize of ['none', 'layer', 'unit'] as const) {
    const out = join(folder, normalize);
    await collect({ normalize }, MODELS, out);
    const { mean, std } = pooledMoments(readNpy(join(out, '2x2', 'train.npy')).data);
    const recorded = readDatasetDescription(out).sizes['2x2'];
    expect(recorded.mean).toBeCloseTo(mean, 5);
    expect(recorded.std / std).toBeCloseTo(1, 6);
  }
});

test('a changed file of scales is noticed', async () => {
  const out = join(folder, 'unit');
  await collect({ normalize: 'unit' }, MODELS, out);
  writeNpy(join(out, '2x2', 'train.scale.npy'), { shape: [13], data: new Float32Array(13) });
  expect(() => readKernelDataset(out, '2x2')).toThrow(/scale.npy: not the file/);
});

test('the same seed gives the same files', async () => {
  await collect({ seed: 5 }, MODELS, join(folder, 'one'));
  await collect({ seed: 5 }, MODELS, join(folder, 'two'));
  await collect({ seed: 6 }, MODELS, join(folder, 'other'));
  const description = (name: string) => readFileSync(join(folder, name, 'dataset.json'), 'utf8');
  expect(description('two')).toBe(description('one'));
  expect(description('other')).not.toBe(description('one'));
});

describe('a bare .npy', () => {
  const save = (shape: number[], data: number[]) => {
    const path = join(folder, 'k.npy');
    writeNpy(path, { shape, data: Float32Array.from(data) });
    return path;
  };

  test('[n, k, k] and [n, 1, k, k]', () => {
    for (const shape of [
      [2, 1, 3],
      [2, 1, 1, 3],
    ]) {
      const { train, test: held, std } = readKernelDataset(save(shape, [1, 2, 3, 4, 5, 6]), '1x3');
      expect(train).toEqual({ data: Float32Array.of(1, 2, 3, 4, 5, 6), count: 2, h: 1, w: 3 });
      expect(held).toBeUndefined();
      expect(std).toBeCloseTo(Math.sqrt(35 / 12), 6);
    }
  });

  test.each([
    ['NaN', [2, 1, 2], [1, 2, 3, Number.NaN], undefined, /kernel 1 \(counted from 0\) holds NaN/],
    ['infinity', [2, 1, 2], [Number.NEGATIVE_INFINITY, 2, 3, 4], undefined, /kernel 0 .* holds -Infinity/],
    ['no kernels', [0, 3, 3], [], undefined, /holds no kernels/],
    ['2 dimensions', [2, 2], [1, 2, 3, 4], undefined, /an array of \[2,2\]/],
    ['5 dimensions', [1, 1, 2, 1, 1], [1, 2], undefined, /an array of \[1,1,2,1,1\]/],
    ['100 channels', [1, 100, 1, 1], Array(100).fill(1), undefined, /kernels of 100x1x1/],
    ['another size', [2, 1, 2], [1, 2, 3, 4], '7x7', /no kernels of 7x7/],
  ])('%s is an input error', (_, shape, data, size, message) => {
    const path = save(shape, data);
    expect(() => readKernelDataset(path, size)).toThrow(message);
    expect(() => readKernelDataset(path, size)).toThrow(expect.objectContaining({ code: 'INPUT' }));
  });
});

describe('a folder', () => {
  const failure = (path: string, size?: string) => {
    try {
      readKernelDataset(path, size);
    } catch (error) {
      const { code, message, hint } = error as { code: string; message: string; hint: string };
      return `${code} ${message.replace(folder, '')} — ${hint}`;
    }
    return 'no error';
  };

  test('errors say which sizes there are', async () => {
    const out = join(folder, 'kernels');
    await collect({}, MODELS, out);
    expect(failure(out, '7x7')).toBe('INPUT /kernels: no kernels of 7x7 — it has 3x1, 2x2');
    expect(failure(out)).toBe(
      'INPUT /kernels: kernels of several sizes (3x1, 2x2) — choose one size with --size',
    );
    expect(failure(folder, '7x7')).toMatch(/^INPUT : no kernel dataset/);
    expect(failure(join(folder, 'nowhere'))).toMatch(/^INPUT \/nowhere: no such file/);
  });

  test('a changed array and a changed description are noticed', async () => {
    const out = join(folder, 'kernels');
    await collect({}, MODELS, out);
    writeNpy(join(out, '2x2', 'test.npy'), { shape: [1, 2, 2], data: Float32Array.of(1, 2, 3, 4) });
    expect(failure(out, '2x2')).toMatch(/test.npy: not the file that dataset.json describes/);
    writeFileSync(join(out, 'dataset.json'), '{"format": "dwp-kernels", "version": 3}');
    expect(failure(out, '2x2')).toMatch(/dataset.json: not a valid kernel dataset \(version/);
  });

  test('an existing folder is not overwritten', async () => {
    const out = join(folder, 'kernels');
    await collect({}, MODELS, out);
    await expect(collect({}, MODELS, out)).rejects.toMatchObject({ code: 'USAGE' });
  });
});

test.each(['none', 'layer', 'unit'] as const)(
  'statistics of layers and sides, all slices kept or not, normalised %s: those of what was written',
  async (normalize) => {
    const noise = (i: number) => Math.sin(12.9898 * i + 4.1414) + 0.3;
    const models = [
      [layer('whole', [5, 4, 2, 2], noise)],
      [layer('cut', [5, 4, 2, 2], (i) => (i < 4 ? 0 : noise(i + 1000)))],
      [layer('other', [6, 4, 2, 2], (i) => noise(i + 5000))],
    ];
    for (const splitBy of ['model', 'kernel'] as const) {
      const out = join(folder, `${normalize}-${splitBy}`);
      const { description } = await collect({ normalize, splitBy }, models, out);
      const { sizes, layers } = description!;
      for (const [i, { statistics, found }] of layers.entries()) {
        const all = models[i][0].data;
        const kept = i === 1 ? all.subarray(4) : all;
        const norms = Array.from({ length: kept.length / 4 }, (_, row) =>
          Math.hypot(...kept.subarray(4 * row, 4 * row + 4)),
        );
        const { mean, std } = pooledMoments(kept);
        expect(found).toBe(all.length / 4);
        expect(statistics!.mean).toBeCloseTo(mean, 12);
        expect(statistics!.std).toBeCloseTo(std, 12);
        expect(statistics!.minNorm).toBeCloseTo(Math.min(...norms), 12);
        expect(statistics!.maxNorm).toBeCloseTo(Math.max(...norms), 12);
      }
      const stored = pooledMoments(readNpy(join(out, '2x2', 'train.npy')).data as Float32Array);
      expect(sizes['2x2'].mean).toBeCloseTo(stored.mean, 6);
      expect(sizes['2x2'].std).toBeCloseTo(stored.std, 6);
    }
  },
);
