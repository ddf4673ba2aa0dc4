// Bytes that are read where they lie: a file of any size, or a part of another source. Nothing is loaded whole.
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path';
import { escapeControls, inputError, messageOf } from '../errors.js';

export interface ByteSource {
  /** Names the bytes in errors. */
  readonly path: string;
  readonly size: number;
  /**
   * @returns a new array at the start of a buffer of its own, so that views of any width fit on it
   * @throws DwpError INPUT when the range is not inside the source, or the disk fails
   */
  read(offset: number, length: number): Uint8Array<ArrayBuffer>;
  /**
   * Another file of the same model, named by the model itself (external data, shards): untrusted.
   *
   * @param name relative to the model's folder, which it may not leave, by links neither
   * @throws DwpError INPUT when the name leads out of the folder, or there is no such file
   */
  sibling(name: string): ByteSource;
}

/** One file of a model, open. */
export interface SourceFile {
  name: string;
  path: string;
  size: number;
  /** When it was last written, in milliseconds. */
  modified: number;
  /** Of the whole file, hexadecimal; read anew with each call. */
  sha256(): string;
}

/** A source that holds a file open. */
export interface FileSource extends ByteSource {
  /** Every file of the model that has been opened so far, this one first. */
  readonly files: readonly SourceFile[];
  /** Closes this file and its siblings. */
  close(): void;
}

/** One read call of the system moves at most 2 GiB. */
const MOST_AT_ONCE = 2 ** 30;

/** Opening a named pipe would wait for its writer. Windows has neither. */
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** @throws DwpError INPUT when the file is missing, no regular file, or unreadable. */
export function openSource(path: string): FileSource {
  const opened: (SourceFile & { handle: number; source: ByteSource })[] = [];
  const open = (file: string, name: string): ByteSource => {
    const known = opened.find((other) => other.name === name);
    if (known) return known.source;
    let handle: number;
    try {
      handle = openSync(file, READ);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT')
        throw inputError(`${file}: no such file`, 'check the path');
      throw inputError(`${file}: cannot be read (${messageOf(error)})`, undefined, error);
    }
    const stat = fstatSync(handle);
    if (!stat.isFile()) {
      closeSync(handle);
      throw inputError(`${file}: not a file`, 'check the path');
    }
    const source: ByteSource = {
      path: file,
      size: stat.size,
      read: (offset, length) => {
        requireInside(source, offset, length);
        const bytes = new Uint8Array(new ArrayBuffer(length));
        for (let at = 0; at < length; ) {
          const read = readSync(handle, bytes, at, Math.min(length - at, MOST_AT_ONCE), offset + at);
          if (read === 0) throw inputError(`${file}: changed while it was read`, 'run the command again');
          at += read;
        }
        return bytes;
      },
      sibling: (other) => open(confined(path, other), other),
    };
    const sha256 = () => digest(handle, file, stat.size);
    opened.push({ name, path: file, size: stat.size, modified: stat.mtimeMs, sha256, handle, source });
    return source;
  };
  const main = open(path, basename(path));
  return {
    path,
    size: main.size,
    read: main.read,
    sibling: main.sibling,
    get files() {
      return opened;
    },
    close: () => {
      for (const { handle } of opened.splice(0)) closeSync(handle);
    },
  };
}

const DIGEST_STEP = 2 ** 20;

function digest(handle: number, file: string, size: number): string {
  const hash = createHash('sha256');
  const buffer = new Uint8Array(Math.min(DIGEST_STEP, size));
  for (let at = 0; at < size; ) {
    const read = readSync(handle, buffer, 0, Math.min(buffer.length, size - at), at);
    if (read === 0) throw inputError(`${file}: changed while it was read`, 'run the command again');
    hash.update(buffer.subarray(0, read));
    at += read;
  }
  return hash.digest('hex');
}

/** Bytes in memory as a source. @param siblings by name: the other files of the model */
export function memorySource(
  bytes: Uint8Array,
  path: string,
  siblings: Readonly<Record<string, Uint8Array>> = {},
): ByteSource {
  const source: ByteSource = {
    path,
    size: bytes.length,
    read: (offset, length) => {
      requireInside(source, offset, length);
      const copy = new Uint8Array(new ArrayBuffer(length));
      copy.set(bytes.subarray(offset, offset + length));
      return copy;
    },
    sibling: (name) => {
      if (!Object.hasOwn(siblings, name)) throw inputError(`${path}: names ${shown(name)}, no such file`);
      return memorySource(siblings[name], join(dirname(path), name), siblings);
    },
  };
  return source;
}

/** A range of another source as a source: the same file, counted from `offset`. */
export function partOf(whole: ByteSource, offset: number, size: number): ByteSource {
  requireInside(whole, offset, size);
  const part: ByteSource = {
    path: whole.path,
    size,
    read: (at, length) => {
      requireInside(part, at, length);
      return whole.read(offset + at, length);
    },
    sibling: whole.sibling,
  };
  return part;
}

/** The whole content. @param limit refused above, before anything is allocated */
export function readAll(source: ByteSource, limit = 2 ** 31): Uint8Array<ArrayBuffer> {
  if (source.size > limit)
    throw inputError(
      `${source.path}: ${source.size} bytes, more than ${limit} that this format is read with`,
    );
  return source.read(0, source.size);
}

/** Untrusted text for a message: quoted, control characters escaped, at most 80 characters. */
export function shown(text: string): string {
  const quoted = escapeControls(JSON.stringify(text));
  return quoted.length > 80 ? `${quoted.slice(0, 76)}…"` : quoted;
}

function requireInside({ path, size }: ByteSource, offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0)
    throw inputError(`${path}: damaged (${length} bytes at ${offset})`, 'fetch or export it again');
  if (offset + length > size)
    throw inputError(
      `${path}: truncated or damaged: ${length} bytes at ${offset}, but the file ends at ${size}`,
      'fetch or export it again',
    );
}

/** @returns the real path of `name` in the folder of `model` */
function confined(model: string, name: string): string {
  const refuse = (why: string) =>
    inputError(`${model}: names the file ${shown(name)}, ${why}`, 'only files of its own folder are read');
  if (name === '' || name.includes('\0')) throw refuse('which is no name');
  if (isAbsolute(name) || /^[a-z]:|^[\\/]/i.test(name)) throw refuse('an absolute path');
  if (name.split(/[\\/]/).includes('..')) throw refuse('which leads out of its folder');
  const folder = realpathSync(dirname(model));
  let real: string;
  try {
    real = realpathSync(join(folder, name));
  } catch {
    throw inputError(
      `${model}: names the file ${shown(name)}, which is not beside it`,
      'copy the whole model, with all its files',
    );
  }
  const inside = relative(folder, real);
  if (inside === '' || inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside))
    throw refuse('a link out of its folder');
  return real;
}

/** @throws DwpError INPUT when the source is not JSON text. @param limit of bytes, before anything is read */
export function readJsonSource(source: ByteSource, limit = 2 ** 28): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(readAll(source, limit)));
  } catch (error) {
    if (error instanceof SyntaxError)
      throw inputError(
        `${source.path}: not valid JSON (${messageOf(error)})`,
        'fetch or export it again',
        error,
      );
    throw error;
  }
}
