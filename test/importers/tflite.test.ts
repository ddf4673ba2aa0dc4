import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DwpError } from '../../src/errors.js';
import { memorySource } from '../../src/formats/source.js';
import { tflite } from '../../src/importers/tflite.js';
import { loadBytes } from './loaded.js';
import { ramp } from './write-models.js';
import { bytesOf, type TestTensor, writeTflite } from './write-tflite.js';

const read = (bytes: Uint8Array) => loadBytes(tflite, bytes, 'model.tflite');

const [CONV, DEPTHWISE, DEQUANTIZE, RESHAPE, TRANSPOSE, TRANSPOSED, DENSIFY, CONV3D] = [
  ...[3, 4, 6, 22, 39, 67, 124, 132],
];
const image = { shape: [1, 8, 8, 3], name: 'image' };
const out = (name: string) => ({ shape: [1, 8, 8, 4], name });

/** One convolution with these weights, and tensors to compute them from. */
const one = (weights: TestTensor, code: number | string = CONV) =>
  writeTflite([
    { tensors: [image, weights, out('layer')], operators: [{ code, inputs: [0, 1], outputs: [2] }] },
  ]);

const floats = (shape: number[]) => ({ shape, data: bytesOf(ramp(shape)) });

describe('layouts', () => {
  test('CONV_2D [out, h, w, in] becomes [out, in, h, w]', async () => {
    const { layers, producer } = await read(one(floats([4, 3, 2, 3])));
    expect(producer).toBe('a test');
    expect(layers[0]).toMatchObject({ name: 'layer', kind: 'conv', shape: [4, 3, 3, 2], dtype: 'float32' });
    const slice = (2 * 3 + 1) * 6; // out 2, in 1
    expect([...layers[0].data.subarray(slice, slice + 6)]).toEqual(
      [0, 1, 2].flatMap((h) => [0, 1].map((w) => ((2 * 3 + h) * 2 + w) * 3 + 1 + 1)),
    );
  });

  test('DEPTHWISE_CONV_2D [1, h, w, channels] becomes [channels, 1, h, w]', async () => {
    const { layers } = await read(one(floats([1, 3, 2, 6]), DEPTHWISE));
    expect(layers[0]).toMatchObject({ kind: 'depthwise', shape: [6, 1, 3, 2] });
    expect([...layers[0].data.subarray(4 * 6, 5 * 6)]).toEqual([0, 1, 2, 3, 4, 5].map((i) => 6 * i + 5));
  });

  test.each([TRANSPOSED, 'Convolution2DTransposeBias'])('operator %s is transposed', async (code) => {
    const { layers } = await read(one(floats([4, 3, 2, 5]), code));
    expect(layers[0]).toMatchObject({ kind: 'transposed', shape: [4, 5, 3, 2] });
    expect([...layers[0].data.subarray(0, 6)]).toEqual([1, 6, 11, 16, 21, 26]);
  });

  test('groups of one channel are depthwise; one input channel is not', async () => {
    const grouped = await read(one(floats([6, 3, 3, 1])));
    expect(grouped.layers[0].kind).toBe('depthwise');
    const grey = writeTflite([
      {
        tensors: [{ shape: [1, 8, 8, 1] }, floats([6, 3, 3, 1]), out('layer')],
        operators: [{ code: CONV, inputs: [0, 1], outputs: [2] }],
      },
    ]);
    expect((await read(grey)).layers[0].kind).toBe('conv');
  });
});

describe('quantised weights', () => {
  const stored = [-128, -1, 0, 127];
  const shape = [2, 1, 2, 1];

  test('int8, a scale for each output', async () => {
    const data = bytesOf(Int8Array.from(stored));
    const { layers } = await read(one({ shape, type: 9, data, scale: [0.5, 0.25], zeroPoint: [0, 0] }));
    expect(layers[0].dtype).toBe('int8');
    expect([...layers[0].data]).toEqual([-64, -0.5, 0, 31.75]);
  });

  test('int8 depthwise: the scales are those of the last axis', async () => {
    const data = bytesOf(Int8Array.from(stored));
    const weights = { shape: [1, 1, 2, 2], type: 9, data, scale: [1, 10], dimension: 3 };
    const { layers } = await read(one(weights, DEPTHWISE));
    expect([...layers[0].data]).toEqual([-128, 0, -10, 1270]);
  });

  test('uint8 with a zero point', async () => {
    const data = Uint8Array.of(0, 127, 128, 255);
    const { layers } = await read(one({ shape, type: 3, data, scale: [0.5], zeroPoint: [128] }));
    expect([...layers[0].data]).toEqual([-64, -0.5, 0, 63.5]);
  });

  test('int16 and int4', async () => {
    const wide = one({ shape, type: 7, data: bytesOf(Int16Array.of(-300, 1, 2, 300)), scale: [0.5] });
    expect([...(await read(wide)).layers[0].data]).toEqual([-150, 0.5, 1, 150]);
    const narrow = one({ shape, type: 17, data: Uint8Array.of(0x78, 0xf1), scale: [1] });
    expect([...(await read(narrow)).layers[0].data]).toEqual([-8, 7, 1, -1]);
  });

  test.each([
    [{ scale: undefined }, 'its weights are int8 without a scale'],
    [{ scale: [1, 2, 3] }, '3 scales and 0 zero points for weights [2,1,2,1]'],
    [{ scale: [1, 2], dimension: -1 }, '2 scales and 0 zero points for weights [2,1,2,1]'],
    [{ scale: [1], sparse: true }, 'sparse weights are not read'],
    [{ type: 2, data: new Uint8Array(16) }, 'its weights are of type 2, neither float nor quantised'],
  ])('%j: skipped', async (change, reason) => {
    const data = bytesOf(Int8Array.from(stored));
    const { layers, skipped } = await read(one({ shape, type: 9, data, ...change }));
    expect({ layers, skipped }).toEqual({ layers: [], skipped: [{ layer: 'layer', reason }] });
  });
});

describe('weights that are not constants themselves', () => {
  /** Tensors: 0 image, 1 output, and those given; operator: the convolution, and those given. */
  const through = (tensors: TestTensor[], operators: Parameters<typeof writeTflite>[0][0]['operators']) =>
    writeTflite([
      {
        tensors: [image, out('layer'), ...tensors],
        operators: [...operators, { code: CONV, inputs: [0, 2], outputs: [1] }],
      },
    ]);

  test('DEQUANTIZE, RESHAPE and TRANSPOSE are followed', async () => {
    const shape = [2, 3, 1, 2]; // [h, w, in, out]
    const bytes = through(
      [
        { shape: [2, 2, 3, 1] },
        { shape },
        { shape: [12] },
        { shape: [12], type: 1, data: bytesOf(Uint16Array.from({ length: 12 }, (_, i) => 0x3c00 + i)) },
        { shape: [4], type: 2, data: bytesOf(Int32Array.of(3, 0, 1, 2)) },
      ],
      [
        { code: DEQUANTIZE, inputs: [5], outputs: [4] },
        { code: RESHAPE, inputs: [4], outputs: [3] },
        { code: TRANSPOSE, inputs: [3, 6], outputs: [2] },
      ],
    );
    const { layers } = await read(bytes);
    expect(layers[0]).toMatchObject({ shape: [2, 1, 2, 3], dtype: 'float16' });
    expect([...layers[0].data]).toEqual([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11].map((i) => 1 + i / 1024));
  });

  test.each([
    [[], 'its weights are an input of the graph, not a constant'],
    [[{ code: DENSIFY, inputs: [3], outputs: [2] }], 'sparse weights are not read'],
    [[{ code: 'Mine\u001b', inputs: [3], outputs: [2] }], 'its weights are computed ("Mine\\u001b")'],
    [[{ code: RESHAPE, inputs: [3], outputs: [2] }], 'a Reshape of [5] to [2,2,3,1]'],
    [[{ code: TRANSPOSE, inputs: [3, 0], outputs: [2] }], 'a Transpose of [5] whose axes are not constant'],
    [
      [{ code: DEQUANTIZE, inputs: [2], outputs: [2] }],
      'more than 16 operators lie between its weights and their constant',
    ],
  ])('%j: skipped', async (operators, reason) => {
    const { skipped } = await read(through([{ shape: [2, 2, 3, 1] }, floats([5])], operators));
    expect(skipped).toEqual([{ layer: 'layer', reason }]);
  });

  test.each([
    [171, 'operators "STABLEHLO_CONVOLUTION" are not read'],
    ['MyConv', 'operators "MyConv" are not read'],
  ])('a convolution of another kind: %s', async (code, reason) => {
    expect((await read(one(floats([2, 2, 2, 2]), code))).skipped).toEqual([{ layer: 'layer', reason }]);
  });

  test('a 3-D convolution, and weights of three dimensions', async () => {
    expect((await read(one(floats([2, 2, 2, 2, 2]), CONV3D))).skipped[0].reason).toBe('a 3-D convolution');
    expect((await read(one(floats([2, 2, 2])))).skipped[0].reason).toBe('its weights have 3 dimensions');
  });
});

test('weights that two convolutions share, in two subgraphs, count once', async () => {
  const operators = [{ code: CONV, inputs: [0, 1], outputs: [2] }];
  const shared = { shape: [4, 3, 2, 3], data: 1 };
  const tensors = [image, floats([4, 3, 2, 3]), out('first')];
  const bytes = writeTflite([
    { tensors, operators },
    { tensors: [image, shared, out('second')], operators },
  ]);
  const { layers, skipped } = await read(bytes);
  expect(layers.map(({ name }) => name)).toEqual(['first']);
  expect(skipped).toEqual([]);
});

test('data behind the FlatBuffer, as in files over 2 GB', async () => {
  const shape = [4, 3, 2, 3];
  const operators = [{ code: CONV, inputs: [0, 1], outputs: [2] }];
  const data = bytesOf(ramp(shape));
  const outside = { data, ranges: [[0, data.length]] as [number, number][] };
  const bytes = writeTflite([{ tensors: [image, { shape, data: 1 }, out('layer')], operators }], { outside });
  const { layers } = await read(bytes);
  expect([...layers[0].data].sort((a, b) => a - b)).toEqual([...ramp(shape)]);
  await expect(read(bytes.subarray(0, bytes.length - 4))).rejects.toThrow(/^model\.tflite: truncated/);
});

test('a licence that the metadata state', async () => {
  const tensors = [image, floats([4, 3, 2, 3]), out('layer')];
  const operators = [{ code: CONV, inputs: [0, 1], outputs: [2] }];
  const bytes = writeTflite([{ tensors, operators }], { licence: 'Apache License 2.0' });
  expect((await read(bytes)).licence).toBe('Apache License 2.0');
});

test('finding layers reads no weights', async () => {
  const bytes = one(floats([64, 32, 32, 3]));
  const source = memorySource(bytes, 'model.tflite');
  let fetched = 0;
  const counted = {
    ...source,
    read: (offset: number, length: number) => {
      fetched += length;
      return source.read(offset, length);
    },
  };
  const { layers } = await tflite.read(counted);
  expect(fetched).toBeLessThan(bytes.length / 10);
  expect(await layers[0].read()).toHaveLength(64 * 32 * 32 * 3);
});

describe('hostile files', () => {
  test('data of another length than the shape', async () => {
    const wrong = one({ shape: [4, 3, 2, 3], data: new Uint8Array(280), name: '<b>\n' });
    await expect(read(wrong)).rejects.toThrow(
      'model.tflite: tensor "<b>\\n" is damaged: 280 bytes for [4,3,2,3] of float32',
    );
    const huge = one({ shape: [2 ** 30, 2 ** 30, 2 ** 30, 2 ** 30], data: new Uint8Array(280) });
    expect((await read(huge)).skipped[0].reason).toBe('its weights have no fixed shape');
  });

  test('a buffer, a tensor and an operator that are not there', async () => {
    await expect(read(one({ shape: [1, 1, 1, 1], data: 7 }))).rejects.toThrow(
      'model.tflite: damaged: it names item 7 of a list of 1',
    );
    const tensor = writeTflite([
      { tensors: [image], operators: [{ code: CONV, inputs: [0, 9], outputs: [0] }] },
    ]);
    await expect(read(tensor)).rejects.toThrow('it names item 9 of a list of 1');
  });

  test('weights that overlap: more than the file holds', async () => {
    const each = 100;
    const shape = [100, 1, 1, 100];
    const data = bytesOf(ramp([10_000 + each]));
    const ranges = Array.from({ length: each }, (_, i): [number, number] => [4 * i, 40_000]);
    const tensors = ranges.map((_, i) => ({ shape, data: i + 1 }));
    const operators = ranges.map((_, i) => ({ code: CONV, inputs: [0, i], outputs: [] }));
    const bytes = writeTflite([{ tensors, operators }], { outside: { data, ranges } });
    await expect(read(bytes)).rejects.toThrow('model.tflite: damaged: the weights of its layers overlap');
  });

  test('another file under that name', async () => {
    await expect(read(new TextEncoder().encode('<!DOCTYPE html><title>'))).rejects.toThrow(
      'model.tflite: not a TensorFlow Lite model',
    );
  });

  test('any truncation, any changed bytes: a model, or an input error', async () => {
    const whole = one({ ...floats([4, 3, 2, 3]), scale: [1], name: 'weights' });
    const check = async (bytes: Uint8Array) => {
      try {
        await read(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(DwpError);
        expect(error).toMatchObject({ code: 'INPUT', message: expect.stringMatching(/^model\.tflite: /) });
      }
    };
    for (let length = 0; length < whole.length; length++) await check(whole.subarray(0, length));
    const position = fc.nat(whole.length - 1);
    const value = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 1, 127, 128, 255));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(position, value), { minLength: 1, maxLength: 8 }),
        async (changes) => {
          const bytes = whole.slice();
          for (const [at, byte] of changes) bytes[at] = byte;
          await check(bytes);
        },
      ),
      { seed: 4, numRuns: 3000 },
    );
  });
});
