// Attacks by name, one test each: files made to exhaust, mislead or lead out whoever reads them.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  GraphProtoSchema,
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProto_DataType,
  TensorProtoSchema,
} from 'onnx-buf';
import { afterAll, describe, expect, test } from 'vitest';
import { DwpError } from '../../src/errors.js';
import { openSource } from '../../src/formats/source.js';
import { findModelFiles, importers } from '../../src/importers/index.js';
import { dwp } from '../cli/run.js';
import { varint } from './hostile/onnx.js';
import { op } from './hostile/pickle.js';
import { hostileModels } from './hostile/sources.js';
import { survive } from './hostile/survive.js';
import { joined, number, type ZipEntry, zip } from './hostile/zip.js';
import { convModel, hdf5File, node, onnxModel, ramp, rawFloats, writeWeight } from './write-models.js';

const utf8 = (text: string) => new TextEncoder().encode(text);
const root = mkdtempSync(join(tmpdir(), 'dwp-attack-'));
afterAll(() => rmSync(root, { recursive: true }));

let attacks = 0;

/** A new folder with these files. */
function folderOf(files: Readonly<Record<string, Uint8Array>>): string {
  const folder = join(root, String(attacks++));
  mkdirSync(folder);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  return folder;
}

/**
 * Reads the first file as `dwp` would, within the limits of the contract (hostile/survive.ts).
 *
 * @returns what its layers are called, what was skipped and why, and every error: of the model, or of a layer
 */
async function read(files: Readonly<Record<string, Uint8Array>>, folder = folderOf(files)) {
  const [name, bytes] = Object.entries(files)[0];
  const path = join(folder, name);
  const importer = importers.find((each) => each.recognises(bytes.subarray(0, 512), path));
  if (!importer) throw new Error(`no importer takes ${name}`);
  const size = Object.values(files).reduce((sum, { length }) => sum + length, 0);
  await survive(importer, openSource, path, size);
  const result = { layers: [] as string[], skipped: [] as string[], errors: [] as string[] };
  const source = openSource(path);
  const failed = (error: unknown) => {
    if (!(error instanceof DwpError)) throw error;
    result.errors.push(error.message.replace(path, basename(path)));
  };
  try {
    const { layers, skipped, close } = await importer.read(source);
    result.skipped = skipped.map(({ reason }) => reason);
    for (const layer of layers)
      try {
        await layer.read();
        result.layers.push(layer.name);
      } catch (error) {
        failed(error);
      }
    close?.();
  } catch (error) {
    failed(error);
  } finally {
    source.close();
  }
  return result;
}

/** The one reason why nothing of the model can be had. */
async function refusal(files: Readonly<Record<string, Uint8Array>>, folder?: string): Promise<string> {
  const { layers, skipped, errors } = await read(files, folder);
  expect(layers).toEqual([]);
  return [...errors, ...skipped].join('; ');
}

// ---------------------------------------------------------------- zip archives

const npy = (shape: string, bytes: number, descr = "'<f4'") => {
  const header = utf8(`{'descr': ${descr}, 'fortran_order': False, 'shape': (${shape}), }\n`);
  const magic = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0);
  return joined(magic, number(header.length, 2), header, new Uint8Array(bytes).fill(60));
};
const kernel = npy('2, 2, 3, 3', 144);
const one = (entry: Partial<ZipEntry>) => zip([{ name: 'conv.npy', bytes: kernel, ...entry }]);

describe('zip archives', () => {
  test('sound, for comparison', async () => {
    expect(await read({ 'm.npz': one({ deflate: true }) })).toMatchObject({ layers: ['conv'], errors: [] });
  });

  test('a bomb: an entry that inflates to more than it says', async () => {
    const bytes = joined(kernel, new Uint8Array(2 ** 26));
    const bomb = one({ bytes, deflate: true, lies: { size: kernel.length } });
    expect(await refusal({ 'm.npz': bomb })).toMatch(/m\.npz.*damaged/);
  });

  test('a bomb: an entry that says it inflates to gigabytes', async () => {
    expect(await refusal({ 'm.npz': one({ deflate: true, lies: { size: 0xfffffff0 } }) })).toMatch(
      /claims 4294967280 bytes/,
    );
  });

  test('a bomb: a thousand entries that are one and the same', async () => {
    const packed = kernel;
    const entries = Array.from({ length: 1000 }, (_, i) => ({ name: `${i}.npy`, bytes: kernel, packed }));
    expect(await refusal({ 'm.npz': zip(entries) })).toMatch(/overlap/);
  });

  test('a bomb in a bomb stays packed', async () => {
    const inner = zip([{ name: 'x.npy', bytes: new Uint8Array(2 ** 24), deflate: true }]);
    const { layers } = await read({ 'm.npz': zip([{ name: 'x.npz', bytes: inner, deflate: true }]) });
    expect(layers).toEqual([]);
  });

  test('an archive that is its own entry', async () => {
    const bytes = one({ lies: { offset: 0 } });
    const whole = zip([
      { name: 'm.npz', bytes, packed: bytes, lies: { packedSize: 2 ** 31, size: 2 ** 31 } },
    ]);
    expect(await refusal({ 'm.npz': whole })).toMatch(/m\.npz/);
  });

  test.each([
    ['count', 32],
    ['offset', 48],
  ])('zip64 with an impossible %s of its directory', async (_, field) => {
    const archive = one({});
    const end = archive.slice(-22);
    end.fill(0xff, 8, 20); // all said in the zip64 record
    const record = new DataView(new ArrayBuffer(56));
    record.setUint32(0, 0x06064b50, true);
    record.setBigUint64(4, 44n, true);
    for (const [at, value] of [
      [24, 1n],
      [32, 1n],
      [40, 60n],
      [48, BigInt(archive.length - 22 - 54)],
    ] as const)
      record.setBigUint64(at, at === field ? 2n ** 63n : value, true);
    const start = archive.length - 22;
    const locator = joined(number(0x07064b50, 4), number(0, 4), number(start, 8), number(1, 4));
    const bytes = joined(archive.slice(0, -22), new Uint8Array(record.buffer), locator, end);
    expect(await refusal({ 'm.npz': bytes })).toMatch(/m\.npz: (not a complete zip archive|damaged)/);
  });

  test('two entries of one name', async () => {
    const twice = zip([
      { name: 'conv.npy', bytes: kernel },
      { name: 'conv.npy', bytes: kernel },
    ]);
    expect(await refusal({ 'm.npz': twice })).toMatch(/two entries are called "conv\.npy"/);
  });

  test('names that lead out write nothing and are only names', async () => {
    const names = ['../../evil.npy', '/etc/evil.npy', 'C:\\evil.npy'];
    const { layers, errors } = await read({
      'm.npz': zip(names.map((name, i) => ({ name, bytes: npy('2, 2, 3, 3', 144 + 0 * i) }))),
    });
    expect(layers.length + errors.length).toBeGreaterThan(0);
  });
});

// ---------------------------------------------------------------- numbers

describe('dimensions and offsets', () => {
  const tensor = (dims: bigint[], more: object = {}): TensorProto =>
    create(TensorProtoSchema, { name: 'w', dims, dataType: TensorProto_DataType.FLOAT, ...more });
  const conv = (weights: TensorProto) => onnxModel([node('Conv', ['x', 'w'], 'y')], [weights]);

  test.each<[string, bigint[]]>([
    ['negative', [-1n, 3n, 3n, 3n]],
    ['two negative ones', [-2n, -2n, 3n, 3n]],
    ['2^63 - 1', [2n ** 63n - 1n, 3n, 3n, 3n]],
    ['a product over 2^53', [2n ** 20n, 2n ** 20n, 2n ** 10n, 2n ** 10n]],
    ['a product that wraps to a small number', [2n ** 32n, 2n ** 32n, 1n, 1n]],
    ['more than the file holds', [1000n, 1000n, 3n, 3n]],
  ])('ONNX: %s', async (_, dims) => {
    expect(await refusal({ 'm.onnx': conv(tensor(dims, { rawData: new Uint8Array(36) })) })).toMatch(
      /m\.onnx|shape/,
    );
  });

  const safetensors = (header: unknown, data = 144, length?: bigint) => {
    const json = utf8(typeof header === 'string' ? header : JSON.stringify(header));
    const size = new DataView(new ArrayBuffer(8));
    size.setBigUint64(0, length ?? BigInt(json.length), true);
    return joined(new Uint8Array(size.buffer), json, new Uint8Array(data));
  };
  const entry = (shape: unknown, offsets: unknown, dtype: unknown = 'F32') =>
    safetensors({ 'conv.weight': { dtype, shape, data_offsets: offsets } });

  test.each<[string, Uint8Array]>([
    ['a header of 2^63 bytes', safetensors({}, 0, 2n ** 63n)],
    ['a header of 2^64 - 1 bytes', safetensors({}, 0, 2n ** 64n - 1n)],
    ['a header longer than the file', safetensors({}, 0, 1000n)],
    ['a shape of 2^53', entry([2 ** 53, 2, 3, 3], [0, 144])],
    ['a negative shape', entry([-2, -2, 3, 3], [0, 144])],
    ['a shape that is no number', entry(['2', 2, 3, 3], [0, 144])],
    ['offsets past the end', entry([2, 2, 3, 3], [1000, 1144])],
    ['offsets backwards', entry([2, 2, 3, 3], [144, 0])],
    ['offsets of 1e308', entry([2, 2, 3, 3], [1e308, 1e308])],
  ])('safetensors: %s', async (_, bytes) => {
    expect(await refusal({ 'm.safetensors': bytes })).toMatch(/m\.safetensors/);
  });

  test.each<[string, Uint8Array]>([
    [
      'a header of 4 GB',
      joined(Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 2, 0), number(0xffffffff, 4)),
    ],
    ['a product over 2^53', npy('9007199254740993, 2, 3, 3', 144)],
    ['a shape of thousand digits', npy(`${'9'.repeat(1000)}, 2, 3, 3`, 144)],
    ['a negative shape', npy('-2, -2, 3, 3', 144)],
    ['more than the file holds', npy('1000, 1000, 3, 3', 144)],
    ['objects, which are pickles', npy('2, 2, 3, 3', 288, "'|O'")],
  ])('npy: %s', async (_, bytes) => {
    expect(await refusal({ 'm.npy': bytes })).toMatch(/m\.npy|object/);
  });

  const shards = (weights: unknown, bytes = 144) => ({
    'model.json': utf8(JSON.stringify({ weightsManifest: [{ paths: ['w.bin'], weights }] })),
    'w.bin': new Uint8Array(bytes),
  });
  test.each<[string, unknown]>([
    ['1e308', [1e308, 1e308, 3, 3]],
    ['negative', [-1, -4, 3, 3]],
    ['not whole', [0.5, 8, 3, 3]],
    ['an object', { length: 4 }],
    ['more than the shards hold', [100, 100, 3, 3]],
  ])('TensorFlow.js: a shape that is %s', async (_, shape) => {
    const files = shards([{ name: 'conv2d/kernel', shape, dtype: 'float32' }]);
    expect(await refusal(files)).toMatch(/model\.json/);
  });
});

// ---------------------------------------------------------------- nesting and cycles

describe('nesting and cycles', () => {
  /** `inner` inside length-delimited fields, the last one outermost; each field number below 16. */
  const nested = (fields: readonly number[], depth: number) => {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for (let level = 0; level < depth; level++) {
      const head = joined(Uint8Array.of((fields[level % fields.length] << 3) | 2), varint(length));
      pieces.unshift(head);
      length += head.length;
    }
    return joined(Uint8Array.of(8, 8), ...pieces);
  };

  test('protobuf: a graph in an attribute of a node of a graph, 10,000 levels deep', async () => {
    // model.graph = 7, graph.node = 1, node.attribute = 5, attribute.g = 6
    const bytes = nested([6, 5, 1], 30_000);
    const graph = joined(Uint8Array.of(8, 8, 58), varint(bytes.length - 2), bytes.subarray(2));
    expect(await refusal({ 'm.onnx': graph })).toMatch(/m\.onnx/);
  });

  test('ONNX: values that are made of themselves', async () => {
    const nodes = [
      node('Identity', ['b'], 'a'),
      node('Transpose', ['a'], 'b', { perm: [3, 2, 1, 0] }),
      node('Conv', ['x', 'b'], 'y'),
    ];
    expect(await refusal({ 'm.onnx': onnxModel(nodes) })).toMatch(/nodes|computed|itself/);
  });

  test('ONNX: two Transposes of 16 MB for each of 200 convolutions', async () => {
    const nodes = Array.from({ length: 200 }, (_, i) => [
      node('Transpose', [i === 0 ? 'w' : `t${i - 1}`], `t${i}`, { perm: [1, 0, 2, 3] }),
      node('Conv', ['x', `t${i}`], `y${i}`),
    ]).flat();
    const { layers, skipped } = await read({
      'm.onnx': onnxModel(nodes, [rawFloats('w', [64, 64, 3, 3], ramp([64, 64, 3, 3]))]),
    });
    expect(layers.length + skipped.length).toBeGreaterThan(0);
  });

  test('HDF5: a soft link to a folder above, and to itself', async () => {
    const bytes = await hdf5File((file) => {
      writeWeight(file, 'conv/kernel:0', [3, 3, 2, 4]);
      const group = file.create_group('loop');
      group.create_soft_link('/', 'up');
      group.create_soft_link('/loop/self', 'self');
    });
    const { layers, errors } = await read({ 'm.h5': bytes });
    expect([...layers, ...errors].join()).toMatch(/conv|m\.h5/);
  });

  test('HDF5: links that double at each of 30 levels', async () => {
    const bytes = await hdf5File((file) => {
      writeWeight(file, 'conv/kernel:0', [3, 3, 2, 4]);
      for (let level = 0; level < 30; level++) {
        const group = file.create_group(`g${level}`);
        group.create_soft_link(`/g${level + 1}`, 'a');
        group.create_soft_link(`/g${level + 1}`, 'b');
      }
    });
    const { layers, errors } = await read({ 'm.h5': bytes });
    expect([...layers, ...errors].join()).toMatch(/conv|m\.h5/);
  });

  const manifest = '"weightsManifest":[{"paths":[],"weights":[]}]';
  const safetensorsOf = (json: string) => {
    const bytes = utf8(json);
    return joined(number(bytes.length, 8), bytes);
  };
  test.each<[string, string]>([
    ['a million brackets', `{"a":${'['.repeat(1e6)}`],
    ['a hundred thousand closed brackets', `{"a":${'['.repeat(1e5)}${']'.repeat(1e5)},${manifest}}`],
    [
      'a hundred thousand objects in each other',
      `{"modelTopology":${'{"config":'.repeat(1e5)}1${'}'.repeat(1e5)},${manifest}}`,
    ],
    ['a million keys', `{${Array.from({ length: 1e6 }, (_, i) => `"${i}":0`).join()},${manifest}}`],
    ['__proto__', `{"__proto__":{"weightsManifest":1},"constructor":{"prototype":{}},${manifest}}`],
  ])('JSON: %s', async (_, json) => {
    expect((await read({ 'model.json': utf8(json) })).layers).toEqual([]);
    expect((await read({ 'm.safetensors': safetensorsOf(json) })).layers).toEqual([]);
    expect(({} as { weightsManifest?: unknown }).weightsManifest).toBeUndefined();
  });

  test('a tensor that is called __proto__ is a tensor like any other', async () => {
    const json = '{"__proto__":{"dtype":"F32","shape":[2,2,3,3],"data_offsets":[0,144]}}';
    const bytes = joined(safetensorsOf(json), new Uint8Array(144).fill(60));
    const { layers, skipped } = await read({ 'm.safetensors': bytes });
    expect(layers.length + skipped.length).toBe(1);
    expect(({} as { dtype?: unknown }).dtype).toBeUndefined();
  });
});

// ---------------------------------------------------------------- pickles

describe('pickles', () => {
  const pt = (pickle: Uint8Array) =>
    zip([
      { name: 'archive/data.pkl', bytes: pickle },
      { name: 'archive/data/0', bytes: new Uint8Array(144) },
    ]);
  const call = (module: string, name: string) =>
    joined(
      op.proto(),
      op.global(module, name),
      op.mark,
      op.unicode('touch /tmp/evil'),
      op.tuple,
      op.reduce,
      op.stop,
    );

  test.each([
    ['os', 'system'],
    ['posix', 'system'],
    ['builtins', 'eval'],
    ['builtins', 'getattr'],
    ['subprocess', 'Popen'],
    ['torch.serialization', 'load'],
    ['torch._utils', '__proto__'],
    ['torch._utils', 'constructor'],
    ['__proto__', 'x'],
  ])('%s.%s is refused by name', async (module, name) => {
    const reason = await refusal({ 'm.pt': pt(call(module, name)) });
    expect(reason).toContain(`${module}.${name}`);
  });

  test('a global whose name is a terminal sequence', async () => {
    const reason = await refusal({ 'm.pt': pt(call('os\u001b[2J', 'system')) });
    expect(reason).toMatch(/\\u001b/);
  });

  const state = (value: Uint8Array) =>
    pt(joined(op.proto(), op.emptyDict, op.mark, op.unicode('conv.weight'), value, op.setItems, op.stop));
  const numbers = (...values: bigint[]) => joined(op.mark, ...values.map(op.long), op.tuple);
  const tensor = (shape: bigint[], strides: bigint[], offset = 0n, count = 36n) =>
    state(
      joined(
        op.global('torch._utils', '_rebuild_tensor_v2'),
        op.mark,
        joined(op.mark, op.unicode('storage'), op.global('torch', 'FloatStorage'), op.unicode('0')),
        joined(op.unicode('cpu'), op.long(count), op.tuple, op.binpersid, op.long(offset)),
        joined(numbers(...shape), numbers(...strides), op.newFalse),
        joined(op.global('collections', 'OrderedDict'), op.emptyTuple, op.reduce, op.tuple, op.reduce),
      ),
    );

  test('sound, for comparison', async () => {
    expect(await read({ 'm.pt': tensor([2n, 2n, 3n, 3n], [18n, 9n, 3n, 1n]) })).toMatchObject({
      layers: ['conv'],
      errors: [],
    });
  });

  test.each<[string, Uint8Array]>([
    ['strides past the end', tensor([2n, 2n, 3n, 3n], [1000n, 9n, 3n, 1n])],
    ['negative strides', tensor([2n, 2n, 3n, 3n], [-18n, 9n, 3n, 1n])],
    ['strides of 2^62', tensor([2n, 2n, 3n, 3n], [2n ** 62n, 9n, 3n, 1n])],
    ['an offset past the end', tensor([2n, 2n, 3n, 3n], [18n, 9n, 3n, 1n], 30n)],
    ['a negative offset', tensor([2n, 2n, 3n, 3n], [18n, 9n, 3n, 1n], -1n)],
    ['an offset of 2^53', tensor([2n, 2n, 3n, 3n], [18n, 9n, 3n, 1n], 2n ** 53n)],
    ['a negative shape', tensor([-2n, -2n, 3n, 3n], [18n, 9n, 3n, 1n])],
    ['a product over 2^53', tensor([2n ** 30n, 2n ** 30n, 3n, 3n], [0n, 0n, 0n, 0n])],
    [
      'strides of zero: a number that becomes a gigabyte',
      tensor([2n ** 14n, 2n ** 14n, 1n, 1n], [0n, 0n, 0n, 0n]),
    ],
    ['a storage that claims 2^53 values', tensor([2n, 2n, 3n, 3n], [18n, 9n, 3n, 1n], 0n, 2n ** 53n)],
  ])('%s', async (_, bytes) => {
    expect(await refusal({ 'm.pt': bytes })).not.toBe('');
  });

  const doubled = (level: Uint8Array) => Array.from({ length: 60 }, () => level);
  test.each<[string, Uint8Array]>([
    [
      'a tuple of a tuple of a tuple, doubled 60 times',
      joined(op.emptyList, ...doubled(joined(op.dup, op.tuple2))),
    ],
    [
      'a tuple doubled through the memo',
      joined(op.emptyList, ...doubled(joined(op.binput(0), op.binget(0), op.tuple2))),
    ],
    ['nested a million times', joined(op.emptyTuple, new Uint8Array(1e6).fill(op.tuple1[0]))],
    ['a list that holds itself', joined(op.emptyList, op.dup, op.append)],
    ['a million marks', new Uint8Array(1e6).fill(op.mark[0])],
    ['a million copies of the same', joined(op.emptyList, new Uint8Array(1e6).fill(op.dup[0]))],
    ['a memo slot of 2^32 - 1', joined(op.emptyList, op.longBinput(2 ** 32 - 1))],
    ['a string of 4 GB', joined(Uint8Array.of(0x58), number(0xffffffff, 4))],
    ['a string of 2^63 bytes', joined(Uint8Array.of(0x8d), number(2 ** 53, 8))],
    ['a long of 2 GB', joined(Uint8Array.of(0x8b), number(0x7fffffff, 4))],
    ['nothing to stop on', new Uint8Array()],
  ])('%s', async (_, ops) => {
    const { layers } = await read({ 'm.pt': pt(joined(op.proto(4), ops, op.stop)) });
    expect(layers).toEqual([]);
    expect((await read({ 'm.pth': state(ops) })).layers).toEqual([]);
  });
});

// ---------------------------------------------------------------- other files

const external = (location: string, offset = '0', length = '144') => {
  const weights = create(TensorProtoSchema, {
    name: 'w',
    dims: [2n, 2n, 3n, 3n],
    dataType: TensorProto_DataType.FLOAT,
    dataLocation: 1,
    externalData: Object.entries({ location, offset, length }).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    ),
  });
  const graph = create(GraphProtoSchema, { node: [node('Conv', ['x', 'w'], 'y')], initializer: [weights] });
  return toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n, graph }));
};
const manifestOf = (path: string) =>
  utf8(
    JSON.stringify({
      weightsManifest: [
        { paths: [path], weights: [{ name: 'conv2d/kernel', shape: [3, 3, 2, 2], dtype: 'float32' }] },
      ],
    }),
  );

describe.each<[string, string, (path: string) => Uint8Array]>([
  ['external data of ONNX', 'm.onnx', external],
  ['shards of TensorFlow.js', 'model.json', manifestOf],
])('%s', (_, name, model) => {
  const secret = folderOf({ 'secret.bin': new Uint8Array(144) });

  test('sound, for comparison', async () => {
    expect((await read({ [name]: model('w.bin'), 'w.bin': new Uint8Array(144) })).layers).toHaveLength(1);
  });

  test.each([
    ['an absolute path', join(secret, 'secret.bin'), /absolute/],
    ['a path through ..', `../${basename(secret)}/secret.bin`, /leads out/],
    ['a path into a folder and out of it', `sub/../../${basename(secret)}/secret.bin`, /leads out/],
    ['a path of Windows', '..\\secret.bin', /leads out/],
    ['a drive of Windows', 'C:secret.bin', /absolute/],
    ['/dev/zero', '/dev/zero', /absolute/],
    ['a URL', 'file:///etc/passwd', /not beside it|absolute/],
    ['no name', '', /no name|name|location/],
    ['a name with a zero byte', 'w.bin\0', /no name/],
    ['a terminal sequence', '\u001b[2J', /\\u001b\[2J/],
    ['the folder itself', '.', /folder|not a file/],
    ['a file that is not there', 'nowhere.bin', /not beside it/],
  ])('%s', async (__, path, reason) => {
    const folder = folderOf({ [name]: model(path) });
    mkdirSync(join(folder, 'sub'));
    expect(await refusal({ [name]: model(path) }, folder)).toMatch(reason);
  });

  test.each<[string, (folder: string) => void, RegExp]>([
    [
      'a link out of the folder',
      (f) => symlinkSync(join(secret, 'secret.bin'), join(f, 'w.bin')),
      /link out/,
    ],
    ['a link to /dev/zero', (f) => symlinkSync('/dev/zero', join(f, 'w.bin')), /link out/],
    ['a link to itself', (f) => symlinkSync('w.bin', join(f, 'w.bin')), /not beside it/],
    ['a folder', (f) => mkdirSync(join(f, 'w.bin')), /not a file|cannot be read/],
    ['a named pipe', (f) => execFileSync('mkfifo', [join(f, 'w.bin')]), /not a file/],
  ])('%s', async (__, make, reason) => {
    const folder = folderOf({ [name]: model('w.bin') });
    make(folder);
    expect(await refusal({ [name]: model('w.bin') }, folder)).toMatch(reason);
  });

  test('a link to a folder outside, and a file in it', async () => {
    const folder = folderOf({ [name]: model('sub/secret.bin') });
    symlinkSync(secret, join(folder, 'sub'));
    expect(await refusal({ [name]: model('sub/secret.bin') }, folder)).toMatch(/link out/);
  });
});

test.each([
  ['offset', '9007199254740993', '144'],
  ['offset', '-1', '144'],
  ['offset', '1e3', '144'],
  ['length', '0', '18446744073709551616'],
  ['length', '0', '-144'],
  ['length', '0', 'x'],
])('ONNX: an %s of external data that is none (%s, %s)', async (_, offset, length) => {
  const files = { 'm.onnx': external('w.bin', offset, length), 'w.bin': new Uint8Array(144) };
  expect(await refusal(files)).not.toBe('');
});

// ---------------------------------------------------------------- the command line

describe('the command line', () => {
  const fixtures = fileURLToPath(new URL('../fixtures', import.meta.url));
  const evil = '\u001b[2J\u001b]0;owned\u0007<script>\u202e\u009b31m';
  /** What a terminal would obey. */
  const OBEYED = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/u;
  const obeyed = (text: string) => text.split('\n').filter((line) => OBEYED.test(line));

  test('a damaged file of every format beside a good one: each is skipped with the reason', async () => {
    const folder = folderOf({ 'good.onnx': convModel([4, 4, 3, 3]) });
    const damaged: string[] = [];
    for (const importer of importers) {
      const { seeds } = await hostileModels(importer, fixtures);
      const { name, bytes } = seeds.find(({ bytes: { length } }) => length > 100)!;
      const inside = join(folder, importer.format);
      mkdirSync(inside);
      damaged.push(join(inside, name));
      writeFileSync(damaged.at(-1)!, bytes.subarray(0, 60));
    }
    const out = join(root, 'kernels');
    const all = await dwp('collect-kernels', folder, '--out', out, '--format', 'json');
    expect(all.code).toBe(0);
    const { models, skipped } = JSON.parse(all.out) as Record<string, { path: string; reason: string }[]>;
    expect(models.map(({ path }) => path)).toEqual([join(folder, 'good.onnx')]);
    expect(skipped.map(({ path }) => path).sort()).toEqual(damaged.sort());
    for (const { path, reason } of skipped) {
      expect(reason).not.toBe('');
      expect(all.err).toContain(`${path}: skipped: ${reason}`);
    }
    rmSync(join(folder, 'good.onnx'));
    const before = readdirSync(folder, { recursive: true }).sort();
    const never = join(root, 'never');
    const none = await dwp('collect-kernels', folder, '--out', never);
    expect(none.code).toBe(3);
    expect(none.err.trim().split('\n').at(-1)).toMatch(/^error: no kernels: .* — /);
    expect(existsSync(never)).toBe(false);
    expect(readdirSync(folder, { recursive: true }).sort()).toEqual(before);
  });

  test('names from a file are shown, and not obeyed', async () => {
    const bad = { ...node('Conv', ['x', 'computed'], 'z'), name: evil };
    const folder = folderOf({
      [`${evil.replace('/', '')}\n.onnx`]: onnxModel(
        [{ ...node('Conv', ['x', 'w'], 'y'), name: `${evil}\nline` }, bad, node(evil, ['x'], 'computed')],
        [rawFloats('w', [4, 4, 3, 3], ramp([4, 4, 3, 3]))],
      ),
    });
    const [name] = readdirSync(folder);
    const out = join(root, 'named');
    for (const args of [
      ['inspect', join(folder, name)],
      ['inspect', join(folder, name), '--format', 'json'],
      ['collect-kernels', folder, '--out', out],
      ['inspect', out],
      ['collect-kernels', join(folder, name), '--out', join(root, 'no'), '--size', '9x9'],
    ]) {
      const result = await dwp(...args);
      expect([result.code, obeyed(result.out), obeyed(result.err)]).toEqual([
        args.includes('9x9') ? 3 : 0,
        [],
        [],
      ]);
    }
  });
});

// ---------------------------------------------------------------- folders

describe('folders and special files', () => {
  test('a named pipe, a device and a folder as the model', () => {
    const folder = folderOf({});
    execFileSync('mkfifo', [join(folder, 'pipe.onnx')]);
    for (const path of [join(folder, 'pipe.onnx'), '/dev/zero', folder])
      expect(() => openSource(path)).toThrow(/not a file/);
  });

  test('links in a circle, pipes and strange names in a folder', () => {
    const folder = folderOf({
      'a.onnx': convModel([2, 2, 3, 3]),
      'new\nline\u001b[2J.onnx': convModel([2, 2, 5, 5]),
    });
    mkdirSync(join(folder, 'sub'));
    symlinkSync('..', join(folder, 'sub', 'up'));
    symlinkSync('a.onnx', join(folder, 'link.onnx'));
    execFileSync('mkfifo', [join(folder, 'pipe.onnx')]);
    mkdirSync(join(folder, 'folder.onnx'));
    const { files: found } = findModelFiles([folder]);
    expect(found.map(({ path }) => basename(path))).toEqual(['a.onnx', 'new\nline\u001b[2J.onnx']);
  });

  test('a folder of two thousand files', () => {
    const folder = folderOf({});
    for (let i = 0; i < 2000; i++) writeFileSync(join(folder, `${i}.onnx`), '');
    expect(findModelFiles([folder]).files).toHaveLength(2000);
  });
});
