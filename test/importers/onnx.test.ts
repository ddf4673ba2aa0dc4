import { create } from '@bufbuild/protobuf';
import { TensorProto_DataLocation, TensorProto_DataType, TensorProtoSchema } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { DwpError } from '../../src/errors.js';
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

describe('left out, with a reason', () => {
  const external = create(TensorProtoSchema, {
    name: 'w',
    dims: [1n, 1n, 3n, 3n],
    dataType: TensorProto_DataType.FLOAT,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [{ key: 'location', value: '../../secret' }],
  });
  const int8 = create(TensorProtoSchema, {
    name: 'w',
    dims: [1n, 1n, 1n, 1n],
    dataType: TensorProto_DataType.INT8,
    rawData: new Uint8Array(1),
  });
  test.each([
    ['external data', onnxModel([node('Conv', ['x', 'w'], 'y')], [external]), /external data/],
    ['an input', onnxModel([node('Conv', ['x', 'w'], 'y')]), /input of the graph/],
    ['int8', onnxModel([node('Conv', ['x', 'w'], 'y')], [int8]), /int8, not float/],
    ['1-D', convModel([2, 2, 3]), /1-D convolution/],
    ['3-D', convModel([2, 2, 3, 3, 3]), /3-D convolution/],
    [
      'dequantised',
      onnxModel([node('DequantizeLinear', ['q', 's'], 'w'), node('Conv', ['x', 'w'], 'y')]),
      /quantised/,
    ],
    ['QLinearConv', onnxModel([node('QLinearConv', ['x'], 'y')]), /QLinearConv/],
    [
      'computed',
      onnxModel([node('Mul', ['a', 'b'], 'w'), node('Conv', ['x', 'w'], 'y')]),
      /computed \("Mul"\)/,
    ],
    [
      'a cycle',
      onnxModel([node('Identity', ['w'], 'w'), node('Conv', ['x', 'w'], 'y')]),
      /more than 16 nodes/,
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
