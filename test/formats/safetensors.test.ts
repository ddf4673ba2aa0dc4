import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { DwpError } from '../../src/errors.js';
import {
  encodeSafetensors,
  parseSafetensors,
  readSafetensors,
  type Tensors,
  writeSafetensors,
} from '../../src/formats/safetensors.js';

const directory = mkdtempSync(join(tmpdir(), 'dwp-safetensors-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** A file by hand: the header as given, then so many bytes of data. */
function file(header: unknown, data: Uint8Array | number = 0): Uint8Array {
  const text = typeof header === 'string' ? header : JSON.stringify(header);
  const json = new TextEncoder().encode(text);
  const values = typeof data === 'number' ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(8 + json.length + values.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(values, 8 + json.length);
  return bytes;
}

const refusal = (bytes: Uint8Array): DwpError => {
  try {
    parseSafetensors(bytes, 'x.safetensors');
  } catch (error) {
    if (error instanceof DwpError) return error;
    throw error;
  }
  throw new Error('was accepted');
};

const tensor = (begin: number, end: number, shape = [(end - begin) / 4], dtype = 'F32') => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe('writing', () => {
  it('gives the bytes that the reference implementation gives', () => {
    // import numpy, safetensors.numpy
    // safetensors.numpy.save({'a': numpy.array([[1.5, -2]], 'f4'), 'b': numpy.array([7], 'i4')}, {'k': 'v'}).hex()
    const expected =
      '88000000000000007b225f5f6d657461646174615f5f223a7b226b223a2276227d2c2261223a7b226474797065223a22463332222c227368617065223a5b312c325d2c22646174615f6f666673657473223a5b302c385d7d2c2262223a7b226474797065223a22493332222c227368617065223a5b315d2c22646174615f6f666673657473223a5b382c31325d7d7d200000c03f000000c007000000';
    const bytes = encodeSafetensors(
      {
        b: { shape: [1], data: Int32Array.of(7) },
        a: { shape: [1, 2], data: Float32Array.of(1.5, -2) },
      },
      { k: 'v' },
    );
    expect(Buffer.from(bytes).toString('hex')).toBe(expected);
  });

  it('does not depend on the order of the names', () => {
    const a = { shape: [2], data: Float32Array.of(1, 2) };
    const b = { shape: [], data: Int32Array.of(3) };
    expect(encodeSafetensors({ a, b }, { x: '1', y: '2' })).toEqual(
      encodeSafetensors({ b, a }, { y: '2', x: '1' }),
    );
  });

  it('writes the part of a buffer that an array shows', () => {
    const part = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    const { tensors } = parseSafetensors(encodeSafetensors({ part: { shape: [2], data: part } }), 'x');
    expect(tensors.part.data).toEqual(Float32Array.of(2, 3));
  });

  it('refuses a shape that does not fit and the reserved name', () => {
    const data = new Float32Array(3);
    expect(() => encodeSafetensors({ a: { shape: [2], data } })).toThrow('shape [2] for 3 values');
    expect(() => encodeSafetensors({ a: { shape: [-1, -3], data } })).toThrow(RangeError);
    expect(() => encodeSafetensors({ __metadata__: { shape: [3], data } })).toThrow(RangeError);
  });
});

describe('writing and reading', () => {
  const tensors = fc
    .dictionary(
      fc.string({ maxLength: 12, unit: 'binary' }).filter((name) => name !== '__metadata__'),
      fc.oneof(
        fc.float32Array({ maxLength: 6 }).map((data) => ({ shape: [data.length], data })),
        fc.int32Array({ minLength: 4, maxLength: 4 }).map((data) => ({ shape: [1, 2, 2], data })),
        fc.float32Array({ minLength: 1, maxLength: 1 }).map((data) => ({ shape: [], data })),
      ),
      { maxKeys: 6 },
    )
    .map((record): Tensors => Object.fromEntries(Object.entries(record)));

  it('are inverse to each other, NaN, −0 and odd names included', () => {
    fc.assert(
      fc.property(tensors, fc.dictionary(fc.string(), fc.string()), (given, metadata) => {
        // Lone surrogates are no text and cannot be stored; '__proto__' is a name like any other.
        fc.pre(Object.keys(given).every((name) => !/\p{Surrogate}/u.test(name)));
        const back = parseSafetensors(encodeSafetensors(given, metadata), 'x');
        expect(Object.keys(back.tensors).sort()).toEqual(Object.keys(given).sort());
        for (const [name, { shape, data }] of Object.entries(given)) {
          const read = Object.getOwnPropertyDescriptor(back.tensors, name)!.value;
          expect(read.shape).toEqual(shape);
          expect(read.data).toEqual(data);
        }
        expect(Object.entries(back.metadata).sort()).toEqual(Object.entries(metadata).sort());
      }),
    );
  });

  it('works through a file, and leaves nothing else behind', () => {
    const path = join(directory, 'w.safetensors');
    const given = { w: { shape: [2, 1], data: Float32Array.of(0.1, -0) } };
    writeSafetensors(path, given, { family: 'vae' });
    expect(readSafetensors(path)).toEqual({ tensors: given, metadata: { family: 'vae' } });
    expect(readdirSync(directory)).toEqual(['w.safetensors']);
  });
});

describe('reading what others write', () => {
  it('takes data in any order of names, without metadata or padding, at an odd address', () => {
    const data = new Uint8Array(Float32Array.of(1, 2).buffer);
    const bytes = file({ z: tensor(0, 4), a: tensor(4, 8) }, data);
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    const { tensors, metadata } = parseSafetensors(shifted.subarray(3), 'x');
    expect(Object.keys(tensors)).toEqual(['a', 'z']);
    expect(tensors.a).toEqual({ shape: [1], data: Float32Array.of(2) });
    expect(metadata).toEqual({});
  });

  it('reads float16 as float32', () => {
    const bits = new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7c00).buffer); // 1, −2, 2⁻²⁴, ∞
    const { tensors } = parseSafetensors(file({ h: tensor(0, 8, [4], 'F16') }, bits), 'x');
    expect(tensors.h.data).toEqual(Float32Array.of(1, -2, 2 ** -24, Number.POSITIVE_INFINITY));
  });

  it('takes empty tensors and empty files', () => {
    expect(parseSafetensors(file({}), 'x').tensors).toEqual({});
    const { tensors } = parseSafetensors(file({ e: tensor(0, 0, [3, 0]), w: tensor(0, 4) }, 4), 'x');
    expect(tensors.e).toEqual({ shape: [3, 0], data: new Float32Array(0) });
  });
});

describe('refusing', () => {
  const huge = new Uint8Array(16);
  new DataView(huge.buffer).setBigUint64(0, 2n ** 63n, true);

  it.each<[string, Uint8Array, string]>([
    ['an empty file', new Uint8Array(0), 'shorter than 8 bytes'],
    ['a header longer than the file', huge, 'in a file of 16'],
    ['a header that is cut off', file({ a: tensor(0, 4) }).subarray(0, 30), 'truncated'],
    ['a header that is not JSON', file('{"a": '), 'not JSON'],
    ['a header that is not text', file('{"\u00e9": 1}').map((b) => (b === 0xc3 ? 0xff : b)), 'not JSON'],
    ['a header that is a list', file([]), 'not a JSON object'],
    ['a header that is null', file('null'), 'not a JSON object'],
    ['a tensor that is a number', file({ a: 1 }), 'not described by an object'],
    ['bytes', file({ a: tensor(0, 4, [4], 'U8') }, 4), '"U8"; F32, F16 and I32 can be read'],
    ['bfloat16', file({ a: tensor(0, 4, [2], 'BF16') }, 4), 'BF16'],
    ['a type named like a method', file({ a: tensor(0, 4, [1], 'toString') }, 4), 'toString'],
    ['no type', file({ a: { shape: [1], data_offsets: [0, 4] } }, 4), 'of type nothing'],
    ['a negative side', file({ a: tensor(0, 4, [-1, -1]) }, 4), 'shape [-1,-1]'],
    ['a broken side', file({ a: tensor(0, 4, [1.5]) }, 4), 'shape [1.5]'],
    ['no shape', file({ a: { dtype: 'F32', data_offsets: [0, 4] } }, 4), 'shape nothing'],
    ['one offset', file({ a: { dtype: 'F32', shape: [1], data_offsets: [0] } }, 4), 'data_offsets [0]'],
    ['a negative offset', file({ a: tensor(-4, 0, [1]) }, 4), 'data_offsets [-4,0]'],
    ['offsets the wrong way round', file({ a: tensor(4, 0, [1]) }, 4), 'does not fill'],
    ['a shape larger than its offsets', file({ a: tensor(0, 4, [2]) }, 4), '[2] of F32 does not fill'],
    ['a shape beyond counting', file({ a: tensor(0, 4, [2 ** 52, 2 ** 52]) }, 4), 'does not fill'],
    ['offsets beyond the file', file({ a: tensor(0, 8) }, 4), 'tensors take 8 bytes, file holds 4'],
    ['bytes that belong to no tensor', file({ a: tensor(0, 4) }, 8), 'tensors take 4 bytes, file holds 8'],
    ['a hole', file({ a: tensor(0, 4), b: tensor(8, 12) }, 12), 'not at 4 (overlap or hole)'],
    ['an overlap', file({ a: tensor(0, 8), b: tensor(4, 12) }, 12), 'not at 8 (overlap or hole)'],
    ['the same bytes twice', file({ a: tensor(0, 4), b: tensor(0, 4) }, 4), 'overlap'],
    ['metadata that are not text', file({ __metadata__: { a: 1 } }), '__metadata__'],
  ])('%s', (_, bytes, why) => {
    const error = refusal(bytes);
    expect(error.exitCode).toBe(3);
    expect(error.message).toMatch(/^x\.safetensors: /);
    expect(error.message).toContain(why);
    expect(error.message).not.toContain('\n');
  });

  it('says no more than fits on a line, whatever the names', () => {
    const name = `\u001b[2J\n${'n'.repeat(10_000)}`;
    const { message } = refusal(file({ [name]: tensor(4, 8) }, 8));
    expect(message.length).toBeLessThan(250);
    expect([...message].every((c) => c >= ' ')).toBe(true);
  });

  it('names a missing file', () => {
    expect(() => readSafetensors(join(directory, 'missing'))).toThrow('no such file');
  });

  it('every truncation of a real file', () => {
    const bytes = encodeSafetensors({ a: { shape: [3], data: Float32Array.of(1, 2, 3) } });
    for (let length = 0; length < bytes.length; length++)
      expect(refusal(bytes.subarray(0, length)).exitCode).toBe(3);
  });

  it('random damage, with nothing but an input error', () => {
    const bytes = encodeSafetensors(
      { a: { shape: [3], data: Float32Array.of(1, 2, 3) }, b: { shape: [2], data: Int32Array.of(4, 5) } },
      { k: 'v' },
    );
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        const damaged = bytes.slice();
        damaged[at] = value;
        const path = join(directory, 'damaged');
        writeFileSync(path, damaged);
        try {
          readSafetensors(path);
        } catch (error) {
          expect(error).toBeInstanceOf(DwpError);
        }
      }),
      { numRuns: 300 },
    );
  });
});
