// NumPy's .npy files, versions 1-3 (numpy.lib.format): float arrays in, float32 arrays out.
import { inputError } from '../errors.js';
import { writeFileAtomic } from './files.js';
import { type FloatType, toFloat32 } from './floats.js';
import { readBytes } from './read-file.js';
import { type ByteSource, memorySource, shown } from './source.js';

export interface NpyArray {
  /** Row-major (C order) values; other float types are converted. */
  data: Float32Array;
  shape: number[];
}

export interface NpyHeader {
  shape: number[];
  /** Absent for values that are no float of 16, 32 or 64 bits. */
  type?: FloatType;
  /** As the file writes it: `<f4`, `|O`, or a structure. */
  descr: string;
  littleEndian: boolean;
  /** Column-major: the values are those of the reversed shape, row-major. */
  fortranOrder: boolean;
  /** Of the values in the file, and their length in bytes; 0 where the type is unknown. */
  start: number;
  length: number;
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // \x93NUMPY
const LONGEST_HEADER = 2 ** 16;
const MOST_AXES = 64;

export const isNpy = (head: Uint8Array): boolean => MAGIC.every((byte, i) => head[i] === byte);

const damaged = (name: string, why: string) =>
  inputError(`${name}: ${why}`, 'expected a float .npy file as numpy.save writes it');

/**
 * @param bytes the file's first bytes, at least its header
 * @param name what to call the array in an error
 * @throws DwpError INPUT when it is no header of a .npy file
 */
export function parseNpyHeader(bytes: Uint8Array, name: string): NpyHeader {
  const bad = (why: string) => damaged(name, why);
  if (bytes.length < 10 || !isNpy(bytes)) throw bad('not a .npy file');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const long = bytes[6] >= 2;
  if (long && bytes.length < 12) throw bad('truncated header');
  const headerLength = long ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = (long ? 12 : 10) + headerLength;
  if (start > bytes.length) throw bad('truncated header');
  const header = new TextDecoder('latin1').decode(bytes.subarray(long ? 12 : 10, start));
  const descr = /'descr':\s*('[^']*'|\[)/.exec(header)?.[1].replaceAll("'", '');
  const order = /'fortran_order':\s*(True|False)/.exec(header);
  const shapeText = /'shape':\s*\(([\d,\s]*)\)/.exec(header);
  if (descr === undefined || !order || !shapeText) throw bad('unreadable header');
  const shape = shapeText[1]
    .split(',')
    .map((s) => s.trim())
    .filter((s) => s !== '')
    .map(Number);
  const [, byteOrder, width] = /^([<>=|])f([248])$/.exec(descr) ?? [];
  const length = shape.reduce((a, b) => a * b, Number(width ?? 0));
  if (shape.length > MOST_AXES || !shape.every(Number.isSafeInteger) || !Number.isSafeInteger(length))
    throw bad('an impossible shape');
  return {
    shape,
    ...(width !== undefined && { type: `float${8 * Number(width)}` as FloatType }),
    descr,
    littleEndian: byteOrder !== '>',
    fortranOrder: order[1] === 'True',
    start,
    length,
  };
}

/** @throws DwpError INPUT, see {@link parseNpyHeader}, and when the file does not hold just what the header says. */
export function readNpyHeader(source: ByteSource): NpyHeader {
  const header = parseNpyHeader(source.read(0, Math.min(source.size, LONGEST_HEADER)), source.path);
  const { shape, type, start, length } = header;
  if (type && source.size - start !== length)
    throw damaged(
      source.path,
      `header says [${shape}] of ${type}, ${length} bytes, file holds ${source.size - start} bytes`,
    );
  return header;
}

/** The values in the order of the file. @throws DwpError INPUT when the disk fails */
export function readNpyValues(
  source: ByteSource,
  { start, length, type, littleEndian }: NpyHeader,
): Float32Array {
  if (!type) throw damaged(source.path, 'values that are not float');
  return toFloat32(source.read(start, length), type, littleEndian);
}

/**
 * @param name what to call the array in an error
 * @throws DwpError INPUT for anything that is not a complete little- or big-endian float16/32/64 array in C order
 */
export function parseNpy(bytes: Uint8Array, name: string): NpyArray {
  const source = memorySource(bytes, name);
  const header = readNpyHeader(source);
  if (!header.type) throw damaged(name, `values of type ${shown(header.descr)}, not float`);
  if (header.fortranOrder)
    throw damaged(name, 'Fortran order is not supported; save numpy.ascontiguousarray(x)');
  return { data: readNpyValues(source, header), shape: header.shape };
}

/** @throws DwpError INPUT, see {@link parseNpy}. */
export const readNpy = (path: string): NpyArray => parseNpy(readBytes(path), path);

/** Bytes of a version-1 .npy file. */
export function encodeNpy({ data, shape }: NpyArray): Uint8Array {
  const header = npyHeader(shape);
  const bytes = new Uint8Array(header.length + data.byteLength);
  bytes.set(header);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), header.length);
  return bytes;
}

/** What stands before the float32 values in a version-1 file; they begin at a multiple of 64 bytes. */
export function npyHeader(shape: readonly number[]): Uint8Array {
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${tuple}), }`;
  const padded = `${header.padEnd(Math.ceil((10 + header.length + 1) / 64) * 64 - 11)}\n`;
  const bytes = new Uint8Array(10 + padded.length);
  bytes.set([...MAGIC, 1, 0, padded.length & 0xff, padded.length >> 8]);
  bytes.set(new TextEncoder().encode(padded), 10);
  return bytes;
}

export const writeNpy = (path: string, array: NpyArray) => writeFileAtomic(path, encodeNpy(array));
