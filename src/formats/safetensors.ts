// The safetensors format: 8 bytes of header length, a JSON header, then the values of all tensors end to end.
import { inputError, messageOf } from '../errors.js';
import { readBytes, writeFileAtomic } from './files.js';
import { toFloat32 } from './floats.js';

/** Row-major values with their shape; `[]` is a scalar of one value. */
export interface Tensor {
  shape: number[];
  data: Float32Array | Int32Array;
}

export type Tensors = Record<string, Tensor>;

/** What can be written; the arrays are only read. */
export type ReadonlyTensors = Readonly<
  Record<string, { readonly shape: readonly number[]; readonly data: Float32Array | Int32Array }>
>;

export interface SafetensorsFile {
  tensors: Tensors;
  metadata: Record<string, string>;
}

const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000; // the limit of the reference implementation
const METADATA = '__metadata__';
const ITEM_BYTES: Record<string, number> = { F32: 4, I32: 4, F16: 2 };

const byCodeUnit = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
/** Untrusted text for an error: quoted, on one line, not too long. */
const shown = (value: unknown) => {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
};
const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/**
 * Bytes of a safetensors file. Names are sorted, so that equal tensors give equal bytes; values begin at a
 * multiple of 8 bytes.
 * @throws RangeError when a shape does not fit its data, or a tensor is called `__metadata__`
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
 * Reads F32 and I32 tensors as they are and F16 as float32; the arrays are copies. The values must fill the
 * file without holes or overlaps, as the format demands.
 * @param name what to call the file in an error
 * @throws DwpError INPUT for anything else
 */
export function parseSafetensors(bytes: Uint8Array, name: string): SafetensorsFile {
  const bad = (why: string, cause?: unknown) =>
    inputError(`${name}: ${why}`, 'expected a complete .safetensors file; make or copy it again', cause);
  if (bytes.length < LENGTH_BYTES) throw bad('not a safetensors file (shorter than 8 bytes)');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = Number(view.getBigUint64(0, true));
  if (headerLength > bytes.length - LENGTH_BYTES)
    throw bad(`header of ${headerLength} bytes in a file of ${bytes.length}: truncated or not safetensors`);
  if (headerLength > MAX_HEADER_BYTES)
    throw bad(`header of ${headerLength} bytes, above the limit of ${MAX_HEADER_BYTES}`);
  const start = LENGTH_BYTES + headerLength;
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, start), bad);
  const metadata = header[METADATA] ?? {};
  if (!isObject(metadata) || !Object.values(metadata).every((value) => typeof value === 'string'))
    throw bad(`${METADATA} is not a map from text to text`);

  const entries = Object.entries(header)
    .filter(([tensor]) => tensor !== METADATA)
    .map(([tensor, entry]) => ({ tensor, ...parseEntry(tensor, entry, bad) }))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expected = 0;
  for (const { tensor, begin, end } of entries) {
    if (begin !== expected)
      throw bad(
        `tensor ${shown(tensor)} begins at byte ${begin} of the data, not at ${expected} (overlap or hole)`,
      );
    expected = end;
  }
  if (expected !== bytes.length - start)
    throw bad(`tensors take ${expected} bytes, file holds ${bytes.length - start}`);

  const tensors = entries.map(({ tensor, dtype, shape, begin, end }): [string, Tensor] => [
    tensor,
    { shape, data: readValues(bytes.subarray(start + begin, start + end), dtype) },
  ]);
  tensors.sort(([a], [b]) => byCodeUnit(a, b));
  // fromEntries, not assignment: a tensor called __proto__ is a tensor like any other.
  return { tensors: Object.fromEntries(tensors), metadata: metadata as Record<string, string> };
}

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

function parseEntry(tensor: string, entry: unknown, bad: Bad) {
  if (!isObject(entry)) throw bad(`tensor ${shown(tensor)} is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string' || !Object.hasOwn(ITEM_BYTES, dtype))
    throw bad(`tensor ${shown(tensor)} is of type ${shown(dtype)}; F32, F16 and I32 can be read`);
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw bad(`tensor ${shown(tensor)} has shape ${shown(shape)}`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw bad(`tensor ${shown(tensor)} has data_offsets ${shown(offsets)}`);
  const [begin, end] = offsets;
  if (end - begin !== sizeOf(shape) * ITEM_BYTES[dtype])
    throw bad(
      `tensor ${shown(tensor)}: ${shown(shape)} of ${dtype} does not fill data_offsets [${begin}, ${end}]`,
    );
  return { dtype, shape: shape as number[], begin: begin as number, end: end as number };
}

/** @param bytes the values of one tensor, already known to lie within the file */
function readValues(bytes: Uint8Array, dtype: string): Float32Array | Int32Array {
  const copy = new Uint8Array(bytes);
  if (dtype === 'I32') return new Int32Array(copy.buffer);
  return toFloat32(copy, dtype === 'F16' ? 'float16' : 'float32');
}
