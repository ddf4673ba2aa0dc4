import { Builder } from 'flatbuffers';
import { expect, test } from 'vitest';
import { rootTable } from '../../src/formats/flatbuffers.js';
import { memorySource } from '../../src/formats/source.js';

/** A table: 0 a byte, 1 text, 2 int64 numbers, 3 tables with a float each, 4 nothing, 5 bytes. */
function example(padding = 0): Uint8Array {
  const builder = new Builder(64);
  const text = builder.createString('täble');
  builder.startVector(8, 2, 8);
  for (const n of [2n, -(2n ** 40n)]) builder.addInt64(n);
  const numbers = builder.endVector();
  const tables = [1.5, -2.5].map((value) => {
    builder.startObject(1);
    builder.addFieldFloat32(0, value, 0);
    return builder.endObject();
  });
  builder.startVector(4, 2, 4);
  for (const table of tables) builder.addOffset(table);
  const list = builder.endVector();
  const bytes = builder.createByteVector(new Uint8Array(padding + 3).fill(7));
  builder.startObject(6);
  builder.addFieldInt8(0, -3, 0);
  builder.addFieldOffset(1, text, 0);
  builder.addFieldOffset(2, numbers, 0);
  builder.addFieldOffset(3, list, 0);
  builder.addFieldOffset(5, bytes, 0);
  builder.finish(builder.endObject());
  return builder.asUint8Array().slice();
}

const root = (bytes: Uint8Array) => rootTable(memorySource(bytes, 'file'));

test.each([0, 10_000])('fields of every kind, with %i bytes in between', (padding) => {
  const file = example(padding);
  const table = root(file);
  expect(table.number(0, 'i8')).toBe(-3);
  expect(table.number(4, 'i32', 9)).toBe(9);
  expect(table.number(60, 'i32')).toBe(0);
  expect(table.text(1)).toBe('täble');
  expect(table.text(1, 1)).toBe('t');
  expect(table.text(4)).toBeUndefined();
  const numbers = table.numbers(2, 'i64');
  expect([numbers.length, numbers.at(0), numbers.at(1)]).toEqual([2, -(2 ** 40), 2]);
  const tables = table.tables(3);
  expect([tables.at(0), tables.at(1)].map((item) => item.number(0, 'f32'))).toEqual([-2.5, 1.5]);
  expect(table.tables(4).length).toBe(0);
  expect(table.table(4)).toBeUndefined();
  const { offset, length } = table.bytes(5);
  expect(new Set(file.subarray(offset, offset + length))).toEqual(new Set([7]));
  expect(length).toBe(padding + 3);
});

test('what is not in a list, and a list that would end behind the file', () => {
  const file = example();
  expect(() => root(file).numbers(2, 'i64').at(2)).toThrow('file: damaged: it names item 2 of a list of 2');
  expect(() => root(file).numbers(2, 'i64').at(-1)).toThrow('it names item -1 of a list of 2');
  const { offset, length } = root(file).bytes(5);
  new DataView(file.buffer).setUint32(offset - 4, file.length, true);
  expect(length).toBe(3);
  expect(() => root(file).bytes(5)).toThrow(
    `file: damaged: it points to ${file.length} bytes at ${offset}, but ends at ${file.length}`,
  );
  expect(() => root(file).numbers(5, 'u8')).toThrow(/^file: damaged: it points to/);
});

test('a root behind the end', () => {
  expect(() => root(Uint8Array.of(200, 0, 0, 0))).toThrow(/^file: damaged: it points to 4 bytes at 200/);
  expect(() => root(Uint8Array.of(1, 0, 0, 0))).toThrow(/^file: damaged: it points to 4 bytes at 1/);
  expect(() => root(new Uint8Array(0))).toThrow(/^file: damaged/);
});
