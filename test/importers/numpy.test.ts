// NumPy archives by hand: hostile and damaged ones. What NumPy writes is read in state-dicts.test.ts.
import { describe, expect, test } from 'vitest';
import { DwpError } from '../../src/errors.js';
import { encodeNpy } from '../../src/formats/npy.js';
import { numpy } from '../../src/importers/numpy.js';
import { zipFile } from '../formats/write-zip.js';
import { loadBytes } from './loaded.js';
import { ramp } from './write-models.js';

const read = (bytes: Uint8Array) => loadBytes(numpy, bytes, 'model.npz');
const SHAPE = [3, 2, 2, 3];
const array = encodeNpy({ data: ramp(SHAPE), shape: SHAPE });

/** A .npy file with a header of its own. */
function npy(header: string, data: Uint8Array = new Uint8Array(ramp(SHAPE).buffer)): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(10 + header.length + data.length);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 0xff, header.length >> 8]);
  bytes.set(new TextEncoder().encode(header), 10);
  bytes.set(data, 10 + header.length);
  return bytes;
}
const header = (descr: string, shape: string, order = 'False') =>
  `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': (${shape}), }\n`;

test('stored and deflated', async () => {
  for (const deflate of [false, true]) {
    const { layers } = await read(zipFile([{ name: 'a/weight.npy', content: array, deflate }]));
    expect(layers).toEqual([{ name: 'a', kind: 'conv', shape: SHAPE, dtype: 'float32', data: ramp(SHAPE) }]);
  }
});

test('objects, texts and structures are skipped by name, when they are 4-D', async () => {
  const types = ["'|O'", "'<U8'", "[('a', '<f4')]", "'<i4'"];
  const contents = types.map((descr, i) => ({
    name: `${i}/weight.npy`,
    content: npy(header(descr, '1, 1, 3, 12')),
  }));
  const { layers, skipped } = await read(
    zipFile([
      ...contents,
      { name: 'x.npy', content: npy(header("'|O'", '')) },
      { name: 'readme.txt', content: array },
    ]),
  );
  expect(layers).toEqual([]);
  expect(skipped).toEqual([
    { layer: '0', reason: 'its weights are Python objects, which are not read' },
    { layer: '1', reason: 'its weights are "<U8", not float' },
    { layer: '2', reason: 'its weights are "[", not float' },
    { layer: '3', reason: 'its weights are "<i4", not float' },
  ]);
});

describe('refused', () => {
  const archive = (content: Uint8Array) => zipFile([{ name: 'w.npy', content, deflate: true }]);
  test.each<[string, Uint8Array]>([
    ['no arrays', zipFile([{ name: 'a.txt', content: array }])],
    ['an array that is none', archive(new Uint8Array(200))],
    ['a header that does not end', archive(array.subarray(0, 40))],
    ['a header of 64 KiB', archive(npy(header("'<f4'", '3, 2, 2, 3').padEnd(65_000)))],
    ['values that do not fill the shape', archive(npy(header("'<f4'", '3, 2, 2, 4')))],
    ['a shape beyond all numbers', archive(npy(header("'<f4'", '99999999999, 99999999999, 3, 3')))],
    ['a side of 10^400', archive(npy(header("'<f4'", `${'9'.repeat(400)}, 1, 3, 3`)))],
    ['a thousand axes', archive(npy(header("'<f4'", '1, '.repeat(1000))))],
    ['one array of three axes', npy(header("'<f4'", '3, 4, 3'))],
    ['one array, cut off', array.subarray(0, -1)],
  ])('%s', async (_, bytes) => {
    const error: unknown = await read(bytes).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(DwpError);
    expect((error as DwpError).message).toMatch(/^model\.npz/);
  });

  test('content that is not what its checksum says', async () => {
    const bytes = zipFile([{ name: 'w.npy', content: array, deflate: true, claims: { crc32: 1 } }]);
    await expect(read(bytes)).rejects.toThrow(/^model\.npz, entry "w\.npy": damaged/);
  });
});
