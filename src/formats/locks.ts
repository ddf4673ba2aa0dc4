// One writer for a folder: a lock file names the process that writes. Those of processes that are gone are taken over.
import { existsSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { usageError } from '../errors.js';
import { makeFolder } from './files.js';
import { isRunning } from './temporary.js';
import { writing } from './write-errors.js';

/** The lock of a folder that is there. */
const INSIDE = '.lock';
/** A lock that cannot be read is being written, for so many milliseconds. */
const BEING_WRITTEN = 5_000;

interface Owner {
  pid: number;
  host: string;
  /** ISO date of the lock. */
  since: string;
  /** What tells the process from a later one of the same number, where the system says it. */
  start?: string;
}

/** Boot and clock tick at which a process started. */
function startOf(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[19]}`;
  } catch {
    return undefined; // not Linux, or it is gone
  }
}

const thisProcess = (): Owner => {
  const start = startOf(process.pid);
  const since = new Date().toISOString();
  return { pid: process.pid, host: hostname(), since, ...(start && { start }) };
};

/** Whether it may still write. Of another machine nobody knows. */
const isActive = ({ pid, host, start }: Owner): boolean =>
  host !== hostname() || (isRunning(pid) && (start === undefined || start === startOf(pid)));

/** A lock as it stands there: its text, and whose it is as far as that can be read. */
function readLock(path: string): { text: string; owner?: Owner; active: boolean } | undefined {
  let text: string;
  let modified: number;
  try {
    text = readFileSync(path, 'utf8');
    modified = statSync(path).mtimeMs;
  } catch {
    return undefined;
  }
  try {
    const owner = JSON.parse(text) as Owner;
    if (Number.isSafeInteger(owner.pid) && owner.pid > 0 && typeof owner.host === 'string')
      return { text, owner, active: isActive(owner) };
  } catch {
    // damaged, or being written
  }
  return { text, active: Date.now() - modified < BEING_WRITTEN };
}

function refuse(folder: string, path: string, owner?: Owner): never {
  const elsewhere = owner && owner.host !== hostname();
  throw usageError(
    `${folder} is being written by another process${owner ? ` (${owner.pid} on ${owner.host}, since ${owner.since})` : ''}`,
    elsewhere
      ? `wait for it, or choose another folder; if that process is gone, remove ${path}`
      : 'wait for it, or choose another folder',
  );
}

/** Takes away the lock of a process that is gone, and no other: somebody may have been quicker. */
function removeStale(path: string, seen: string): void {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
    const moved = readFileSync(aside, 'utf8');
    if (moved !== seen) writeFileSync(path, moved, { flag: 'wx' });
  } catch {
    // it is gone, or there is a new one
  } finally {
    rmSync(aside, { force: true });
  }
}

function acquire(folder: string, path: string, warn: (line: string) => void): () => void {
  const text = JSON.stringify(thisProcess());
  for (let attempt = 0; attempt < 10; attempt++) {
    try {
      writeFileSync(path, text, { flag: 'wx' });
      const release = () => {
        if (readLock(path)?.text === text) rmSync(path, { force: true });
      };
      process.once('exit', release); // a second Ctrl-C ends at once
      return () => {
        release();
        process.off('exit', release);
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
        return writing(folder, () => {
          throw error;
        });
    }
    const lock = readLock(path);
    if (lock?.active) refuse(folder, path, lock.owner);
    if (!lock) continue; // released meanwhile
    removeStale(path, lock.text);
    warn(
      `${folder}: taken over from ${lock.owner ? `process ${lock.owner.pid}` : 'a process'}, which ended without finishing`,
    );
  }
  return refuse(folder, path);
}

/**
 * Runs `work` as the only writer of a folder: the lock lies in it, or beside it as long as it is not there.
 * @param warn is told when a lock is taken over
 * @throws DwpError USAGE when another process writes it; INPUT when the lock cannot be written; what `work` throws
 */
export async function whileClaimed<T>(
  folder: string,
  work: () => Promise<T>,
  warn: (line: string) => void = () => {},
): Promise<T> {
  const there = existsSync(folder);
  const unmake = there ? () => {} : makeFolder(dirname(resolve(folder)));
  try {
    const parent = writing(folder, () =>
      realpathSync(dirname(there ? realpathSync(folder) : resolve(folder))),
    );
    const target = there ? realpathSync(folder) : join(parent, basename(resolve(folder)));
    const beside = join(parent, `.${basename(target)}.lock`);
    if (there) {
      const maker = readLock(beside);
      if (maker?.active && maker.text !== '') refuse(folder, beside, maker.owner);
      if (maker && !maker.active) removeStale(beside, maker.text);
    }
    const release = acquire(folder, there ? join(target, INSIDE) : beside, warn);
    try {
      return await work();
    } finally {
      release();
    }
  } finally {
    unmake();
  }
}
