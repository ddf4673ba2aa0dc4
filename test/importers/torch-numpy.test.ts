// NumPy arrays inside what torch.save writes, in the forms of NumPy 1 and 2 and of old and new pickles.
import { describe, expect, test } from 'vitest';
import { torch } from '../../src/importers/torch.js';
import { bytesOf, call, dict, global, int, PROTOCOL_2, text, tuple, u32 } from '../formats/write-pickle.js';
import { zipFile } from '../formats/write-zip.js';
import { loadBytes } from './loaded.js';

type Part = Parameters<typeof bytesOf>[0];

const SHAPE = [2, 3, 1, 2];
const values = Float32Array.from({ length: 12 }, (_, i) => i + 1);
const shapeOf = (shape: readonly number[]) => tuple(...shape.map(int));
const raw = (data: Uint8Array) => bytesOf('B', u32(data.length), data);
const bytes = (data: ArrayBufferView) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

const build = (object: Part, ...state: Part[]) => bytesOf(object, tuple(...state), 'b');
const dtype = (code: string, order = '<') =>
  build(
    call(global('numpy', 'dtype'), text(code), [0x89], [0x88]),
    ...[int(3), text(order), 'N', 'N', 'N', int(-1), int(-1), int(0)],
  );
const array = (core: string, shape: readonly number[], type: Part, content: Part, columnsFirst = false) =>
  build(
    call(
      global(`${core}.multiarray`, '_reconstruct'),
      global('numpy', 'ndarray'),
      tuple(int(0)),
      raw(Uint8Array.of(0x62)),
    ),
    ...[int(1), shapeOf(shape), type, [columnsFirst ? 0x88 : 0x89], content],
  );

const read = (...arrays: (readonly [string, Part])[]) =>
  loadBytes(
    torch,
    zipFile([
      {
        name: 'archive/data.pkl',
        content: bytesOf(PROTOCOL_2, dict(...arrays.map(([name, part]) => [text(name), part] as const)), '.'),
      },
    ]),
    'model.pt',
  );
const content = raw(bytes(values));

describe('arrays', () => {
  const big = new Uint8Array(48);
  for (const [i, x] of values.entries()) new DataView(big.buffer).setFloat32(4 * i, x, false);
  const latin1 = call(
    global('_codecs', 'encode'),
    text(Buffer.from(bytes(values)).toString('latin1')),
    text('latin1'),
  );
  // columns first: the first axis is the fastest
  const columns = new Float32Array(12);
  for (let o = 0; o < 2; o++)
    for (let i = 0; i < 3; i++)
      for (let x = 0; x < 2; x++) columns[o + 2 * (i + 3 * x)] = values[(3 * o + i) * 2 + x];

  test.each<[string, Part]>([
    ['NumPy 2', array('numpy._core', SHAPE, dtype('f4'), content)],
    ['NumPy 1', array('numpy.core', SHAPE, dtype('f4'), content)],
    ['bytes as text', array('numpy.core', SHAPE, dtype('f4'), latin1)],
    ['big-endian', array('numpy.core', SHAPE, dtype('f4', '>'), raw(big))],
    ['float64', array('numpy.core', SHAPE, dtype('f8'), raw(bytes(Float64Array.from(values))))],
    ['columns first', array('numpy.core', SHAPE, dtype('f4'), raw(bytes(columns)), true)],
    [
      'protocol 5',
      call(global('numpy._core.numeric', '_frombuffer'), content, dtype('f4'), shapeOf(SHAPE), text('C')),
    ],
  ])('%s', async (_, part) => {
    const { layers } = await read(['conv.weight', part]);
    expect(layers).toHaveLength(1);
    expect(layers[0]).toMatchObject({ name: 'conv', shape: SHAPE });
    expect([...layers[0].data]).toEqual([...values]);
  });

  test('integers and objects are skipped with the type; a mask of booleans is applied', async () => {
    const ints = array('numpy.core', SHAPE, dtype('i4'), content);
    const objects = array('numpy.core', SHAPE, dtype('O', '|'), bytesOf(']'));
    const { skipped } = await read(['a.weight', ints], ['b.weight', objects]);
    expect(skipped.map(({ reason }) => reason)).toEqual([
      expect.stringContaining('"i4"'),
      expect.stringContaining('"O"'),
    ]);
    const mask = array('numpy.core', SHAPE, dtype('b1', '|'), raw(Uint8Array.from(values, (x) => x % 2)));
    const { layers } = await read(
      ['a.weight_orig', array('numpy.core', SHAPE, dtype('f4'), content)],
      ['a.weight_mask', mask],
    );
    expect([...layers[0].data]).toEqual([...values].map((x) => (x % 2 ? x : 0)));
  });
});

test.each<[string, Part]>([
  ['fewer bytes than the shape has', array('numpy.core', [200, 3, 1, 2], dtype('f4'), content)],
  ['a shape of other things', array('numpy.core', [-1, 3], dtype('f4'), content)],
  ['no type', array('numpy.core', SHAPE, 'N', content)],
  ['no bytes', array('numpy.core', SHAPE, dtype('f4'), 'N')],
  ['no state', call(global('numpy.core.multiarray', '_reconstruct'))],
])('damaged: %s', async (_, part) => {
  await expect(read(['conv.weight', part])).rejects.toMatchObject({
    code: 'INPUT',
    message: expect.stringMatching(/model\.pt: damaged \(NumPy array "conv\.weight"/),
  });
});
