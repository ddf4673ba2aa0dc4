import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DwpError } from '../../src/errors.js';
import { memorySource } from '../../src/formats/source.js';
import { findModelFiles } from '../../src/importers/index.js';
import { tfjs } from '../../src/importers/tfjs.js';
import { loadBytes, loadModel } from './loaded.js';
import { ramp } from './write-models.js';

interface Weight {
  name: string;
  shape: number[];
  dtype?: string;
  quantization?: object | null;
  group?: string;
}

const bytesOf = (...arrays: (Float32Array | Int32Array | Uint16Array | Uint8Array)[]) =>
  Uint8Array.from(arrays.flatMap(({ buffer }) => [...new Uint8Array(buffer)]));

const manifest = (weights: Weight[], paths = ['w.bin']) => [
  { paths, weights: weights.map((weight) => ({ dtype: 'float32', ...weight })) },
];

const rampsOf = (weights: Weight[]) => bytesOf(...weights.map(({ shape }) => ramp(shape)));

/** A model in memory: its JSON, and by default one shard of ramps. */
const read = (json: object, shards: Record<string, Uint8Array>) =>
  loadBytes(tfjs, new TextEncoder().encode(JSON.stringify(json)), 'model.json', {}, shards);

const described = ({ layers }: Awaited<ReturnType<typeof read>>) =>
  layers.map(({ name, kind, shape }) => `${name} ${kind} ${shape}`);

describe('a layers-model', () => {
  const layer = (className: string, name: string, config = {}) => ({
    class_name: className,
    config: { name, ...config },
  });
  const model = (layers: object[], weights: Weight[]) => ({
    format: 'layers-model',
    modelTopology: { model_config: { class_name: 'Sequential', config: { name: 'net', layers } } },
    weightsManifest: manifest(weights),
  });
  const load = (layers: object[], weights: Weight[]) =>
    read(model(layers, weights), { 'w.bin': rampsOf(weights) });

  test('kinds by class, of models inside models and wrapped layers too', async () => {
    const inside = layer('Functional', 'inside', { layers: [layer('Conv2DTranspose', 'up')] });
    const timed = layer('TimeDistributed', 'timed', { layer: layer('DepthwiseConv2D', 'wrapped') });
    const found = await load(
      [
        layer('Conv2D', 'depthwise_in_name_only'),
        inside,
        timed,
        layer('SeparableConv2D', 'separable'),
        layer('Conv2D', 'grouped', { groups: 4 }),
      ],
      [
        { name: 'depthwise_in_name_only/kernel', shape: [3, 2, 5, 4] },
        { name: 'depthwise_in_name_only/bias', shape: [4] },
        { name: 'inside/up/kernel:0', shape: [2, 3, 6, 4] },
        { name: 'timed/depthwise_kernel', shape: [3, 3, 6, 2] },
        { name: 'separable/depthwise_kernel_1', shape: [3, 3, 4, 1] },
        { name: 'separable/pointwise_kernel_1', shape: [1, 1, 4, 7] },
        { name: 'grouped/kernel', shape: [3, 3, 1, 8] },
      ],
    );
    expect(found.skipped).toEqual([]);
    expect(described(found)).toEqual([
      'depthwise_in_name_only conv 4,5,3,2',
      'inside/up transposed 6,4,2,3',
      'timed/depthwise_kernel depthwise 12,1,3,3',
      'separable/depthwise_kernel_1 depthwise 4,1,3,3',
      'separable/pointwise_kernel_1 conv 7,4,1,1',
      'grouped depthwise 8,1,3,3',
    ]);
  });

  test('[h, w, in, out] becomes [out, in, h, w]', async () => {
    const { layers } = await load([layer('Conv2D', 'conv')], [{ name: 'conv/kernel', shape: [3, 2, 5, 4] }]);
    const slice = (3 * 5 + 2) * 6; // out 3, in 2
    expect([...layers[0].data.subarray(slice, slice + 6)]).toEqual(
      [0, 1, 2].flatMap((h) => [0, 1].map((w) => ((h * 2 + w) * 5 + 2) * 4 + 3 + 1)),
    );
  });

  test('what is no 2-D convolution is left out with a reason, or is none at all', async () => {
    const { layers, skipped } = await load(
      [layer('Conv1D', 'sound'), layer('Conv3D', 'scan'), layer('Mine\u001b', 'own'), layer('GRU', 'gru')],
      [
        { name: 'sound/kernel', shape: [3, 2, 4] },
        { name: 'scan/kernel', shape: [3, 3, 3, 2, 4] },
        { name: 'own/kernel', shape: [3, 3, 2, 4] },
        { name: 'gru/kernel', shape: [3, 3, 2] },
        { name: 'elsewhere/table', shape: [3, 3, 2, 4] },
        { name: 'conv2d/kernel', shape: [3, 3, 2, 4], dtype: 'int32' },
      ],
    );
    expect(layers).toEqual([]);
    expect(skipped).toEqual([
      { layer: 'sound/kernel', reason: 'a 1-D convolution' },
      { layer: 'scan/kernel', reason: 'a 3-D convolution' },
      { layer: 'own/kernel', reason: 'a layer of class "Mine\\u001b"' },
      { layer: 'elsewhere/table', reason: 'a 4-D weight that no known convolution has' },
      { layer: 'conv2d/kernel', reason: 'its weights are "int32", not float' },
    ]);
  });

  test('producer and licence', async () => {
    const weights = [{ name: 'conv/kernel', shape: [3, 3, 1, 1] }];
    const stated = {
      generatedBy: 'keras v2.9.0',
      convertedBy: 'TensorFlow.js Converter v4.22.0',
      userDefinedMetadata: { license: 'MIT' },
    };
    expect(
      await read({ ...model([layer('Conv2D', 'conv')], weights), ...stated }, { 'w.bin': rampsOf(weights) }),
    ).toMatchObject({ producer: 'keras v2.9.0, TensorFlow.js Converter v4.22.0', licence: 'MIT' });
  });
});

describe('a graph-model', () => {
  const node = (name: string, op: string, ...input: string[]) => ({ name, op, input });
  const graph = (nodes: object[], weights: Weight[], functions: object[][] = []) => ({
    format: 'graph-model',
    modelTopology: { node: nodes, library: { function: functions.map((nodeDef) => ({ nodeDef })) } },
    weightsManifest: manifest(weights),
  });
  const kernel = { name: 'k', shape: [3, 2, 5, 4] };

  test.each([
    ['Conv2D', 'conv', [4, 5, 3, 2]],
    ['_FusedConv2D', 'conv', [4, 5, 3, 2]],
    ['FusedConv2D', 'conv', [4, 5, 3, 2]],
    ['DepthwiseConv2dNative', 'depthwise', [20, 1, 3, 2]],
    ['FusedDepthwiseConv2dNative', 'depthwise', [20, 1, 3, 2]],
    ['Conv2DBackpropInput', 'transposed', [5, 4, 3, 2]],
  ])('%s', async (op, kind, shape) => {
    const model = graph([node('k', 'Const'), node('layer', op, 'x', 'k:0', '^order')], [kernel]);
    const { layers } = await read(model, { 'w.bin': rampsOf([kernel]) });
    expect(layers[0]).toMatchObject({ name: 'layer', kind, shape });
  });

  test('weights are followed through nodes that rearrange them, in functions too', async () => {
    const weights = [
      { name: 'k', shape: [8, 3] },
      { name: 'axes', shape: [4], dtype: 'int32' },
      { name: 'size', shape: [4], dtype: 'int32' },
    ];
    const body = [
      node('k', 'Const'),
      node('axes', 'Const'),
      node('size', 'Const'),
      node('same', 'Identity', 'k'),
      node('formed', 'Reshape', 'same:output:0', 'size'),
      node('turned', 'Transpose', 'formed', 'axes'), // [out, h, w, in] → [h, w, in, out]
      node('cast', 'Cast', 'turned'),
      node('layer', 'Conv2D', 'x', 'cast'),
    ];
    const shards = {
      'w.bin': bytesOf(ramp([8, 3]), Int32Array.of(1, 2, 3, 0), Int32Array.of(2, 3, -1, 2)),
    };
    for (const model of [graph(body, weights), graph([], weights, [body])]) {
      const { layers, skipped } = await read(model, shards);
      expect(skipped).toEqual([]);
      expect(layers[0].shape).toEqual([2, 2, 3, 2]);
      expect([...layers[0].data.subarray(0, 12)]).toEqual([1, 3, 5, 7, 9, 11, 2, 4, 6, 8, 10, 12]);
    }
  });

  test('weights that two nodes share count once', async () => {
    const nodes = [node('k', 'Const'), node('a', 'Conv2D', 'x', 'k'), node('b', 'Conv2D', 'a', 'k')];
    const { layers, skipped } = await read(graph(nodes, [kernel]), { 'w.bin': rampsOf([kernel]) });
    expect(layers.map(({ name }) => name)).toEqual(['a']);
    expect(skipped).toEqual([]);
  });

  test.each([
    [[node('x', 'Placeholder'), node('layer', 'Conv2D', 'x', 'x')], 'its weights are an input of the graph'],
    [[node('layer', 'Conv2D', 'x')], 'it has no weights'],
    [[node('c', 'Const'), node('layer', 'Conv2D', 'x', 'c')], 'the manifest has no weights "c"'],
    [[node('m', 'Mul', 'k', 'k'), node('layer', 'Conv2D', 'x', 'm')], 'its weights are computed ("Mul")'],
    [
      [node('i', 'Identity', 'i'), node('layer', 'Conv2D', 'x', 'i')],
      'more than 16 nodes lie between its weights and their constant',
    ],
    [
      [node('r', 'Reshape', 'k', 'x'), node('layer', 'Conv2D', 'x', 'r')],
      'a Reshape of its weights by what is not constant',
    ],
    [[node('e', 'ExpandDims', 'line'), node('layer', 'Conv2D', 'x', 'e')], 'a 1-D convolution'],
    [[node('layer', 'Conv3D', 'x', 'k')], 'a 3-D convolution'],
    [[node('layer', 'QuantizedConv2D', 'x', 'k')], 'nodes "QuantizedConv2D" are not read'],
  ])('%j: skipped', async (nodes, reason) => {
    const weights = [kernel, { name: 'line', shape: [3, 2, 4] }];
    const { layers, skipped } = await read(graph(nodes, weights), { 'w.bin': rampsOf(weights) });
    expect({ layers, skipped }).toEqual({ layers: [], skipped: [{ layer: 'layer', reason }] });
  });
});

test('a manifest alone: kinds by name', async () => {
  const shape = [3, 3, 4, 2];
  const names = ['a/depthwise_conv2d/kernel', 'a_depthwise/pointwise/weights', 'conv2d_transpose/kernel'];
  const weights = [...names, 'conv0/filters', 'w/filter', 'table'].map((name) => ({ name, shape }));
  const found = await read(manifest(weights), { 'w.bin': rampsOf(weights) });
  expect(described(found)).toEqual([
    'a/depthwise_conv2d depthwise 8,1,3,3',
    'a_depthwise/pointwise/weights conv 2,4,3,3',
    'conv2d_transpose transposed 4,2,3,3',
    'conv0/filters conv 2,4,3,3',
    'w/filter conv 2,4,3,3',
  ]);
  expect(found.skipped).toEqual([{ layer: 'table', reason: 'a 4-D weight that no known convolution has' }]);
});

describe('storage', () => {
  const shape = [2, 2, 1, 1];

  test('quantised to uint8, uint16 and float16, as the framework restores them', async () => {
    const weights: Weight[] = [
      { name: 'a/kernel', shape, quantization: { dtype: 'uint8', scale: 0.1, min: -1 } },
      { name: 'b/kernel', shape, quantization: { dtype: 'uint16', scale: 0.001, min: -30 } },
      { name: 'c/kernel', shape, quantization: { dtype: 'float16', original_dtype: 'float32' } },
    ];
    const shard = bytesOf(
      Uint8Array.of(0, 10, 11, 255),
      Uint16Array.of(0, 30000, 30001, 65535),
      Uint16Array.of(0x3c00, 0xc000, 0x7bff, 1),
    );
    const { layers } = await read(manifest(weights), { 'w.bin': shard });
    expect(layers.map(({ dtype }) => dtype)).toEqual(['uint8', 'uint16', 'float16']);
    const values = layers.map(({ data }) => [...data]);
    expect(values).toEqual([
      [-1, 0, 11 * 0.1 - 1, 255 * 0.1 - 1].map(Math.fround),
      [-30, 0, 30001 * 0.001 - 30, 65535 * 0.001 - 30].map(Math.fround),
      [1, -2, 65504, 2 ** -24],
    ]);
  });

  test('across shards of any length, behind strings, and from a group of its own', async () => {
    const text = (words: string[]) =>
      words.flatMap((word) => [...bytesOf(Int32Array.of(word.length)), ...new TextEncoder().encode(word)]);
    const long = 'x'.repeat(70_000);
    const bytes = Uint8Array.from([
      ...text(['one', '', long, 'four']),
      ...bytesOf(ramp([2, 1, 1, 1])),
      1,
      ...bytesOf(ramp(shape)),
    ]);
    const cuts = [0, 5, 69_000, bytes.length - 20, bytes.length - 9, bytes.length];
    const paths = cuts.slice(1).map((_, i) => `s${i}`);
    const shards = Object.fromEntries(paths.map((path, i) => [path, bytes.slice(cuts[i], cuts[i + 1])]));
    const weights = [
      { name: 'words', shape: [2, 2], dtype: 'string' },
      { name: 'first/kernel', shape: [2, 1, 1, 1] },
      { name: 'flag', shape: [], dtype: 'bool', quantization: null },
      { name: 'second/kernel', shape },
    ];
    const other = manifest([{ name: 'third/kernel', shape }], ['alone']);
    const found = await read([...manifest(weights, paths), ...other], {
      ...shards,
      alone: bytesOf(ramp(shape, 2)),
    });
    expect(found.layers.map(({ data }) => [...data])).toEqual([
      [1, 2],
      [1, 2, 3, 4],
      [2, 4, 6, 8],
    ]);
  });

  test('only shards that hold a convolution, or lie before one, are opened; nothing is read', async () => {
    const weights = [
      { name: 'conv/kernel', shape },
      { name: 'dense/kernel', shape: [10, 10] },
    ];
    const model = manifest(weights, ['first', 'second']);
    const source = memorySource(new TextEncoder().encode(JSON.stringify(model)), 'model.json', {
      first: bytesOf(ramp([5])),
      second: bytesOf(ramp([99])),
    });
    const opened: string[] = [];
    const read: string[] = [];
    const { layers } = await tfjs.read({
      ...source,
      sibling: (name) => {
        opened.push(name);
        const shard = source.sibling(name);
        const counted = (offset: number, length: number) => {
          read.push(name);
          return shard.read(offset, length);
        };
        return { ...shard, read: counted };
      },
    });
    expect({ opened, read }).toEqual({ opened: ['first'], read: [] });
    expect([...(await layers[0].read())]).toEqual([1, 2, 3, 4]);
    expect({ opened, read }).toEqual({ opened: ['first'], read: ['first'] });
  });

  test("an optimiser's weights are not the model's", async () => {
    const weights = [
      { name: 'conv/kernel/momentum/kernel', shape, group: 'optimizer' },
      { name: 'conv/kernel', shape },
    ];
    expect(described(await read(manifest(weights), { 'w.bin': rampsOf(weights) }))).toEqual([
      'conv conv 1,1,2,2',
    ]);
  });
});

describe('files', () => {
  const folder = () => {
    const path = mkdtempSync(join(tmpdir(), 'dwp-tfjs-'));
    const write = (name: string, content: unknown) =>
      writeFileSync(join(path, name), content instanceof Uint8Array ? content : JSON.stringify(content));
    return { path, write, remove: () => rmSync(path, { recursive: true }) };
  };
  const weights = [{ name: 'conv/kernel', shape: [3, 3, 1, 1] }];

  test('in a folder models and manifests are found, not their shards or other JSON', () => {
    const { path, write, remove } = folder();
    for (const name of ['model.json', 'face-weights_manifest.json', 'w.bin', 'package.json', 'a.json'])
      write(name, {});
    write('by-content.json', { format: 'graph-model' });
    const found = findModelFiles([path]).files.map(({ path: file }) => file);
    const names = ['by-content.json', 'face-weights_manifest.json', 'model.json'];
    expect(found).toEqual(names.map((name) => join(path, name)));
    remove();
  });

  test('shards are parts of the model; a name of its own is recognised by content', async () => {
    const { path, write, remove } = folder();
    write('net.json', { format: 'layers-model', modelTopology: {}, weightsManifest: manifest(weights) });
    write('w.bin', rampsOf(weights));
    const model = await loadModel(join(path, 'net.json'));
    expect(model).toMatchObject({ format: 'tfjs', parts: [{ name: 'w.bin', bytes: 36 }] });
    expect(model.layers).toHaveLength(1);
    write('other.json', { name: 'a package' });
    await expect(loadModel(join(path, 'other.json'))).rejects.toThrow(/not a model of a known format/);
    write('model.json', { name: 'a model of another kind' });
    await expect(loadModel(join(path, 'model.json'))).rejects.toThrow(/it has no weightsManifest/);
    remove();
  });

  test('a shard outside the folder is refused', async () => {
    const { path, write, remove } = folder();
    mkdirSync(join(path, 'in'));
    write('secret', rampsOf(weights));
    write('in/model.json', manifest(weights, ['../secret']));
    await expect(loadModel(join(path, 'in', 'model.json'))).rejects.toThrow(/leads out of its folder/);
    write('in/model.json', manifest(weights, [join(path, 'secret')]));
    await expect(loadModel(join(path, 'in', 'model.json'))).rejects.toThrow(/an absolute path/);
    remove();
  });
});

describe('hostile files', () => {
  const kernel = { name: 'conv/kernel', shape: [3, 3, 1, 1] };
  const shards = { 'w.bin': bytesOf(ramp([9])) };
  const refused = (json: object, why: RegExp) => expect(read(json, shards)).rejects.toThrow(why);

  test('a shard that is missing, or too short', async () => {
    await refused(manifest([kernel], ['gone.bin']), /^model\.json: names "gone\.bin", no such file/);
    const wrong = { ...kernel, shape: [1e3, 1e3, 1e3, 1e3] };
    await refused(manifest([wrong]), /"conv\/kernel" ends at byte 4000000000000 of 36 in its files/);
  });

  test('a file that is named twice would be more than there is', async () => {
    await refused(manifest([kernel], ['w.bin', './w.bin']), /it names the file "w\.bin" twice/);
    await refused([...manifest([kernel]), ...manifest([kernel])], /it names the file "w\.bin" twice/);
  });

  test.each([
    [{ shape: [3, 3, 1, -1] }, /"conv\/kernel" of no possible shape/],
    [{ shape: [1e9, 1e9, 1e9, 1e9] }, /of no possible shape/],
    [{ shape: 'x' }, /of no possible shape/],
    [{ dtype: 'toString' }, /of the unknown type "toString"/],
    [{ dtype: null }, /of no type/],
    [{ name: 7 }, /a weight without a name/],
    [{ quantization: { dtype: 'uint8', scale: 'x', min: 0 } }, /quantised without a scale and a minimum/],
    [{ quantization: 'uint8' }, /of no type/],
    [{ quantization: { dtype: 'bool' } }, /of the unknown type "bool"/],
  ])('a weight with %j', async (change, why) => {
    await refused(manifest([{ ...kernel, ...change } as Weight]), why);
  });

  test('strings that claim more than there is', async () => {
    const words = { name: 'words', shape: [2 ** 40], dtype: 'string' };
    await refused(manifest([words, kernel]), /of strings" ends at byte/);
  });

  test.each(['', '{', '[{"weights": 1}]', '[]', '{"weightsManifest": [null]}', 'null', `${'['.repeat(1e5)}`])(
    'text %j',
    async (text) => {
      const bytes = new TextEncoder().encode(text.slice(0, 200_000));
      await expect(loadBytes(tfjs, bytes, 'model.json')).rejects.toThrow(/^model\.json: not/);
    },
  );

  test('models inside models without end', async () => {
    const depth = 50_000;
    const topology = `${'{"config":'.repeat(depth)}1${'}'.repeat(depth)}`;
    const text = `{"modelTopology":${topology},"weightsManifest":${JSON.stringify(manifest([kernel]))}}`;
    const { layers } = await loadBytes(tfjs, new TextEncoder().encode(text), 'model.json', {}, shards);
    expect(layers).toHaveLength(1);
  });

  test('any value in any place: a model, or an input error', async () => {
    const quantization = { dtype: 'uint8', scale: 0.1, min: -1 };
    const weights = [kernel, { name: 'k', shape: [3, 2, 5, 4], quantization }];
    const whole = {
      modelTopology: {
        node: [
          { name: 'k', op: 'Const', attr: {} },
          { name: 'r', op: 'Reshape', input: ['k', 'size'] },
          { name: 'layer', op: 'Conv2D', input: ['x', 'r'] },
        ],
        library: { function: [{ nodeDef: [] }] },
      },
      weightsManifest: manifest([...weights, { name: 'size', shape: [4], dtype: 'int32' }]),
    };
    const places: (string | number)[][] = [];
    const walk = (value: unknown, path: (string | number)[]): void => {
      if (path.length > 0) places.push(path);
      if (typeof value === 'object' && value !== null)
        for (const [key, child] of Object.entries(value)) walk(child, [...path, key]);
    };
    walk(whole, []);
    const shard = { 'w.bin': bytesOf(ramp([9]), new Uint8Array(120), Int32Array.of(3, 2, 5, 4)) };
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...places),
        fc.oneof(
          fc.constantFrom(null, -1, 0, 1e300, 2 ** 40, '', 'k', 'layer', '__proto__', [], {}, [[]], true),
          fc.constantFrom('bool', 'int32', 'float16', 'float64', 'uint16', 'string', 'Conv2D', 'Transpose'),
          fc.jsonValue(),
        ),
        async (path, value) => {
          const changed = structuredClone(whole);
          let parent = changed as unknown as Record<string | number, unknown>;
          for (const key of path.slice(0, -1)) parent = parent[key] as typeof parent;
          parent[path.at(-1)!] = value;
          try {
            await read(changed, shard);
          } catch (error) {
            expect(error).toBeInstanceOf(DwpError);
            expect(error).toMatchObject({ code: 'INPUT', message: expect.stringMatching(/^model\.json: /) });
          }
        },
      ),
      { seed: 4, numRuns: 2000 },
    );
  });
});
