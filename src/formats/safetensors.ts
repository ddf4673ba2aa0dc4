// The safetensors format: 8 bytes of header length, a JSON header, then the values of all tensors end to end.
import { inputError, messageOf } from '../errors.js';
import { writeFileAtomic } from './files.js';
import { type FloatType, toFloat32 } from './floats.js';
import { readBytes } from './read-file.js';
import { sizeOf } from './shape.js';
import { type ByteSource, memorySource, shown } from './source.js';

/** Row-major values with their shape; `[]` is a scalar of one value. */
export interface Tensor {
  shape: number[];
  data: Float32Array | Int32Array;
}

export type Tensors = Record<string, Tensor>;

/** What is given to be written; the arrays are only read. Bytes are refused. */
export type ReadonlyTensors = Readonly<
  Record<string, { readonly shape: readonly number[]; readonly data: Float32Array | Int32Array | Uint8Array }>
>;

export interface SafetensorsFile {
  tensors: Tensors;
  metadata: Record<string, string>;
}

/** Where a tensor lies, and as what. */
export interface SafetensorsEntry {
  name: string;
  /** `F32`, `BF16`, `I64`, …; one that is not known here may have any size. */
  dtype: string;
  shape: number[];
  /** Bytes of the source. */
  begin: number;
  end: number;
}

export interface SafetensorsHeader {
  /** In the order of their bytes, without holes or overlaps. */
  entries: SafetensorsEntry[];
  metadata: Record<string, string>;
}

const LENGTH_BYTES = 8;
/** 100,000 tensors take about 15 MB. The reference implementation stops at 100 MB. */
const MAX_HEADER_BYTES = 2 ** 25;
const METADATA = '__metadata__';
const ITEM_BYTES: Record<string, number> = {
  ...{ F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1 },
  ...{ I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 },
};
const MOST_AXES = 64;
const EAGER_TYPES = ['F32', 'F16', 'I32'];

const byCodeUnit = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/**
 * Bytes of a safetensors file. Names are sorted, so that equal tensors give equal bytes; values begin at a
 * multiple of 8 bytes.
 * @throws RangeError when a shape does not fit its data, a tensor holds bytes or is called `__metadata__`
 */
export function encodeSafetensors(
  tensors: ReadonlyTensors,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const header: [string, unknown][] = [];
  if (metadata)
    header.push([
      METADATA,
      Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => byCodeUnit(a, b))),
    ]);
  const entries = Object.entries(tensors).sort(([a], [b]) => byCodeUnit(a, b));
  let end = 0;
  for (const [name, { shape, data }] of entries) {
    if (name === METADATA) throw new RangeError(`a tensor cannot be called ${METADATA}`);
    if (!shape.every(isCount) || sizeOf(shape) !== data.length)
      throw new RangeError(`tensor ${name}: shape [${shape}] for ${data.length} values`);
    if (data instanceof Uint8Array) throw new RangeError(`tensor ${name} holds bytes, which are not written`);
    const dtype = data instanceof Int32Array ? 'I32' : 'F32';
    header.push([name, { dtype, shape, data_offsets: [end, end + data.byteLength] }]);
    end += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerLength = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(LENGTH_BYTES + headerLength + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true);
  bytes.fill(0x20, LENGTH_BYTES, LENGTH_BYTES + headerLength); // the format pads with spaces
  bytes.set(json, LENGTH_BYTES);
  let at = LENGTH_BYTES + headerLength;
  for (const [, { data }] of entries) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/**
 * Reads the header only. The values must fill the file without holes or overlaps, as the format demands.
 *
 * @throws DwpError INPUT when the source is no complete safetensors file
 */
export function readSafetensorsHeader(source: ByteSource): SafetensorsHeader {
  const bad = (why: string, cause?: unknown) =>
    inputError(
      `${source.path}: ${why}`,
      'expected a complete .safetensors file; make or copy it again',
      cause,
    );
  if (source.size < LENGTH_BYTES) throw bad('not a safetensors file (shorter than 8 bytes)');
  const headerLength = Number(new DataView(source.read(0, LENGTH_BYTES).buffer).getBigUint64(0, true));
  if (headerLength > source.size - LENGTH_BYTES)
    throw bad(`header of ${headerLength} bytes in a file of ${source.size}: truncated or not safetensors`);
  if (headerLength > MAX_HEADER_BYTES)
    throw bad(`header of ${headerLength} bytes, above the limit of ${MAX_HEADER_BYTES}`);
  const start = LENGTH_BYTES + headerLength;
  const header = parseHeader(source.read(LENGTH_BYTES, headerLength), bad);
  const metadata = header[METADATA] ?? {};
  if (!isObject(metadata) || !Object.values(metadata).every((value) => typeof value === 'string'))
    throw bad(`${METADATA} is not a map from text to text`);

  const entries = Object.entries(header)
    .filter(([tensor]) => tensor !== METADATA)
    .map(([tensor, entry]) => parseEntry(tensor, entry, start, bad))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expected = start;
  for (const { name, begin, end } of entries) {
    if (begin !== expected)
      throw bad(
        `tensor ${shown(name)} begins at byte ${begin - start} of the data, not at ${expected - start} (overlap or hole)`,
      );
    expected = end;
  }
  if (expected !== source.size)
    throw bad(`tensors take ${expected - start} bytes, file holds ${source.size - start}`);
  return { entries, metadata: metadata as Record<string, string> };
}

/**
 * Reads F32 and I32 tensors as they are and F16 as float32; the arrays are copies.
 *
 * @param name what to call the file in an error
 * @throws DwpError INPUT for anything else, see {@link readSafetensorsHeader}
 */
export function parseSafetensors(bytes: Uint8Array, name: string): SafetensorsFile {
  const source = memorySource(bytes, name);
  const { entries, metadata } = readSafetensorsHeader(source);
  const tensors = entries.map(({ name: tensor, dtype, shape, begin, end }): [string, Tensor] => {
    if (!EAGER_TYPES.includes(dtype))
      throw inputError(
        `${name}: tensor ${shown(tensor)} is of type ${shown(dtype)}; F32, F16 and I32 can be read`,
        'expected a complete .safetensors file; make or copy it again',
      );
    const values = source.read(begin, end - begin);
    const data = dtype === 'I32' ? new Int32Array(values.buffer) : toFloat32(values, FLOAT_TYPES[dtype]);
    return [tensor, { shape, data }];
  });
  tensors.sort(([a], [b]) => byCodeUnit(a, b));
  // fromEntries, not assignment: a tensor called __proto__ is a tensor like any other.
  return { tensors: Object.fromEntries(tensors), metadata };
}

/** Stored types of which there are float32 values. */
export const FLOAT_TYPES: Readonly<Record<string, FloatType>> = {
  F16: 'float16',
  BF16: 'bfloat16',
  F32: 'float32',
  F64: 'float64',
};

/** @throws DwpError INPUT, see {@link parseSafetensors}. */
export const readSafetensors = (path: string): SafetensorsFile => parseSafetensors(readBytes(path), path);

/** Atomic; see {@link encodeSafetensors}. */
export const writeSafetensors = (
  path: string,
  tensors: ReadonlyTensors,
  metadata?: Readonly<Record<string, string>>,
): void => writeFileAtomic(path, encodeSafetensors(tensors, metadata));

type Bad = (why: string, cause?: unknown) => Error;

function parseHeader(bytes: Uint8Array, bad: Bad): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw bad(`header is not JSON (${messageOf(error)})`, error);
  }
  if (!isObject(header)) throw bad('header is not a JSON object');
  return header;
}

/** A wrong value for an error; it may be nested deeply. */
const told = (value: unknown): string => {
  if (value === undefined) return 'nothing';
  const flat = Array.isArray(value) && value.length <= 8 && value.every((x) => typeof x === 'number');
  return flat ? `[${value}]` : 'that is none';
};

function parseEntry(name: string, entry: unknown, start: number, bad: Bad): SafetensorsEntry {
  const tensor = `tensor ${shown(name)}`;
  if (!isObject(entry)) throw bad(`${tensor} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string') throw bad(`${tensor} is of type ${told(dtype)}`);
  if (!Array.isArray(shape) || shape.length > MOST_AXES || !shape.every(isCount))
    throw bad(`${tensor} has shape ${told(shape)}`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw bad(`${tensor} has data_offsets ${told(offsets)}`);
  const [begin, end] = offsets;
  const known = Object.hasOwn(ITEM_BYTES, dtype);
  if (end < begin || (known && end - begin !== sizeOf(shape) * ITEM_BYTES[dtype]))
    throw bad(
      `${tensor}: [${shape}] of ${known ? dtype : shown(dtype)} does not fill data_offsets [${begin}, ${end}]`,
    );
  return { name, dtype, shape, begin: start + begin, end: start + end };
}
