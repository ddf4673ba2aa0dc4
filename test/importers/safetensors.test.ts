// Hostile and damaged safetensors files. What the format's own library writes is read in state-dicts.test.ts.
import { describe, expect, test } from 'vitest';
import { DwpError } from '../../src/errors.js';
import type { ByteSource } from '../../src/formats/source.js';
import { safetensors } from '../../src/importers/safetensors.js';
import { loadBytes } from './loaded.js';

/** @param header a value for JSON, or the text itself */
function file(header: unknown, data = 0): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}
const weight = (dtype: string, shape: number[], begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});
const read = (bytes: Uint8Array, path = 'model.safetensors', siblings?: Record<string, Uint8Array>) =>
  loadBytes(safetensors, bytes, path, {}, siblings);

test('types that are not read are skipped by name', async () => {
  const { layers, skipped } = await read(
    file(
      {
        'a.weight': weight('F8_E4M3', [1, 1, 2, 2], 0, 4),
        'b.weight': weight('I8', [1, 1, 2, 2], 4, 8),
        'c.weight': weight('F4\u001b', [1, 1, 2, 2], 8, 10),
        'd.weight': weight('F64', [1, 1, 1, 1], 10, 18),
      },
      18,
    ),
  );
  expect(layers.map(({ name, dtype }) => `${name} ${dtype}`)).toEqual(['d float64']);
  expect(skipped).toEqual(
    [
      ['a', '"F8_E4M3"'],
      ['b', '"I8"'],
      ['c', '"F4\\u001b"'],
    ].map(([layer, type]) => ({
      layer,
      reason: `its weights are ${type}, not float of 16 bits or more`,
    })),
  );
});

describe('refused', () => {
  test.each<[string, Uint8Array]>([
    ['too short', new Uint8Array(7)],
    ['a header beyond the file', file({}).fill(0xff, 0, 8)],
    ['a header of 2^33 bytes', file({}).fill(2, 4, 5)],
    ['no JSON', file('{"a"')],
    ['brackets without end', file('['.repeat(100_000))],
    [
      'a shape of nested lists',
      file(`{"a":{"dtype":"F32","shape":${'['.repeat(5000)}${']'.repeat(5000)},"data_offsets":[0,4]}}`, 4),
    ],
    [
      'a shape that does not fill its bytes',
      file({ 'a.weight': weight('F32', [2 ** 20, 2 ** 20, 3, 3], 0, 4) }, 4),
    ],
    ['a shape that overflows', file({ 'a.weight': weight('F32', [2 ** 40, 2 ** 40, 2 ** 40, 0], 0, 4) }, 4)],
    ['bytes beyond the file', file({ 'a.weight': weight('F32', [1, 1, 1, 1], 0, 4) }, 3)],
    ['bytes that overlap', file({ a: weight('F32', [1], 0, 4), b: weight('F32', [1], 0, 4) }, 4)],
    ['a hole', file({ a: weight('F32', [1], 4, 8) }, 8)],
    ['a range backwards of an unknown type', file({ a: weight('X', [1], 4, 0) }, 4)],
  ])('%s', async (_, bytes) => {
    const error: unknown = await read(bytes).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(DwpError);
    expect((error as DwpError).message).toMatch(/^model\.safetensors: /);
    expect((error as DwpError).message.length).toBeLessThan(300);
  });
});

describe('an index', () => {
  const index = (map: unknown) => new TextEncoder().encode(JSON.stringify({ weight_map: map }));
  const part = file({ 'a.weight': weight('F32', [1, 1, 1, 1], 0, 4) }, 4);
  const path = 'model.safetensors.index.json';

  test('each of its files once', async () => {
    const { layers } = await read(index({ 'a.weight': 'x.safetensors', 'a.bias': 'x.safetensors' }), path, {
      'x.safetensors': part,
    });
    expect(layers.map(({ name }) => name)).toEqual(['a']);
  });

  test.each<[string, unknown]>([
    ['no map', undefined],
    ['no files', {}],
    ['a file that is missing', { a: 'y.safetensors' }],
    ['a file of another kind', { a: '../../etc/passwd' }],
    ['a file that is a number', { a: 1 }],
    ['too many files', Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [i, `${i}.safetensors`]))],
  ])('refused: %s', async (_, map) => {
    await expect(read(index(map), path, { 'x.safetensors': part })).rejects.toThrow(DwpError);
  });
});

test('a file over 2 GB: only the header and the tensor that is asked for are read', async () => {
  const size = 3 * 2 ** 30;
  const head = file({
    big: weight('U8', [size], 0, size),
    'b.weight': weight('F32', [1, 1, 1, 2], size, size + 8),
  });
  const reads: number[] = [];
  const source: ByteSource = {
    path: 'big.safetensors',
    size: head.length + size + 8,
    read: (offset, length) => {
      reads.push(length);
      if (offset + length <= head.length) return head.slice(offset, offset + length);
      expect(offset).toBe(head.length + size);
      return new Uint8Array(Float32Array.of(1.5, -2).buffer);
    },
    sibling: () => source,
  };
  const { layers } = await safetensors.read(source);
  expect([...(await layers[0].read())]).toEqual([1.5, -2]);
  expect(Math.max(...reads)).toBe(head.length - 8);
});
