// Whole files out: atomic writes; see read-file.ts for reading.
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { DwpError, inputError, usageError } from '../errors.js';
import { removeLeftovers, temporaryFor } from './temporary.js';
import { writing } from './write-errors.js';

/** Paths whose left-over temporary files have been looked for. */
const cleaned = new Set<string>();

function removeLeftoversOf(path: string): void {
  if (cleaned.has(path)) return;
  cleaned.add(path);
  removeLeftovers(dirname(path), (name) => name === basename(path));
}

/**
 * Writes to a temporary name in the same folder, syncs, and renames: a reader sees the old file or the new one.
 * @throws DwpError INPUT when the system refuses it, which leaves nothing behind
 */
export function writeFileAtomic(path: string, content: Uint8Array | string): void {
  const temporary = temporaryFor(path);
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  writing(path, () => {
    mkdirSync(dirname(path), { recursive: true });
    removeLeftoversOf(path);
    const file = openSync(temporary, 'w');
    try {
      try {
        for (let offset = 0; offset < bytes.length; ) offset += writeSync(file, bytes, offset);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  });
}

export const writeJson = (path: string, value: unknown) =>
  writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);

/**
 * Checks before the work what would be written after it.
 * @throws DwpError USAGE when `path` exists already: results are never overwritten; INPUT when it cannot be written
 */
export function refuseExisting(path: string): void {
  if (writing(path, () => lstatSync(path, { throwIfNoEntry: false })))
    throw usageError(`${path} exists already`, 'choose another --out, or remove it first');
  let folder = dirname(resolve(path));
  while (!existsSync(folder)) folder = dirname(folder);
  requireWritable(folder, path);
}

/** @throws DwpError INPUT when nothing can be written in a folder, which a small file shows */
function requireWritable(folder: string, path: string): void {
  const probe = temporaryFor(join(folder, basename(path)));
  writing(path, () => {
    statSync(folder);
    try {
      writeFileSync(probe, Buffer.alloc(4096));
    } finally {
      rmSync(probe, { force: true });
    }
  });
}

/**
 * Writes the result of long work. Where that fails it goes to the system's temporary folder instead of being lost.
 * @param write is given the path to write to
 * @throws DwpError INPUT, which says where the result lies; what else `write` throws
 */
export function saveResult(path: string, write: (path: string) => void): void {
  try {
    write(path);
  } catch (error) {
    if (!(error instanceof DwpError) || error.code !== 'INPUT') throw error;
    const elsewhere = rescued(path, write);
    if (!elsewhere) throw error;
    throw inputError(
      `${error.message}; the result was written to ${elsewhere} instead`,
      'move it from there to where it should be',
      error,
    );
  }
}

function rescued(path: string, write: (path: string) => void): string | undefined {
  try {
    const elsewhere = join(mkdtempSync(join(tmpdir(), 'dwp-saved-')), basename(path).slice(0, 60));
    write(elsewhere);
    return elsewhere;
  } catch {
    return undefined; // there is no room there either
  }
}

/** A file that is the result of long work: as {@link saveResult}. */
export const saveFile = (path: string, content: Uint8Array | string) =>
  saveResult(path, (file) => writeFileAtomic(file, content));

/** Makes a folder and those above it. @returns a function that removes those again, as far as they are empty */
export function makeFolder(folder: string): () => void {
  const first = writing(folder, () => mkdirSync(folder, { recursive: true }));
  return () => {
    if (first === undefined) return;
    try {
      for (let path = resolve(folder); path.length >= resolve(first).length; path = dirname(path))
        rmdirSync(path);
    } catch {
      // somebody has written there
    }
  };
}
