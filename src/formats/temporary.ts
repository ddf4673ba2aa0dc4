// Temporary names beside what is written, and the removal of those that processes left behind when they were killed.
import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** This machine in names of files: processes of others that share a disk cannot be looked up. */
const HOST = hostname()
  .replace(/[^\w-]/g, '_')
  .slice(0, 40);
/** Without a host: of earlier versions. */
const TEMPORARY = /^\.(.+)\.(\d{1,7})(?:@([\w-]*))?\.tmp$/s;
/** Bytes of a name that leave room for what is added, of the 255 that file systems allow. */
const LONGEST = 180;

const shortened = (name: string) =>
  Buffer.byteLength(name) <= LONGEST ? name : createHash('sha256').update(name).digest('hex').slice(0, 32);

/** `.name.PID@HOST.tmp` in the same folder. */
export const temporaryFor = (path: string): string =>
  join(dirname(path), `.${shortened(basename(path))}.${process.pid}@${HOST}.tmp`);

/** Whether a process of this machine is there. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // of another user
  }
}

/**
 * Removes temporary files and folders of processes of this machine that are gone.
 * @param names of what has been written there: names without a host are left alone otherwise
 */
export function removeLeftovers(folder: string, names: (name: string) => boolean): void {
  try {
    for (const entry of readdirSync(folder)) {
      const [, name, pid, host] = TEMPORARY.exec(entry) ?? [];
      if (name === undefined || (host === undefined ? !names(name) : host !== HOST)) continue;
      if (!isRunning(Number(pid))) rmSync(join(folder, entry), { recursive: true, force: true });
    }
  } catch {
    // they are in nobody's way
  }
}
