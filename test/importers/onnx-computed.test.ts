// Weights that an ONNX model computes from constants: every kind against onnxruntime, which runs the whole of it.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  FunctionProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  OperatorSetIdProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { onnxruntime } from '../../src/engine/onnxruntime.js';
import { onnx } from '../../src/importers/onnx.js';
import { loadBytes } from './loaded.js';
import { int64s, node, onnxModel, rawFloats } from './write-models.js';

const SHAPE = [4, 3, 3, 3];
/** Of both signs, none of them 0. */
const waves = (shape: readonly number[], phase = 1) =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(phase + 2.3 * i) + 0.01);
const v = rawFloats('v', SHAPE, waves(SHAPE));
const vector = (name: string, values: number[]) =>
  rawFloats(name, [values.length], Float32Array.from(values));

/** A model whose operators are of a version. */
function versioned(opset: number, nodes: NodeProto[], constants: TensorProto[], output?: string) {
  const model = fromBinary(ModelProtoSchema, onnxModel(nodes, constants));
  model.opsetImport = [create(OperatorSetIdProtoSchema, { version: BigInt(opset) })];
  if (output) model.graph!.output = [create(ValueInfoProtoSchema, { name: output })];
  return toBinary(ModelProtoSchema, model);
}

const conv = (weights = 'w') => node('Conv', ['x', weights], 'y');
const read = (bytes: Uint8Array) => loadBytes(onnx, bytes, 'model.onnx');

const CASES: [string, number, NodeProto[], TensorProto[]][] = [
  [
    'weight normalisation',
    17,
    [
      node('ReduceL2', ['v'], 'n', { axes: [1, 2, 3], keepdims: 1 }),
      node('Div', ['v', 'n'], 'unit'),
      node('Mul', ['unit', 'g'], 'w'),
    ],
    [v, rawFloats('g', [4, 1, 1, 1], waves([4]))],
  ],
  [
    'axes as an input, since opset 18',
    18,
    [node('ReduceMean', ['v', 'axes'], 'm', { keepdims: 1 }), node('Sub', ['v', 'm'], 'w')],
    [v, int64s('axes', [1, 2, 3])],
  ],
  [
    'standardisation by squares',
    13,
    [
      node('ReduceMean', ['v'], 'm', { axes: [1, 2, 3], keepdims: 1 }),
      node('Sub', ['v', 'm'], 'c'),
      node('Pow', ['c', 'two'], 's'),
      node('ReduceSum', ['s', 'axes'], 'q', { keepdims: 1 }),
      node('Sqrt', ['q'], 'r'),
      node('Reciprocal', ['r'], 'i'),
      node('Mul', ['c', 'i'], 'p'),
      node('Neg', ['p'], 'w'),
    ],
    [v, vector('two', [2]), int64s('axes', [1, 2, 3])],
  ],
  [
    'standardisation by the statistics of a batch',
    15,
    [
      node('Reshape', ['v', 'flat'], 'f'),
      node('BatchNormalization', ['f', 'one', 'zero', 'zero', 'one'], ['n', 'a', 'b'], { training_mode: 1 }),
      node('Reshape', ['n', 'shape'], 'w'),
    ],
    [
      v,
      int64s('flat', [1, 4, -1]),
      int64s('shape', SHAPE),
      vector('one', [1, 1, 1, 1]),
      vector('zero', [0, 0, 0, 0]),
    ],
  ],
  [
    'spectral normalisation',
    17,
    [
      node('Reshape', ['v', 'flat'], 'm'),
      node('MatMul', ['m', 'b'], 'mb'),
      node('MatMul', ['a', 'mb'], 's'),
      node('Div', ['v', 's'], 'w'),
    ],
    [v, int64s('flat', [4, 27]), vector('a', [0.5, 0.5, 0.5, 0.5]), rawFloats('b', [27], waves([27], 2))],
  ],
  [
    'a part of a slice, to the end',
    13,
    [node('Slice', ['v', 'from', 'to', 'axes'], 's'), node('Concat', ['s', 's'], 'w', { axis: 0 })],
    [v, int64s('from', [1]), int64s('to', [Number.MAX_SAFE_INTEGER]), int64s('axes', [0])],
  ],
  [
    'slices as attributes, before opset 10',
    9,
    [node('Slice', ['v'], 'w', { starts: [1], ends: [3], axes: [0] })],
    [v],
  ],
  [
    'the second part of a split',
    13,
    [node('Split', ['v', 'parts'], ['u', 'w'], { axis: 0 })],
    [v, int64s('parts', [3, 1])],
  ],
  [
    'gathered filters',
    13,
    [node('Gather', ['v', 'places'], 'w', { axis: 0 })],
    [v, int64s('places', [3, 0])],
  ],
  [
    'one kernel for all channels',
    13,
    [node('Expand', ['k', 'shape'], 'w')],
    [rawFloats('k', [1, 1, 3, 3], waves([9])), int64s('shape', [6, 1, 3, 3])],
  ],
  [
    'a pruning mask',
    13,
    [node('Greater', ['v', 'zero'], 'mask'), node('Where', ['mask', 'v', 'zero'], 'w')],
    [v, vector('zero', [0])],
  ],
  [
    'a mask of integers, cast',
    13,
    [node('Cast', ['mask'], 'm', { to: 1 }), node('Mul', ['v', 'm'], 'w')],
    [v, int64s('mask', [1, 0, 1])],
  ],
  [
    'rounded to a grid, as in training for quantisation',
    13,
    [
      node('Div', ['v', 'step'], 'd'),
      node('Round', ['d'], 'r'),
      node('Clip', ['r', 'low', 'high'], 'c'),
      node('Mul', ['c', 'step'], 'w'),
    ],
    [
      v,
      vector('step', [0.25]),
      rawFloats('low', [], Float32Array.of(-2)),
      rawFloats('high', [], Float32Array.of(2)),
    ],
  ],
  [
    'squeezed, transposed, padded',
    13,
    [
      node('Unsqueeze', ['v', 'axis'], 'u'),
      node('Squeeze', ['u', 'axis'], 's'),
      node('Transpose', ['s'], 't', { perm: [1, 0, 2, 3] }),
      node('Pad', ['t', 'pads'], 'w'),
    ],
    [v, int64s('axis', [0]), int64s('pads', [0, 0, 1, 1, 0, 0, 1, 1])],
  ],
  [
    'a low-rank product added',
    17,
    [
      node('Gemm', ['a', 'b'], 'ab', { alpha: { float: 0.5 } }),
      node('Shape', ['v'], 'shape'),
      node('Reshape', ['ab', 'shape'], 'r'),
      node('Einsum', ['r', 's'], 'e', { equation: 'oihw,i->oihw' }),
      node('Add', ['v', 'e'], 'w'),
    ],
    [v, rawFloats('a', [4, 2], waves([8])), rawFloats('b', [2, 27], waves([54])), vector('s', [1, 2, 3])],
  ],
];

describe('computed as onnxruntime computes them', () => {
  test.each(CASES)('%s', async (_, opset, nodes, constants) => {
    const { InferenceSession } = await onnxruntime();
    const whole = await InferenceSession.create(versioned(opset, nodes, constants, 'w'));
    const { w } = await whole.run({});
    const { layers, skipped } = await read(versioned(opset, [...nodes, conv()], constants));
    expect(skipped).toEqual([]);
    expect(layers).toHaveLength(1);
    expect(layers[0]).toMatchObject({ shape: w.dims, dtype: 'float32' });
    expect(Math.max(...layers[0].data.map(Math.abs))).toBeGreaterThan(0);
    // the same operators in the same order, but fused or not
    for (const [i, x] of layers[0].data.entries()) expect(x).toBeCloseTo((w.data as Float32Array)[i], 6);
  });
});

test('a transposed convolution, and a BatchNormalization whose factors are computed', async () => {
  const bytes = onnxModel(
    [
      node('Mul', ['v', 'two'], 'w'),
      node('ConvTranspose', ['x', 'w'], 'y'),
      node('Mul', ['g', 'two'], 'gamma'),
      node('BatchNormalization', ['y', 'gamma', 'zero', 'zero', 'one'], 'z', { epsilon: { float: 0 } }),
    ],
    [v, vector('two', [2]), vector('g', [1, 2, 3]), vector('zero', [0, 0, 0]), vector('one', [1, 1, 1])],
  );
  const { layers } = await loadBytes(onnx, bytes, 'model.onnx', { foldBatchNorm: true });
  expect(layers[0]).toMatchObject({ kind: 'transposed', shape: [3, 4, 3, 3] });
  // [in 4, out 3] → [out 3, in 4], times 2 · 2 γ
  expect(layers[0].data[9]).toBeCloseTo(4 * waves(SHAPE)[27], 6);
  expect(layers[0].data[2 * 36]).toBeCloseTo(12 * waves(SHAPE)[18], 6);
});

test('in functions, whose attributes are those of the call; the same value counts once, another call does not', async () => {
  const model = fromBinary(
    ModelProtoSchema,
    onnxModel(
      [
        { ...node('Half', ['v'], 'a', { at: 0 }), domain: 'mine' },
        { ...node('Half', ['v'], 'b', { at: 1 }), domain: 'mine' },
        node('Conv', ['x', 'a'], 'one'),
        node('Conv', ['one', 'a'], 'two'),
        node('Conv', ['two', 'b'], 'three'),
      ],
      [v],
    ),
  );
  const split = node('Split', ['whole'], ['half', 'rest'], { axis: 0 });
  split.attribute[0] = Object.assign(split.attribute[0], { refAttrName: 'at', i: 0n });
  model.functions.push(
    create(FunctionProtoSchema, {
      name: 'Half',
      domain: 'mine',
      input: ['whole'],
      output: ['scaled'],
      attribute: ['at'],
      node: [split, node('Add', ['rest', 'rest'], 'scaled')],
    }),
  );
  const even = fromBinary(TensorProtoSchema, toBinary(TensorProtoSchema, v));
  even.dims = [4n, 2n, 3n, 3n];
  even.rawData = even.rawData.slice(0, 4 * 72);
  model.graph!.initializer = [even];
  const { layers, skipped } = await read(toBinary(ModelProtoSchema, model));
  expect(skipped).toEqual([]);
  expect(layers.map(({ name, shape }) => [name, shape])).toEqual([
    ['one-node', [2, 2, 3, 3]],
    ['three-node', [4, 1, 3, 3]],
  ]);
  expect(layers[0].data[0]).toBeCloseTo(2 * waves(SHAPE)[36], 6);
  expect(layers[1].data[0]).toBeCloseTo(2 * waves(SHAPE)[9], 6);
});

describe('refused, with a reason', () => {
  const billions = int64s('shape', [100_000, 10_000, 3, 3]);
  const one = rawFloats('one', [1, 1, 1, 1], Float32Array.of(1));
  const column = rawFloats('column', [5000, 1, 1, 1], waves([5000]));
  const row = rawFloats('row', [1, 5000, 1, 1], waves([5000]));
  test.each<[string, NodeProto[], TensorProto[], RegExp]>([
    [
      'Expand of one number to gigabytes',
      [node('Expand', ['one', 'shape'], 'w')],
      [one, billions],
      /"w-node" \("Expand"\) makes 9000000000 values/,
    ],
    [
      'ConstantOfShape of gigabytes',
      [node('ConstantOfShape', ['shape'], 'w')],
      [billions],
      /makes 9000000000 values/,
    ],
    ['Tile', [node('Tile', ['one', 'shape'], 'w')], [one, billions], /makes 9000000000 values/],
    [
      'Pad',
      [node('Pad', ['one', 'pads'], 'w')],
      [one, int64s('pads', [0, 0, 9000, 9000, 0, 0, 9000, 9000])],
      /"Pad"/,
    ],
    [
      'a product of a column and a row',
      [node('Mul', ['column', 'row'], 'w')],
      [column, row],
      /makes 25000000 values/,
    ],
    ['many nodes of which each is small', doublings(300), [v], /more than 256 nodes/],
    ['growing step by step', growing(20), [v], /makes \d+ values/],
    [
      'random',
      [node('RandomNormal', [], 'w', { shape: SHAPE })],
      [],
      /\("RandomNormal"\), which is not evaluated: save the model/,
    ],
    ['of another domain', [{ ...node('Mul', ['v', 'v'], 'w'), domain: 'mine' }], [v], /not evaluated/],
    [
      'impossible',
      [node('Add', ['v', 'two'], 'w')],
      [v, vector('two', [1, 2])],
      /onnxruntime cannot compute the node "w-node"/,
    ],
    ['no such output', [node('Abs', ['v'], ['u', 'w'])], [v], /onnxruntime cannot compute/],
  ])('%s', async (_, nodes, constants, reason) => {
    const { layers, skipped } = await read(onnxModel([...nodes, conv()], constants));
    expect(layers).toEqual([]);
    expect(skipped).toHaveLength(1);
    expect(skipped[0].reason).toMatch(reason);
  });

  function doublings(count: number): NodeProto[] {
    const names = ['v', ...Array.from({ length: count - 1 }, (_, i) => `d${i}`), 'w'];
    return names.slice(1).map((name, i) => node('Add', [names[i], names[i]], name));
  }
  function growing(count: number): NodeProto[] {
    const names = ['v', ...Array.from({ length: count - 1 }, (_, i) => `d${i}`), 'w'];
    return names.slice(1).map((name, i) => node('Concat', [names[i], names[i]], name, { axis: 0 }));
  }
});

test('no other file is opened by a constant inside a computed weight', async () => {
  const outside = create(TensorProtoSchema, {
    name: 'o',
    dims: [1n],
    dataType: 1,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [{ key: 'location', value: '../secret' }] as never,
  });
  const inner = node('Constant', [], 'o', { value: outside });
  await expect(read(onnxModel([inner, node('Mul', ['v', 'o'], 'w'), conv()], [v]))).rejects.toThrow(
    'no such file',
  );
});
