// A .npy file of floats whose rows are read as they are needed.
import { inputError } from '../errors.js';
import { FLOAT_BYTES, toFloat32 } from './floats.js';
import { readNpyHeader } from './npy.js';
import { openSource } from './source.js';

export interface NpyRows {
  shape: readonly number[];
  /** Of the file. */
  sha256(): string;
  /** Rows `from` to `to` along the first axis. @throws DwpError INPUT when there are no such rows */
  read(from: number, to: number): Float32Array;
  close(): void;
}

/** @throws DwpError INPUT for anything that is not a complete array of float16/32/64 in C order */
export function openNpyRows(path: string): NpyRows {
  const source = openSource(path);
  try {
    const { start, shape, type, littleEndian, fortranOrder } = readNpyHeader(source);
    if (!type || fortranOrder)
      throw inputError(`${path}: not floats in C order`, 'save numpy.ascontiguousarray(x, numpy.float32)');
    const row = shape.slice(1).reduce((a, b) => a * b, FLOAT_BYTES[type]);
    return {
      shape,
      sha256: source.files[0].sha256,
      read: (from, to) => toFloat32(source.read(start + from * row, (to - from) * row), type, littleEndian),
      close: source.close,
    };
  } catch (error) {
    source.close();
    throw error;
  }
}
