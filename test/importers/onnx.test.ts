import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProtoSchema,
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TensorProtoSchema,
} from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { DwpError } from '../../src/errors.js';
import { openSource } from '../../src/formats/source.js';
import { onnx } from '../../src/importers/onnx.js';
import { loadBytes } from './loaded.js';
import {
  convModel,
  int64s,
  node,
  onnxModel,
  ramp,
  rawFloats,
  rawHalves,
  typedFloats,
  typedHalves,
} from './write-models.js';

const SHAPE = [2, 3, 3, 3];
// 1.0, -2.0, 65504, the smallest subnormal 2^-24
const HALVES = [0x3c00, 0xc000, 0x7bff, 0x0001];
const HALF_VALUES = [1, -2, 65504, 2 ** -24];

const read = (bytes: Uint8Array) => loadBytes(onnx, bytes, 'model.onnx');

describe('storage', () => {
  test.each([
    ['raw initializer', onnxModel([node('Conv', ['x', 'w'], 'y')], [rawFloats('w', SHAPE, ramp(SHAPE))])],
    [
      'float_data initializer',
      onnxModel([node('Conv', ['x', 'w'], 'y')], [typedFloats('w', SHAPE, ramp(SHAPE))]),
    ],
    [
      'Constant node',
      onnxModel([
        node('Constant', [], 'w', { value: rawFloats('', SHAPE, ramp(SHAPE)) }),
        node('Conv', ['x', 'w'], 'y'),
      ]),
    ],
    [
      'Constant behind Identity and Cast',
      onnxModel([
        node('Constant', [], 'a', { value: rawFloats('', SHAPE, ramp(SHAPE)) }),
        node('Identity', ['a'], 'b'),
        node('Cast', ['b'], 'w', { to: 1 }),
        node('Conv', ['x', 'w'], 'y'),
      ]),
    ],
    [
      'Reshape of a flat initializer',
      onnxModel(
        [node('Reshape', ['flat', 'shape'], 'w'), node('Conv', ['x', 'w'], 'y')],
        [rawFloats('flat', [54], ramp(SHAPE)), int64s('shape', [2, 3, -1, 3])],
      ),
    ],
  ])('%s', async (_, bytes) => {
    const { layers, skipped } = await read(bytes);
    expect(skipped).toEqual([]);
    expect(layers).toHaveLength(1);
    expect(layers[0]).toMatchObject({ name: 'y-node', kind: 'conv', shape: SHAPE, dtype: 'float32' });
    expect([...layers[0].data]).toEqual([...ramp(SHAPE)]);
  });

  test.each([
    ['raw', rawHalves('w', [1, 1, 2, 2], HALVES)],
    ['int32_data', typedHalves('w', [1, 1, 2, 2], HALVES)],
  ])('float16 in %s', async (_, tensor) => {
    const { layers } = await read(onnxModel([node('Conv', ['x', 'w'], 'y')], [tensor]));
    expect(layers[0].dtype).toBe('float16');
    expect([...layers[0].data]).toEqual(HALF_VALUES);
  });

  test('raw data at every alignment, from a Buffer', async () => {
    for (const pad of ['', 'a', 'ab', 'abc']) {
      const named = onnxModel(
        [node('Conv', ['x', `w${pad}`], 'y')],
        [rawFloats(`w${pad}`, SHAPE, ramp(SHAPE))],
      );
      expect([...(await read(Buffer.from(named))).layers[0].data]).toEqual([...ramp(SHAPE)]);
    }
  });
});

describe('layout', () => {
  test('Transpose: an asymmetric kernel keeps its orientation', async () => {
    // stored [h, w, in, out] as by TensorFlow: value = 100 h + 10 w + in + 0.5 out
    const stored = new Float32Array(2 * 3 * 2 * 2);
    let i = 0;
    for (let h = 0; h < 2; h++)
      for (let w = 0; w < 3; w++)
        for (let c = 0; c < 2; c++) for (let o = 0; o < 2; o++) stored[i++] = 100 * h + 10 * w + c + 0.5 * o;
    const bytes = onnxModel(
      [node('Transpose', ['s'], 'w', { perm: [3, 2, 0, 1] }), node('Conv', ['x', 'w'], 'y')],
      [rawFloats('s', [2, 3, 2, 2], stored)],
    );
    const [{ shape, data }] = (await read(bytes)).layers;
    expect(shape).toEqual([2, 2, 2, 3]);
    expect([...data.subarray(6, 12)]).toEqual([1, 11, 21, 101, 111, 121]); // out 0, in 1
    expect([...data.subarray(12, 18)]).toEqual([0.5, 10.5, 20.5, 100.5, 110.5, 120.5]); // out 1, in 0
  });

  test('kinds by group: depthwise, with a multiplier, grouped, one input channel', async () => {
    const kinds = async (shape: number[], group: number) => {
      const [{ kind, shape: out }] = (await read(convModel(shape, ramp(shape), group))).layers;
      return { kind, slices: out[0] * out[1] };
    };
    expect(await kinds([8, 1, 3, 3], 8)).toEqual({ kind: 'depthwise', slices: 8 });
    expect(await kinds([16, 1, 3, 3], 8)).toEqual({ kind: 'depthwise', slices: 16 });
    expect(await kinds([8, 2, 3, 3], 4)).toEqual({ kind: 'conv', slices: 16 });
    expect(await kinds([6, 1, 5, 5], 1)).toEqual({ kind: 'conv', slices: 6 });
  });

  test('ConvTranspose: [in, out of a group, h, w], grouped', async () => {
    const bytes = onnxModel(
      [node('ConvTranspose', ['x', 'w'], 'y', { group: 2 })],
      [rawFloats('w', [4, 3, 1, 2], ramp([4, 3, 1, 2]))],
    );
    const [{ kind, shape, data }] = (await read(bytes)).layers;
    expect({ kind, shape }).toEqual({ kind: 'transposed', shape: [6, 2, 1, 2] });
    // group 0, out 0: inputs 0 and 1, whose slices are stored at 0 and 3
    expect([...data.subarray(0, 4)]).toEqual([1, 2, 7, 8]);
    // group 1, out 1 (row 4): inputs 2 and 3, stored at 2·3+1 and 3·3+1
    expect([...data.subarray(16, 20)]).toEqual([15, 16, 21, 22]);
  });

  test('weights that two convolutions share count once', async () => {
    const bytes = onnxModel(
      [node('Conv', ['x', 'w'], 'y'), node('Conv', ['y', 'w'], 'z')],
      [rawFloats('w', [3, 3, 3, 3], ramp([3, 3, 3, 3]))],
    );
    expect((await read(bytes)).layers).toHaveLength(1);
  });
});

/** Raw int8 tensor. */
const int8s = (name: string, shape: readonly number[], values: readonly number[]) =>
  create(TensorProtoSchema, {
    name,
    dims: shape.map(BigInt),
    dataType: TensorProto_DataType.INT8,
    rawData: new Uint8Array(Int8Array.from(values).buffer),
  });
const Q = Array.from({ length: 16 }, (_, i) => 8 * i - 64); // two outputs, two inputs, 2×2
const Q_SHAPE = [2, 2, 2, 2];
const SCALES = [0.5, 0.25];

describe('quantised weights', () => {
  const q = int8s('q', Q_SHAPE, Q);
  const scale = rawFloats('s', [2], Float32Array.from(SCALES));
  const zero = int8s('z', [2], [0, -4]);
  const perOutput = Q.map((x, i) => (i < 8 ? x * 0.5 : (x + 4) * 0.25));
  const perInput = Q.map((x, i) => (i % 8 < 4 ? x * 0.5 : (x + 4) * 0.25));
  const one = rawFloats('one', [], Float32Array.of(0.5));
  test.each([
    [
      'DequantizeLinear by output channel',
      [node('DequantizeLinear', ['q', 's', 'z'], 'w', { axis: 0 }), node('Conv', ['x', 'w'], 'y')],
      perOutput,
    ],
    [
      'DequantizeLinear along its default axis, 1',
      [node('DequantizeLinear', ['q', 's', 'z'], 'w'), node('Conv', ['x', 'w'], 'y')],
      perInput,
    ],
    [
      'one scale for all',
      [node('DequantizeLinear', ['q', 'one'], 'w'), node('Conv', ['x', 'w'], 'y')],
      Q.map((x) => x * 0.5),
    ],
    ['QLinearConv', [node('QLinearConv', ['x', 'one', 'z', 'q', 's', 'z', 'one', 'z'], 'y')], perOutput],
    [
      'ConvInteger, its scale behind it',
      [
        node('ConvInteger', ['x', 'q', '', 'z'], 'i'),
        node('Cast', ['i'], 'f', { to: 1 }),
        node('Mul', ['unknown', 's'], 'both'),
        node('Mul', ['f', 'both'], 'y'),
      ],
      perOutput,
    ],
  ])('%s', async (_, nodes, expected) => {
    const { layers, skipped } = await read(onnxModel(nodes, [q, scale, zero, one]));
    expect(skipped).toEqual([]);
    expect(layers).toHaveLength(1);
    expect(layers[0]).toMatchObject({ shape: Q_SHAPE, dtype: 'int8' });
    expect([...layers[0].data]).toEqual(expected);
  });

  test('QuantizeLinear and back: floats on the grid, halves to even, ends cut', async () => {
    const floats = Float32Array.of(0.26, 0.25, 0.75, -0.76, 1000, -1000, 0, 0.5);
    const bytes = onnxModel(
      [
        node('QuantizeLinear', ['f', 'one', 'z0'], 'q'),
        node('DequantizeLinear', ['q', 'one', 'z0'], 'w'),
        node('Conv', ['x', 'w'], 'y'),
      ],
      [rawFloats('f', [2, 1, 2, 2], floats), one, int8s('z0', [], [0])],
    );
    // / 0.5: 0.52 → 1, 0.5 → 0, 1.5 → 2, −1.52 → −2, cut to 127 and −128
    expect([...(await read(bytes)).layers[0].data]).toEqual([0.5, 0, 1, -1, 63.5, -64, 0, 0.5]);
  });
});

describe('weights in another file', () => {
  const external = (location: string, extra: Record<string, string> = {}) =>
    onnxModel(
      [node('Conv', ['x', 'w'], 'y')],
      [
        create(TensorProtoSchema, {
          name: 'w',
          dims: [1n, 1n, 2n, 2n],
          dataType: TensorProto_DataType.FLOAT,
          dataLocation: TensorProto_DataLocation.EXTERNAL,
          externalData: Object.entries({ location, ...extra }).map(([key, value]) => ({ key, value })),
        }),
      ],
    );
  const data = new Uint8Array(Float32Array.of(9, 1, 2, 3, 4, 9).buffer);
  const readWith = (bytes: Uint8Array) =>
    loadBytes(onnx, bytes, 'model.onnx', {}, { 'w.bin': data, short: data.subarray(0, 16) });

  test('at an offset, with or without a length', async () => {
    const ranges: Record<string, string>[] = [{ offset: '4' }, { offset: '4', length: '16' }];
    for (const extra of ranges)
      expect([...(await readWith(external('w.bin', extra))).layers[0].data]).toEqual([1, 2, 3, 4]);
    expect([...(await readWith(external('short'))).layers[0].data]).toEqual([9, 1, 2, 3]);
  });

  test.each([
    ['a file that is not there', external('other'), /names "other", no such file/],
    ['beyond its end', external('w.bin', { offset: '12' }), /12 bytes for 4 values/],
    ['another length', external('w.bin', { length: '20' }), /20 bytes for 4 values/],
    ['an offset that is no number', external('w.bin', { offset: '-4' }), /external data with offset "-4"/],
  ])('%s', async (_, bytes, message) => {
    await expect(readWith(bytes)).rejects.toThrow(message);
  });
});

describe('where weights are found', () => {
  const w = rawFloats('w', SHAPE, ramp(SHAPE));
  const conv = node('Conv', ['x', 'w'], 'y');

  test('in the body of an If, from the graph around it', async () => {
    const inner = create(GraphProtoSchema, { name: 'then', node: [conv] });
    const branch = node('If', ['condition'], 'out');
    branch.attribute.push(create(AttributeProtoSchema, { name: 'then_branch', g: inner }));
    const { layers, skipped } = await read(onnxModel([branch], [w]));
    expect(skipped).toEqual([]);
    expect([...layers[0].data]).toEqual([...ramp(SHAPE)]);
  });

  test('in the body of a function: given at the call, and its own; one call or two', async () => {
    const body = [
      node('Conv', ['a', 'b'], 'c'),
      node('Constant', [], 'own', { value: rawFloats('', [1, 2, 1, 1], Float32Array.of(5, 6)) }),
      node('Conv', ['c', 'own'], 'd'),
    ];
    const call = (input: string, output: string) => {
      const made = node('Twice', [input, 'w'], output);
      made.domain = 'ours';
      return made;
    };
    const bytes = toBinary(
      ModelProtoSchema,
      create(ModelProtoSchema, {
        irVersion: 8n,
        graph: create(GraphProtoSchema, {
          name: 'g',
          node: [call('x', 'y'), call('y', 'z')],
          initializer: [w],
        }),
        functions: [
          create(FunctionProtoSchema, {
            name: 'Twice',
            domain: 'ours',
            input: ['a', 'b'],
            output: ['d'],
            node: body,
          }),
        ],
      }),
    );
    const { layers, skipped } = await read(bytes);
    expect(skipped).toEqual([]);
    expect(layers.map(({ data }) => [...data])).toEqual([[...ramp(SHAPE)], [5, 6]]);
  });

  test('a function that calls itself twice ends with an error', async () => {
    const again = () => {
      const made = node('Loop', ['a'], 'b');
      made.domain = 'ours';
      return made;
    };
    const bytes = toBinary(
      ModelProtoSchema,
      create(ModelProtoSchema, {
        irVersion: 8n,
        graph: create(GraphProtoSchema, { name: 'g', node: [again()] }),
        functions: [
          create(FunctionProtoSchema, {
            name: 'Loop',
            domain: 'ours',
            input: ['a'],
            output: ['b'],
            node: [again(), again()],
          }),
        ],
      }),
    );
    await expect(read(bytes)).rejects.toThrow(/nested deeper than 16/);
  });

  test('behind Unsqueeze and Squeeze, axes as an input', async () => {
    const bytes = onnxModel(
      [
        node('Unsqueeze', ['w', 'axes'], 'u'),
        node('Squeeze', ['u', 'axes'], 's'),
        node('Conv', ['x', 's'], 'y'),
      ],
      [w, int64s('axes', [0])],
    );
    expect((await read(bytes)).layers[0].shape).toEqual(SHAPE);
  });
});

describe('a BatchNormalization behind a convolution', () => {
  const gamma = Float32Array.of(2, 3);
  const variance = Float32Array.of(4, 0.25);
  const bytes = (more: Parameters<typeof onnxModel>[0] = [], transposed = false) =>
    onnxModel(
      [
        node(transposed ? 'ConvTranspose' : 'Conv', ['x', 'w'], 'y'),
        node('BatchNormalization', ['y', 'g', 'b', 'm', 'v'], 'z'),
        ...more,
      ],
      [
        rawFloats('w', [2, 2, 1, 2], ramp([2, 2, 1, 2])),
        rawFloats('g', [2], gamma),
        rawFloats('b', [2], gamma),
        rawFloats('m', [2], gamma),
        rawFloats('v', [2], variance),
      ],
    );
  const fold = (model: Uint8Array) => loadBytes(onnx, model, 'm.onnx', { foldBatchNorm: true });
  const factors = [0, 1].map((o) => gamma[o] / Math.sqrt(variance[o] + 1e-5));

  test('is multiplied in on request only', async () => {
    expect([...(await read(bytes())).layers[0].data]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const [{ data }] = (await fold(bytes())).layers;
    for (const [i, x] of [...data].entries()) expect(x).toBeCloseTo((i + 1) * factors[i < 4 ? 0 : 1], 5);
  });

  test('of a transposed convolution, by output', async () => {
    const [{ data }] = (await fold(bytes([], true))).layers;
    // [in, out] → [out, in]: out 0 has the stored slices 0 and 2
    expect([...data]).toEqual(
      [1, 2, 5, 6, 3, 4, 7, 8].map((x, i) => expect.closeTo(x * factors[i < 4 ? 0 : 1], 5)),
    );
  });

  test('not where something else reads the convolution, too', async () => {
    const [{ data }] = (await fold(bytes([node('Relu', ['y'], 'r')]))).layers;
    expect([...data]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });
});

test('weights that lie beyond 2 GiB are read alone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dwp-onnx-'));
  try {
    // Conv of `w`, then an initializer of 3 GiB of nothing, then w: fields of the graph in any order
    const path = join(folder, 'large.onnx');
    const HOLE = 3 * 2 ** 30;
    const varint = (n: number) => {
      const bytes: number[] = [];
      for (; n >= 128; n = Math.floor(n / 128)) bytes.push((n % 128) | 128);
      return [...bytes, n];
    };
    const bytes = (message: number[], ...parts: (number[] | Uint8Array)[]) =>
      [message, ...parts].flatMap((part) => [...part]);
    const part = (field: number, content: number[] | Uint8Array) =>
      bytes([field * 8 + 2], varint(content.length), content);
    const nodeBytes = part(1, toBinary(NodeProtoSchema, node('Conv', ['x', 'w'], 'y')));
    const weights = part(5, toBinary(TensorProtoSchema, rawFloats('w', SHAPE, ramp(SHAPE))));
    const raw = bytes([9 * 8 + 2], varint(HOLE)); // raw_data of the large tensor
    const large = bytes([5 * 8 + 2], varint(raw.length + HOLE), raw);
    const before = bytes(nodeBytes, large);
    const start = bytes([8, 8, 7 * 8 + 2], varint(before.length + HOLE + weights.length), before);
    const file = openSync(path, 'w');
    writeSync(file, Uint8Array.from(start), 0, start.length, 0);
    writeSync(file, Uint8Array.from(weights), 0, weights.length, start.length + HOLE);
    closeSync(file);
    const source = openSource(path);
    const { layers } = await onnx.read(source);
    expect([...(await layers[0].read())]).toEqual([...ramp(SHAPE)]);
    source.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe('left out, with a reason', () => {
  const int8 = create(TensorProtoSchema, {
    name: 'w',
    dims: [1n, 1n, 1n, 1n],
    dataType: TensorProto_DataType.INT8,
    rawData: new Uint8Array(1),
  });
  test.each([
    ['an input', onnxModel([node('Conv', ['x', 'w'], 'y')]), /input of the graph/],
    ['int8', onnxModel([node('Conv', ['x', 'w'], 'y')], [int8]), /int8, not float/],
    ['1-D', convModel([2, 2, 3]), /1-D convolution/],
    ['3-D', convModel([2, 2, 3, 3, 3]), /3-D convolution/],
    [
      'a scale that is not constant',
      onnxModel(
        [node('DequantizeLinear', ['w8', 's'], 'w'), node('Conv', ['x', 'w'], 'y')],
        [int8s('w8', [1, 1, 2, 2], [1, 2, 3, 4])],
      ),
      /depend on "s", an input of the graph/,
    ],
    [
      'ConvInteger without a scale behind it',
      onnxModel([node('ConvInteger', ['x', 'w'], 'y')], [int8s('w', [1, 1, 2, 2], [1, 2, 3, 4])]),
      /scale is not found/,
    ],
    [
      'computed from an input',
      onnxModel([node('Mul', ['a', 'b'], 'w'), node('Conv', ['x', 'w'], 'y')]),
      /depend on "a", an input of the graph.*export_params/,
    ],
    [
      'a cycle',
      onnxModel([node('Identity', ['w'], 'w'), node('Conv', ['x', 'w'], 'y')]),
      /more than 256 nodes/,
    ],
  ])('%s', async (_, bytes, reason) => {
    const { layers, skipped } = await read(bytes);
    expect(layers).toEqual([]);
    expect(skipped).toHaveLength(1);
    expect(skipped[0].layer).toBe('y-node');
    expect(skipped[0].reason).toMatch(reason);
  });
});

describe('damage is an input error that names the file', () => {
  const whole = convModel([4, 4, 3, 3]);
  test.each([1, 10, 100, whole.length - 1])('cut to %i bytes', async (length) => {
    await expect(read(whole.subarray(0, length))).rejects.toThrow(/^model\.onnx: not /);
    await expect(read(whole.subarray(0, length))).rejects.toThrow(DwpError);
  });

  test('raw data that does not fit the shape', async () => {
    const tensor = rawFloats('w', [4, 4, 3, 3], ramp([10]));
    await expect(read(onnxModel([node('Conv', ['x', 'w'], 'y')], [tensor]))).rejects.toThrow(
      /tensor "w" is damaged: 40 bytes for 144 values/,
    );
  });

  test('a shape too large to be true allocates nothing', async () => {
    const tensor = typedFloats('w', [2 ** 31, 2 ** 20, 1, 1], new Float32Array(0));
    await expect(read(onnxModel([node('Conv', ['x', 'w'], 'y')], [tensor]))).rejects.toThrow(/damaged/);
  });
});

test('a graph without convolutions says what it has', async () => {
  const { skipped } = await read(
    onnxModel([node('MatMul', ['x', 'a'], 'b'), node('MatMul', ['b', 'a'], 'c')]),
  );
  expect(skipped).toEqual([{ layer: 'g', reason: 'none of its 2 nodes is a convolution: 2 "MatMul"' }]);
});
