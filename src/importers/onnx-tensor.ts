// Tensors of an ONNX file → numbers: raw, typed or external storage, every type that weights have, sizes checked
// against what the file holds before anything is allocated.
import { ARRAYS, type EngineArray } from '../engine/arrays.js';
import { inputError } from '../errors.js';
import { FLOAT_BYTES, type FloatType, floatToHalf, toFloat32 } from '../formats/floats.js';
import { sizeOf } from '../formats/shape.js';
import { type ByteSource, partOf, shown } from '../formats/source.js';
import type { OnnxTensor } from './onnx-file.js';

/** Stored numbers of which only the place is known. */
export interface StoredTensor {
  shape: number[];
  /** `float32`, `float16`, `int8`, `uint4`, … */
  dtype: string;
  isFloat: boolean;
  /** The tensor itself, or its place in another file: two uses of one are the same weights. */
  origin: object | string;
  /** Values as they are stored; integers as they are, not scaled. */
  read(): Float32Array;
}

/** A constant of a file. */
export interface FileTensor extends StoredTensor {
  /** All bits of every value; bfloat16 as float32, integers of four bits as ones of eight. */
  readExactly(): EngineArray;
}

/** TensorProto.DataType → name, and bits of an item. */
const TYPES: Readonly<Record<number, { dtype: string; bits: number }>> = {
  1: { dtype: 'float32', bits: 32 },
  2: { dtype: 'uint8', bits: 8 },
  3: { dtype: 'int8', bits: 8 },
  4: { dtype: 'uint16', bits: 16 },
  5: { dtype: 'int16', bits: 16 },
  6: { dtype: 'int32', bits: 32 },
  7: { dtype: 'int64', bits: 64 },
  9: { dtype: 'bool', bits: 8 },
  10: { dtype: 'float16', bits: 16 },
  11: { dtype: 'float64', bits: 64 },
  12: { dtype: 'uint32', bits: 32 },
  13: { dtype: 'uint64', bits: 64 },
  16: { dtype: 'bfloat16', bits: 16 },
  21: { dtype: 'uint4', bits: 4 },
  22: { dtype: 'int4', bits: 4 },
};

/** For messages. */
const OTHER_TYPES: Readonly<Record<number, string>> = {
  8: 'string',
  14: 'complex64',
  15: 'complex128',
  17: 'float8e4m3fn',
  18: 'float8e4m3fnuz',
  19: 'float8e5m2',
  20: 'float8e5m2fnuz',
  23: 'float4e2m1',
};

/** Which of the typed fields holds a type: float_data 4, int32_data 5, int64_data 7, double_data 10, uint64_data 11. */
const FIELD: Readonly<Record<string, number>> = { float32: 4, float64: 10, int64: 7, uint32: 11, uint64: 11 };

/**
 * @returns the tensor, or the reason why it cannot be had (a type that is not read, segments)
 * @throws DwpError INPUT when the stored bytes do not fit the shape, or another file is named that is not there
 */
export function storedTensor(tensor: OnnxTensor, source: ByteSource): FileTensor | string {
  const { dims, type, raw, typed, external } = tensor;
  if (tensor.segmented) return 'its weights are stored in segments, which are not read';
  const known = TYPES[type];
  if (!known) return `its weights are ${OTHER_TYPES[type] ?? `of type ${type}`}, not float`;
  const { dtype, bits } = known;
  const damaged = (why: string) =>
    inputError(
      `${source.path}: tensor ${shown(tensor.name)} is damaged: ${why}`,
      'fetch or export the model again',
    );
  const count = sizeOf(dims);
  if (dims.some((n) => n < 0) || !Number.isSafeInteger(count)) throw damaged(`impossible shape [${dims}]`);
  const bytes = Math.ceil((count * bits) / 8);
  const about = { shape: dims, dtype, isFloat: dtype in FLOAT_BYTES };
  const stored = external
    ? externalPart(external, bytes, source, damaged)
    : raw && partOf(source, raw.start, raw.end - raw.start);
  if (stored) {
    if (stored.size !== bytes)
      throw damaged(
        `${stored.size} bytes for ${count} values of ${bits < 8 ? `${bits} bits` : `${bits / 8} bytes`}`,
      );
    const origin = external ? placeOf(external) : tensor;
    return {
      ...about,
      origin,
      read: () => fromBytes(stored.read(0, bytes), dtype, count),
      readExactly: () => exactArray(stored.read(0, bytes), dtype, dims),
    };
  }
  // a number takes a byte or more, of floats exactly four or eight
  const field = FIELD[dtype] ?? 5;
  const parts = typed.filter((part) => part.field === field);
  const room = parts.reduce((sum, { start, end }) => sum + end - start, 0);
  const items = bits === 4 ? Math.ceil(count / 2) : count;
  if (field === 4 || field === 10 ? room !== bytes : room < items)
    throw damaged(`${field === 4 || field === 10 ? room / (bits / 8) : room} values for ${count}`);
  const read = () => fromTyped(parts, source, dtype, count, damaged);
  const readExactly = () => exactNumbers(read(), dtype, dims);
  return { ...about, origin: tensor, read: () => Float32Array.from(read()), readExactly };
}

const placeOf = (external: ReadonlyMap<string, string>): string =>
  JSON.stringify([external.get('location'), Number(external.get('offset') ?? 0)]);

/** The range of another file that holds the values. */
function externalPart(
  external: ReadonlyMap<string, string>,
  bytes: number,
  source: ByteSource,
  damaged: (why: string) => Error,
): ByteSource {
  const number = (key: string): number | undefined => {
    const text = external.get(key);
    if (text === undefined) return undefined;
    if (!/^\d{1,15}$/.test(text)) throw damaged(`external data with ${key} ${shown(text)}`);
    return Number(text);
  };
  const file = source.sibling(external.get('location') ?? '');
  const offset = number('offset') ?? 0;
  return partOf(file, offset, number('length') ?? Math.min(bytes, Math.max(0, file.size - offset)));
}

function fromBytes(bytes: Uint8Array<ArrayBuffer>, dtype: string, count: number): Float32Array {
  if (dtype in FLOAT_BYTES) return toFloat32(bytes, dtype as FloatType);
  if (dtype.endsWith('int4')) return fromNibbles(bytes, dtype === 'int4', count);
  return Float32Array.from<number | bigint>(itemsOf(bytes, dtype), Number);
}

/** Items of whole bytes, on the same memory. */
function itemsOf({ buffer }: Uint8Array<ArrayBuffer>, dtype: string): EngineArray['data'] {
  return new ARRAYS[dtype as EngineArray['type']](buffer);
}

function exactArray(bytes: Uint8Array<ArrayBuffer>, dtype: string, shape: number[]): EngineArray {
  if (dtype in ARRAYS) return { type: dtype as EngineArray['type'], shape, data: itemsOf(bytes, dtype) };
  const count = sizeOf(shape);
  return exactNumbers(fromBytes(bytes, dtype, count), dtype, shape);
}

/** Of numbers that a double holds, and of whole ones that are rounded to it: the end of a Slice is 2⁶³ − 1. */
function exactNumbers(numbers: ArrayLike<number>, dtype: string, shape: number[]): EngineArray {
  if (dtype === 'int64' || dtype === 'uint64') {
    const clamp = (x: bigint) => (dtype === 'int64' && x >= 2n ** 63n ? 2n ** 63n - 1n : x);
    const whole = Array.from(numbers, (x) => clamp(BigInt(x)));
    const data = dtype === 'int64' ? BigInt64Array.from(whole) : BigUint64Array.from(whole);
    return { type: dtype, shape, data };
  }
  if (dtype === 'float16') return { type: dtype, shape, data: Uint16Array.from(numbers, floatToHalf) };
  const types: Readonly<Record<string, 'float32' | 'uint8' | 'int8'>> = {
    bfloat16: 'float32',
    uint4: 'uint8',
    int4: 'int8',
  };
  const type = types[dtype] ?? (dtype as 'float32');
  return { type, shape, data: ARRAYS[type].from(numbers) };
}

/** Two to a byte, the lower half first. */
function fromNibbles(bytes: ArrayLike<number>, signed: boolean, count: number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const nibble = i % 2 === 0 ? bytes[i >> 1] & 15 : (bytes[i >> 1] >> 4) & 15;
    values[i] = signed && nibble > 7 ? nibble - 16 : nibble;
  }
  return values;
}

function fromTyped(
  parts: OnnxTensor['typed'],
  source: ByteSource,
  dtype: string,
  count: number,
  damaged: (why: string) => Error,
): Float32Array | Float64Array {
  if (dtype === 'float32' || dtype === 'float64') {
    const values = dtype === 'float32' ? new Float32Array(count) : new Float64Array(count);
    let at = 0;
    for (const { start, end } of parts) {
      const { buffer } = source.read(start, end - start);
      const part = dtype === 'float32' ? new Float32Array(buffer) : new Float64Array(buffer);
      values.set(part, at);
      at += part.length;
    }
    return values;
  }
  const items = dtype.endsWith('int4') ? Math.ceil(count / 2) : count;
  const numbers = new Float64Array(items);
  let at = 0;
  for (const { start, end } of parts) {
    const bytes = source.read(start, end - start);
    for (let i = 0; i < bytes.length; at++) {
      let low = 0; // bits 0–31
      let high = 0; // bits 32–63
      let shift = 0;
      let byte: number;
      do {
        if (i >= bytes.length || shift > 63) throw damaged('a number without an end');
        byte = bytes[i++];
        const bits = byte & 0x7f;
        if (shift < 32) low |= bits << shift;
        if (shift > 24) high |= shift < 32 ? bits >>> (32 - shift) : bits << (shift - 32);
        shift += 7;
      } while (byte >= 0x80);
      if (at < items) numbers[at] = high * 2 ** 32 + (low >>> 0);
    }
  }
  if (at !== items) throw damaged(`${at} values for ${items}`);
  if (dtype === 'float16' || dtype === 'bfloat16')
    return toFloat32(new Uint8Array(Uint16Array.from(numbers, (x) => x & 0xffff).buffer), dtype);
  if (dtype === 'uint4' || dtype === 'int4') return fromNibbles(numbers, dtype === 'int4', count);
  return numbers;
}
