// Whole files out: atomic writes; see read-file.ts for reading.
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { usageError } from '../errors.js';

/** Writes to a temporary name in the same folder, syncs, and renames: a reader sees the old file or the new one. */
export function writeFileAtomic(path: string, content: Uint8Array | string): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const file = openSync(temporary, 'w');
  try {
    for (let offset = 0; offset < bytes.length; ) offset += writeSync(file, bytes, offset);
    fsyncSync(file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

export const writeJson = (path: string, value: unknown) =>
  writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);

/** @throws DwpError USAGE when `path` exists already: results are never overwritten. */
export function refuseExisting(path: string): void {
  if (existsSync(path))
    throw usageError(`${path} exists already`, 'choose another --out, or remove it first');
}

/**
 * A folder that appears as a whole when `write` is done, or not at all, whatever ends the process.
 * @param write fills the folder that it is given
 * @param keep whether the result is worth the folder
 * @throws DwpError USAGE when `out` exists already
 */
export async function wholeFolder<T>(
  out: string,
  write: (folder: string) => Promise<T>,
  keep: (result: T) => boolean = () => true,
): Promise<T> {
  refuseExisting(out);
  const target = resolve(out);
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}.tmp`);
  const remove = () => rmSync(temporary, { recursive: true, force: true });
  remove();
  mkdirSync(temporary, { recursive: true });
  process.once('exit', remove); // a second Ctrl-C ends at once
  try {
    const result = await write(temporary);
    if (keep(result)) renameSync(temporary, target);
    return result;
  } finally {
    remove();
    process.off('exit', remove);
  }
}
