// Whole files in: the one way to read a file that a person or a folder names. What is no regular file (a device, a
// pipe, a folder), or larger than files of its kind are, is refused before a byte is read.
import { type Stats, statSync } from 'node:fs';
import { inputError, messageOf } from '../errors.js';
import { openSource, readAll } from './source.js';

/** @returns what a path leads to; undefined where there is nothing. @throws DwpError INPUT for links in a circle and the like */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw inputError(`${path}: cannot be read (${messageOf(error)})`, 'check the path', error);
  }
}

/** Most bytes of a file: of arrays, of JSON that programs wrote, and of what people write by hand. */
export const LARGEST = { arrays: 2 ** 33, json: 2 ** 29 - 2 ** 24, text: 2 ** 24 } as const;

/** @throws DwpError INPUT when the file is missing, unreadable, no regular file, or too large for its kind. */
export function readBytes(path: string, kind: keyof typeof LARGEST = 'arrays'): Uint8Array<ArrayBuffer> {
  const source = openSource(path);
  try {
    const limit = LARGEST[kind];
    if (source.size > limit)
      throw inputError(`${path}: ${source.size} bytes, and at most ${limit} are read`, 'check the path');
    return readAll(source, limit);
  } finally {
    source.close();
  }
}

/** @throws DwpError INPUT, see {@link readBytes}. */
export const readText = (path: string, kind: 'json' | 'text' = 'text'): string =>
  new TextDecoder().decode(readBytes(path, kind));

/** @throws DwpError INPUT when the file is missing or is not JSON. */
export function readJson(path: string): unknown {
  const text = readText(path, 'json');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw inputError(`${path}: not valid JSON (${messageOf(error)})`, 'make or copy the file again', error);
  }
}

/**
 * One JSON object on each line; a last line that a crash cut short is left out.
 * @param fits whether a line is what the file consists of
 * @throws DwpError INPUT with the number of a line that is something else
 */
export function readJsonLines<T>(path: string, fits: (value: unknown) => value is T): T[] {
  const lines = readText(path, 'json').split('\n');
  return lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      if (i === lines.length - 1) return [];
    }
    if (fits(value)) return [value];
    throw inputError(
      `${path}: line ${i + 1} is not what dwp wrote there`,
      'restore the file, or remove the line',
    );
  });
}

/** Whether a value is an object with numbers under these names. */
export const hasNumbers = (value: unknown, ...names: string[]): boolean =>
  typeof value === 'object' &&
  value !== null &&
  names.every((name) => typeof (value as Record<string, unknown>)[name] === 'number');
