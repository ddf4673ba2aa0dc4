// ONNX files whose parts multiply: each ends soon, with all its layers or with one plain line.
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProtoSchema,
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TensorProtoSchema,
} from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { onnx } from '../../src/importers/onnx.js';
import { varint } from './hostile/onnx.js';
import { joined } from './hostile/zip.js';
import { loadBytes } from './loaded.js';
import { node, onnxModel, rawFloats } from './write-models.js';

const read = (bytes: Uint8Array, foldBatchNorm = false, siblings: Record<string, Uint8Array> = {}) =>
  loadBytes(onnx, bytes, 'm.onnx', { foldBatchNorm }, siblings);

const one = (name: string) => rawFloats(name, [1, 1, 1, 1], Float32Array.of(1));
const int8 = (name: string) =>
  create(TensorProtoSchema, {
    name,
    dims: [1n, 1n, 1n, 1n],
    dataType: TensorProto_DataType.INT8,
    rawData: Uint8Array.of(3),
  });
const scalar = (name: string, value: number) => rawFloats(name, [], Float32Array.of(value));
const many = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));

interface Function {
  name: string;
  input?: string[];
  output?: string[];
  nodes: NodeProto[];
}

const withFunctions = (nodes: NodeProto[], functions: Function[], initializer = [one('w')]) =>
  toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      graph: create(GraphProtoSchema, { name: 'g', node: nodes, initializer }),
      functions: functions.map(({ nodes, ...rest }) => create(FunctionProtoSchema, { ...rest, node: nodes })),
    }),
  );

/** A graph that is nothing but one field, again and again. */
function repeated(field: number, content: Uint8Array, times: number): Uint8Array {
  const part = joined(varint(field * 8 + 2), varint(content.length), content);
  const graph = new Uint8Array(part.length * times);
  for (let i = 0; i < times; i++) graph.set(part, i * part.length);
  return joined(Uint8Array.of(8, 8, 7 * 8 + 2), varint(graph.length), graph);
}

describe('parts of two bytes are counted before they fill the memory', () => {
  const empty = new Uint8Array(0);
  test.each([
    ['nodes', repeated(1, empty, 1_100_000)],
    ['initializers', repeated(5, empty, 1_100_000)],
    ['names of inputs', repeated(1, repeated(1, empty, 3_100_000).subarray(7), 1)],
    ['graphs', repeated(1, joined(Uint8Array.of(0x2a, 4, 0x5a, 0, 0x5a, 0)), 51_000)],
  ])('%s', async (_, bytes) => {
    await expect(read(bytes)).rejects.toThrow(/^m\.onnx: not a complete ONNX model \(more parts than/);
  });
});

describe('what refers to the same thing over and over', () => {
  const LONG = 20_000; // takes no longer than a second; every part with every other takes minutes

  test('quantised convolutions of one result, which many nodes read', { timeout: 20_000 }, async () => {
    const { skipped } = await read(
      onnxModel(
        [
          ...many(2 * LONG, (i) => node('ConvInteger', ['x', `w${i}`], 'y')),
          ...many(2 * LONG, () => node('Relu', ['y'], 'z')),
        ],
        many(2 * LONG, (i) => int8(`w${i}`)),
      ),
    );
    expect(skipped).toHaveLength(2 * LONG);
  });

  test('the same with BatchNormalization to be folded', { timeout: 20_000 }, async () => {
    const { layers } = await read(
      onnxModel(
        [
          ...many(LONG, (i) => node('Conv', ['x', `w${i}`], 'y')),
          ...many(LONG, () => node('BatchNormalization', ['y'], 'z')),
        ],
        many(LONG, (i) => one(`w${i}`)),
      ),
      true,
    );
    expect(layers).toHaveLength(LONG);
  });

  test('a function of many inputs that is called many times', { timeout: 20_000 }, async () => {
    const wide = { name: 'F', input: many(LONG, (i) => `i${i}`), nodes: [node('Conv', ['x', 'i0'], 'b')] };
    const { layers } = await read(
      withFunctions(
        many(LONG, () => node('F', ['w'], 'y')),
        [wide],
      ),
    );
    expect(layers).toHaveLength(1);
  });

  test('a function of many results', { timeout: 20_000 }, async () => {
    const names = many(2 * LONG, (i) => `o${i}`);
    const call = create(NodeProtoSchema, { opType: 'F', output: names });
    const convolutions = names.map((name) => node('Conv', ['x', name], 'y'));
    const { skipped } = await read(
      withFunctions([call, ...convolutions], [{ name: 'F', output: names, nodes: [] }]),
    );
    expect(skipped).toHaveLength(names.length);
  });

  test('functions that call the next one three times', { timeout: 20_000 }, async () => {
    const chain = many(16, (i) => ({
      name: `F${i}`,
      nodes: many(3, (j) => node(i < 15 ? `F${i + 1}` : 'Relu', ['a'], `b${j}`)),
    }));
    await expect(read(withFunctions([node('F0', ['x'], 'y')], chain))).rejects.toThrow(/more than 400000/);
  });

  test('graphs in a function that is called many times', { timeout: 20_000 }, async () => {
    const branch = create(NodeProtoSchema, {
      opType: 'If',
      attribute: [
        create(AttributeProtoSchema, {
          name: 'then_branch',
          graphs: many(1000, () => create(GraphProtoSchema)),
        }),
      ],
    });
    const calls = many(900, () => node('F', [], 'y'));
    await expect(read(withFunctions(calls, [{ name: 'F', nodes: [branch] }]))).rejects.toThrow(
      /more than 400000/,
    );
  });
});

describe('what counts once, and what is never left out in silence', () => {
  test('two tensors at one place in another file are one', async () => {
    const external = (name: string, offset: string) =>
      create(TensorProtoSchema, {
        name,
        dims: [1n, 1n, 1n, 1n],
        dataType: TensorProto_DataType.FLOAT,
        dataLocation: TensorProto_DataLocation.EXTERNAL,
        externalData: Object.entries({ location: 'd.bin', offset, length: '4' }).map(([key, value]) => ({
          key,
          value,
        })),
      });
    const bytes = onnxModel(
      ['a', 'b', 'c'].map((name) => node('Conv', ['x', name], 'y')),
      [external('a', '0'), external('b', '0'), external('c', '4')],
    );
    const { layers } = await read(bytes, false, { 'd.bin': new Uint8Array(Float32Array.of(7, 8).buffer) });
    expect(layers.map(({ data }) => [...data])).toEqual([[7], [8]]);
  });

  test('weights that one convolution cannot give are taken from the next', async () => {
    const { layers, skipped } = await read(
      onnxModel(
        [
          node('ConvInteger', ['x', 'w'], 'first'),
          node('QLinearConv', ['x', '', '', 'w', 'scale', '', '', ''], 'y'),
        ],
        [int8('w'), scalar('scale', 0.5)],
      ),
    );
    expect(skipped.map(({ layer }) => layer)).toEqual(['first-node']);
    expect([...layers[0].data]).toEqual([1.5]);
  });

  test('ConvInteger with two constant scales: the second is that of the weights', async () => {
    const { layers } = await read(
      onnxModel(
        [
          node('ConvInteger', ['x', 'w'], 'y'),
          node('Cast', ['y'], 'cast', { to: 1 }),
          node('Mul', ['of-x', 'of-w'], 'scale'),
          node('Mul', ['cast', 'scale'], 'z'),
        ],
        [int8('w'), scalar('of-x', 100), scalar('of-w', 0.5)],
      ),
    );
    expect([...layers[0].data]).toEqual([1.5]);
  });

  test('a function whose weights come from another function', async () => {
    const { layers, skipped } = await read(
      withFunctions(
        [node('Make', ['w'], 'made'), node('Use', ['x', 'made'], 'y')],
        [
          { name: 'Make', input: ['a'], output: ['b'], nodes: [node('Identity', ['a'], 'b')] },
          { name: 'Use', input: ['p', 'q'], output: ['r'], nodes: [node('Conv', ['p', 'q'], 'r')] },
        ],
      ),
    );
    expect(skipped).toEqual([]);
    expect([...layers[0].data]).toEqual([1]);
  });

  test('a list of floats of any length', async () => {
    const shape = [64, 64, 3, 3];
    const floats = many(64 * 64 * 9, (i) => i);
    const constant = create(NodeProtoSchema, {
      opType: 'Constant',
      output: ['flat'],
      attribute: [create(AttributeProtoSchema, { name: 'value_floats', floats })],
    });
    const target = create(TensorProtoSchema, {
      name: 'shape',
      dims: [4n],
      dataType: TensorProto_DataType.INT64,
      int64Data: shape.map(BigInt),
    });
    const { layers } = await read(
      onnxModel([constant, node('Reshape', ['flat', 'shape'], 'w'), node('Conv', ['x', 'w'], 'y')], [target]),
    );
    expect(layers[0].shape).toEqual(shape);
    expect([...layers[0].data]).toEqual(floats);
  });

  test('a BatchNormalization that a branch may not run, or that measures its batch, is not folded', async () => {
    const norm = node('BatchNormalization', ['y', 'g', 'g', 'g', 'g'], 'z');
    const branch = create(NodeProtoSchema, {
      opType: 'If',
      output: ['r'],
      attribute: [
        create(AttributeProtoSchema, { name: 'then_branch', g: create(GraphProtoSchema, { node: [norm] }) }),
      ],
    });
    const training = node('BatchNormalization', ['y', 'g', 'g', 'g', 'g'], 'z', { training_mode: 1 });
    const folded = (follows: NodeProto) =>
      read(
        onnxModel(
          [node('Conv', ['x', 'w'], 'y'), follows],
          [one('w'), rawFloats('g', [1], Float32Array.of(9))],
        ),
        true,
      );
    expect((await folded(norm)).layers[0].data[0]).toBeCloseTo(3, 5);
    for (const follows of [branch, training])
      expect([...(await folded(follows)).layers[0].data]).toEqual([1]);
  });

  test('convolutions of kinds that are not known', async () => {
    const { skipped } = await read(onnxModel([node('NhwcConv', ['x', 'w'], 'y')], [one('w')]));
    expect(skipped).toEqual([
      { layer: 'y-node', reason: '"NhwcConv", a kind of convolution that is not read' },
    ]);
  });
});
