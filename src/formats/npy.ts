// NumPy's .npy files, versions 1-3 (numpy.lib.format): float arrays in, float32 arrays out.
import { inputError } from '../errors.js';
import { readBytes, writeFileAtomic } from './files.js';
import { toFloat32 } from './floats.js';

export interface NpyArray {
  /** Row-major (C order) values; other float types are converted. */
  data: Float32Array;
  shape: number[];
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // \x93NUMPY

/**
 * @param name what to call the array in an error
 * @throws DwpError INPUT for anything that is not a complete little- or big-endian float16/32/64 array in C order
 */
export function parseNpy(bytes: Uint8Array, name: string): NpyArray {
  const bad = (why: string) =>
    inputError(`${name}: ${why}`, 'expected a float .npy file as numpy.save writes it');
  if (bytes.length < 10 || MAGIC.some((byte, i) => bytes[i] !== byte)) throw bad('not a .npy file');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const long = bytes[6] >= 2;
  if (long && bytes.length < 12) throw bad('truncated header');
  const headerLength = long ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = (long ? 12 : 10) + headerLength;
  if (start > bytes.length) throw bad('truncated header');
  const header = new TextDecoder('latin1').decode(bytes.subarray(long ? 12 : 10, start));
  const descr = /'descr':\s*'([<>=|])([a-z])(\d+)'/.exec(header);
  const order = /'fortran_order':\s*(True|False)/.exec(header);
  const shapeText = /'shape':\s*\(([\d,\s]*)\)/.exec(header);
  if (!descr || !order || !shapeText) throw bad('unreadable header');
  if (order[1] === 'True') throw bad('Fortran order is not supported; save numpy.ascontiguousarray(x)');
  const itemSize = Number(descr[3]);
  if (descr[2] !== 'f' || ![2, 4, 8].includes(itemSize))
    throw bad(`values of type ${descr[2]}${descr[3]}, not float`);
  const shape = shapeText[1]
    .split(',')
    .map((s) => s.trim())
    .filter((s) => s !== '')
    .map(Number);
  const count = shape.reduce((a, b) => a * b, 1);
  if (!Number.isSafeInteger(count) || bytes.length - start !== count * itemSize)
    throw bad(`header says [${shape}] of ${itemSize} bytes each, file holds ${bytes.length - start} bytes`);
  // a copy: the caller's bytes may be overwritten, and views of them may not be aligned
  const values = new Uint8Array(bytes.subarray(start));
  const data = toFloat32(
    values,
    `float${8 * itemSize}` as 'float16' | 'float32' | 'float64',
    descr[1] !== '>',
  );
  return { data, shape };
}

/** @throws DwpError INPUT, see {@link parseNpy}. */
export const readNpy = (path: string): NpyArray => parseNpy(readBytes(path), path);

/** Bytes of a version-1 .npy file; the data begins at a multiple of 64 bytes. */
export function encodeNpy({ data, shape }: NpyArray): Uint8Array {
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${tuple}), }`;
  const padded = `${header.padEnd(Math.ceil((10 + header.length + 1) / 64) * 64 - 11)}\n`;
  const bytes = new Uint8Array(10 + padded.length + data.byteLength);
  bytes.set([...MAGIC, 1, 0, padded.length & 0xff, padded.length >> 8]);
  bytes.set(new TextEncoder().encode(padded), 10);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + padded.length);
  return bytes;
}

export const writeNpy = (path: string, array: NpyArray) => writeFileAtomic(path, encodeNpy(array));
