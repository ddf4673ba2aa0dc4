// Errors of the system as errors of the person who can mend them: the path, the reason, what to do.
import { DwpError, inputError, messageOf } from '../errors.js';

/** What the codes of the system mean, and what can be done. */
const REASONS: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  EACCES: ['permission denied', 'choose another folder, or change its permissions'],
  EPERM: ['not permitted', 'choose another folder'],
  EROFS: ['the file system is read-only', 'choose a folder on another one'],
  ENOSPC: ['no space is left on the device', 'make room, then run the command again'],
  EDQUOT: ['the disk quota is used up', 'make room, then run the command again'],
  EFBIG: ['the file is larger than allowed', 'raise the limit (ulimit -f), or write to another file system'],
  ENOENT: ['no such file or folder can be there', 'choose another folder'],
  ENOTDIR: ['a part of the path is a file, not a folder', 'check the path'],
  EISDIR: ['it is a folder', 'name a file'],
  EEXIST: ['it exists already', 'choose another name, or remove it first'],
  ENOTEMPTY: ['it exists already', 'choose another name, or remove it first'],
  ENAMETOOLONG: ['the name is too long', 'choose a shorter one'],
  ELOOP: ['symbolic links lead in a circle', 'check the path'],
  EMFILE: ['too many files are open', 'raise the limit (ulimit -n)'],
  ENFILE: ['too many files are open on this machine', 'try again later'],
  EBUSY: ['it is in use', 'try again later'],
  ETXTBSY: ['it is in use', 'try again later'],
  EIO: ['the device reports an error', 'check the disk'],
  ENXIO: ['there is no such device', 'check the path'],
  ENODEV: ['there is no such device', 'check the path'],
  EPIPE: ['the reader has closed it', 'keep the reader open until the command is done'],
  EXDEV: ['it lies on another file system', 'choose another folder'],
  ESTALE: ['the network file system has lost it', 'mount it again'],
};

/** The reason of an error of the system in words, or undefined for any other error. */
const reasonOf = (error: unknown): (typeof REASONS)[string] | undefined =>
  error instanceof Error && 'code' in error ? REASONS[String(error.code)] : undefined;

/** @returns the same for something that the system refuses to write; any other error as it is */
export function writeError(path: string, error: unknown): unknown {
  const known = reasonOf(error);
  if (!known) return error;
  return inputError(`${path}: cannot be written (${known[0]})`, known[1], error);
}

/** What is left of system errors that no place expects: with the path that they name themselves. */
export function systemError(error: unknown): DwpError | undefined {
  if (error instanceof DwpError) return error;
  const known = reasonOf(error);
  const { syscall, path } = error as NodeJS.ErrnoException;
  if (!known || !syscall) return undefined;
  return inputError(path ? `${path}: ${known[0]} (${syscall})` : messageOf(error), known[1], error);
}

/** Runs `work`, whose system errors are about writing `path`. @throws DwpError INPUT */
export function writing<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw writeError(path, error);
  }
}
