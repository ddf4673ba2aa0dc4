// Files of reported situations, beside the project where they are: each gives the answer that its format's own
// library gives. The right values are computed here, by formulas on the stored arrays.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, ValueInfoProtoSchema } from 'onnx-buf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadDataset } from '../src/data/index.js';
import { onnxruntime } from '../src/engine/onnxruntime.js';
import { readNpy } from '../src/formats/npy.js';
import { openSource } from '../src/formats/source.js';
import { openZip } from '../src/formats/zip.js';
import { dwp } from './cli/run.js';

const MODELS = fileURLToPath(new URL('../../shared/cases/models', import.meta.url));
const model = (name: string) => join(MODELS, name);

/** Cases whose answer is not the right one yet: they are tried, and skipped where they fail. Empty in the end. */
const notYet: readonly string[] = [];

let folder: string;
let made = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-cases-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Everything that there is in a model, or in a folder of them. */
const EVERYTHING = ['--duplicates', 'keep', '--test-fraction', '0', '--min-norm', '0'];

async function collect(name: string, ...options: string[]) {
  const out = join(folder, String(made++));
  const {
    code,
    out: stdout,
    err,
  } = await dwp(
    ...['collect-kernels', model(name), '--out', out, '--format', 'json'],
    ...(options.length > 0 ? options : EVERYTHING),
  );
  return { out, code, err, result: code === 0 ? JSON.parse(stdout) : undefined };
}

const description = (out: string) => JSON.parse(readFileSync(join(out, 'dataset.json'), 'utf8'));
const values = (out: string, size: string) => readNpy(join(out, size, 'train.npy')).data;

/** The answer where a file is read: kernels by size, from so many sources. */
interface Kernels {
  name: string;
  kernels: Record<string, number>;
  sources?: number;
  options?: string[];
  /** Further checks of what was written. */
  check?: (out: string, err: string) => void | Promise<void>;
}

const cases: Kernels[] = [
  ...['bn.pt', 'bn.keras'].map((name) => ({
    name,
    kernels: { '3x3': 24 },
    options: [...EVERYTHING, '--fold-bn'],
    check: async (out: string) => {
      const raw = await collect(name);
      const factor = name === 'bn.pt' ? 3 / Math.sqrt(0.25 + 1e-5) : 3 / Math.sqrt(0.25 + 1e-3);
      expectClose(
        values(out, '3x3'),
        values(raw.out, '3x3').map((x) => factor * x),
      );
    },
  })),
  { name: 'vgg16_names.h5', kernels: { '3x3': 472 } },
  { name: 'mlx.safetensors', kernels: { '3x3': 384, '5x5': 8 } },
  { name: 'bayesian_torch.pt', kernels: { '3x3': 128, '5x5': 8 } },
  { name: 'blitz.pt', kernels: { '3x3': 128, '5x5': 8 } },
  { name: 'tfp_model.h5', kernels: { '5x5': 102 } },
  { name: 'ema_attention.pt', kernels: { '3x3': 64 } },
  { name: 'moco.pth.tar', kernels: { '3x3': 408 } },
  { name: 'hf_snapshot', kernels: { '3x3': 152 }, sources: 1 },
  { name: 'one_model', kernels: { '3x3': 384 }, sources: 1 },
  { name: 'one_model/model.safetensors.index.json', kernels: { '3x3': 384 }, sources: 1 },
  { name: 'hf_sharded', kernels: { '3x3': 88 }, sources: 1 },
  { name: 'hf_sharded/pytorch_model.bin.index.json', kernels: { '3x3': 88 }, sources: 1 },
  { name: 'capsnet.pt', kernels: { '9x9': 272 } },
  { name: 'folder_tar', kernels: { '3x3': 172 }, sources: 3 },
  {
    name: 'spectral_old.pt',
    kernels: { '3x3': 96 },
    check: async (out) => {
      const [, first, u1, v1, , second, u2, v2, plain] = await storages('spectral_old.pt');
      expectClose(values(out, '3x3'), [...spectral(first, u1, v1), ...spectral(second, u2, v2), ...plain]);
    },
  },
  {
    // 88 kernels, of which the masks leave 56: those that are nothing but zeros are dropped as constant
    name: 'pruned.pt',
    kernels: { '3x3': 56 },
    check: async (out) => {
      expect(description(out).sizes['3x3'].found).toBe(88);
      const [, first, mask1, , second, mask2] = await storages('pruned.pt');
      const product = (a: Float32Array, b: Float32Array) => a.map((x, i) => x * b[i]);
      const all = [...product(first, mask1), ...product(second, mask2)];
      const left = all.filter((_, i) => all.slice(i - (i % 9), i - (i % 9) + 9).some((x) => x !== 0));
      expectClose(values(out, '3x3'), left);
    },
  },
  {
    name: 'weight_norm_old.pt',
    kernels: { '3x3': 72 },
    check: async (out) => {
      const [, g1, v1, , g2, v2] = await storages('weight_norm_old.pt');
      expectClose(values(out, '3x3'), [
        ...normalised(v1, g1, (i) => Math.floor(i / 27)),
        ...normalised(v2, g2, () => 0),
      ]);
    },
  },
  {
    name: 'weight_norm_old.pt, transposed',
    kernels: { '3x3': 72, '4x4': 24 },
    options: [...EVERYTHING, '--transposed', 'include'],
    check: async (out) => {
      const [, , , , , , , g, v] = await storages('weight_norm_old.pt');
      // [in 6, out 4, 4, 4], a norm for each output → [out, in, 4, 4]
      const weights = normalised(v, g, (i) => Math.floor(i / 16) % 4);
      const order = Float32Array.from(
        weights,
        (_, i) => weights[((Math.floor(i / 16) % 6) * 4 + Math.floor(i / 96)) * 16 + (i % 16)],
      );
      expectClose(values(out, '4x4'), order);
    },
  },
  { name: 'peft.pt', kernels: { '3x3': 64 } },
  {
    name: 'wrap.keras',
    kernels: { '3x3': 69 },
    check: async () => {
      const { code, out } = await dwp('inspect', model('wrap.keras'), '--format', 'json');
      expect(code).toBe(0);
      expect(JSON.parse(out).sizes['3x3'].kernels).toBe(69);
    },
  },
  {
    name: 'cbam_grey.pt',
    kernels: { '3x3': 256, '5x5': 16, '7x7': 2 },
    check: (out) => {
      const stem = description(out).layers.find(({ size }: { size: string }) => size === '5x5');
      expect(stem).toMatchObject({ kind: 'conv', role: 'first', shape: [16, 1, 5, 5] });
    },
  },
  ...['wn.onnx', 'scaled.onnx', 'split_half.onnx'].map((name) => ({
    name,
    kernels: { '3x3': name === 'split_half.onnx' ? 12 : 24 },
    check: async (out: string) => expectClose(values(out, '3x3'), await computedByOnnxruntime(name)),
  })),
];

/** The answer where a file is not read, or need not be: words that the message holds. */
const refusals: { name: string; words: RegExp; orKernels?: Record<string, { kept: number }> }[] = [
  { name: 'nni_mask.pth', words: /mask/ },
  { name: 'numpy_inside.pt', words: /NumPy|numpy/, orKernels: { '3x3': { kept: 24 } } },
  { name: 'exported.pt2', words: /torch\.export/, orKernels: { '3x3': { kept: 88 } } },
];

describe.skipIf(!existsSync(MODELS))('files of reported situations (skipped where they are not)', () => {
  for (const { name, kernels, sources = 1, options = [], check } of cases)
    test(name, (context) =>
      tried(context, name, async () => {
        const { out, code, err, result } = await collect(name.split(',')[0], ...options);
        expect(err).not.toMatch(/2-D convolutions/);
        expect(code).toBe(0);
        const kept = Object.entries<{ kept: number }>(result.kernels).map(([size, counts]) => [
          size,
          counts.kept,
        ]);
        expect(Object.fromEntries(kept)).toEqual(kernels);
        expect(description(out).sources).toHaveLength(sources);
        await check?.(out, err);
      }),
    );

  for (const { name, words, orKernels } of refusals)
    test(name, (context) =>
      tried(context, name, async () => {
        const { code, err: text, result } = await collect(name);
        const err = text.replaceAll(name, ''); // the words, not the file's name
        if (code === 0 && orKernels) expect(result.kernels).toMatchObject(orKernels);
        else {
          expect(code).toBe(3);
          expect(err).toMatch(words);
          expect(err).not.toMatch(/use models with 2-D convolutions/);
        }
      }),
    );

  test('a dataset of train and test kernels has no copies across', (context) =>
    tried(context, 'moco.pth.tar', async () => {
      const { out, err } = await collect('moco.pth.tar', '--test-fraction', '0.2');
      expect(err).not.toMatch(/near cop/);
      expect(description(out).sizes['3x3'].train.rows).toBeLessThanOrEqual(0.81 * 408);
    }));

  test('hf_snapshot: copies are found and said', (context) =>
    tried(context, 'hf_snapshot', async () => {
      const { err, result } = await collect('hf_snapshot', '--test-fraction', '0.2');
      expect(err + JSON.stringify(result.skipped)).toMatch(/fp16/);
      expect(result.skipped).toHaveLength(2);
    }));

  test('idx_dot', (context) =>
    tried(context, 'idx_dot', async () => {
      const { train, test: held } = loadDataset('mnist', model('idx_dot'));
      expect([train.count, held.count]).toEqual([100, 50]);
    }));
});

/** Runs a check; a failure of a case that is not right yet skips the test. */
async function tried(
  { skip }: { skip(note?: string): void },
  name: string,
  check: () => Promise<void>,
): Promise<void> {
  try {
    await check();
  } catch (error) {
    if (!notYet.includes(name)) throw error;
    skip('not yet');
  }
}

/** The storages of a file of torch.save by number, float32. */
async function storages(name: string): Promise<Float32Array[]> {
  const source = openSource(model(name));
  try {
    const zip = await openZip(source);
    const numbered = zip.entries.filter((entry) => /\/data\/\d+$/.test(entry.name));
    const found: Float32Array[] = [];
    for (const entry of numbered) {
      const { size, read } = zip.open(entry);
      found[Number(entry.name.split('/').at(-1))] = new Float32Array(read(0, size).buffer);
    }
    return found;
  } finally {
    source.close();
  }
}

/** W / σ, σ = uᵀ W v with W as [out, everything else]. */
function spectral(weights: Float32Array, u: Float32Array, v: Float32Array): Float32Array {
  let sigma = 0;
  for (const [i, x] of weights.entries()) sigma += u[Math.floor(i / v.length)] * x * v[i % v.length];
  return weights.map((x) => x / sigma);
}

/** g v / ‖v‖ with a norm for each group of values. */
function normalised(v: Float32Array, g: Float32Array, group: (index: number) => number): Float32Array {
  const squares = g.map(() => 0);
  for (const [i, x] of v.entries()) squares[group(i)] += x * x;
  return v.map((x, i) => (g[group(i)] * x) / Math.sqrt(squares[group(i)]));
}

/** The weights that a graph's convolution gets, by running the graph up to them. */
async function computedByOnnxruntime(name: string): Promise<Float32Array> {
  const proto = fromBinary(ModelProtoSchema, readFileSync(model(name)));
  const graph = proto.graph!;
  const weights = graph.node.find(({ opType }) => opType === 'Conv')!.input[1];
  graph.node = graph.node.filter(({ opType }) => opType !== 'Conv');
  graph.input = [];
  graph.output = [create(ValueInfoProtoSchema, { name: weights })];
  const { InferenceSession } = await onnxruntime();
  const session = await InferenceSession.create(toBinary(ModelProtoSchema, proto));
  return (await session.run({}))[weights].data as Float32Array;
}

/** Equal but for float32's rounding of a few operations. */
function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < actual.length; i++)
    expect(Math.abs(actual[i] - expected[i])).toBeLessThanOrEqual(4e-6 * Math.abs(expected[i]) + 1e-8);
}
