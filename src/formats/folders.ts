// Folders that appear whole or not at all, whatever ends the process.
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { DwpError } from '../errors.js';
import { makeFolder, refuseExisting } from './files.js';
import { whileClaimed } from './locks.js';
import { removeLeftovers, temporaryFor } from './temporary.js';
import { writing } from './write-errors.js';

/** A folder that is filled under a temporary name. */
function stage(out: string) {
  const target = resolve(out);
  const folder = temporaryFor(target);
  const discard = () => rmSync(folder, { recursive: true, force: true });
  const unmake = makeFolder(dirname(target));
  removeLeftovers(dirname(target), (name) => name === basename(target));
  writing(out, () => {
    discard();
    mkdirSync(folder);
  });
  process.once('exit', discard); // a second Ctrl-C ends at once
  return {
    folder,
    /** Gives the folder its name. @throws DwpError INPUT when there is something of that name by now */
    keep: () => writing(out, () => renameSync(folder, target)),
    close() {
      discard();
      unmake();
      process.off('exit', discard);
    },
    /** An error names the folder that was asked for. */
    named: (error: unknown): unknown =>
      error instanceof DwpError && error.message.includes(folder)
        ? new DwpError(error.code, error.message.replaceAll(folder, out), error.hint, { cause: error })
        : error,
  };
}

/**
 * A folder that takes long to fill. Another process that wants the same one is refused meanwhile.
 * @param write fills the folder that it is given
 * @param keep whether the result is worth the folder
 * @param warn is told when the name is taken over from a process that is gone
 * @throws DwpError USAGE when `out` exists already or is being written; INPUT when it cannot be written
 */
export async function wholeFolder<T>(
  out: string,
  write: (folder: string) => Promise<T>,
  keep: (result: T) => boolean = () => true,
  warn?: (line: string) => void,
): Promise<T> {
  refuseExisting(out);
  return whileClaimed(
    out,
    async () => {
      refuseExisting(out);
      const staged = stage(out);
      try {
        const result = await write(staged.folder);
        if (keep(result)) staged.keep();
        return result;
      } catch (error) {
        throw staged.named(error);
      } finally {
        staged.close();
      }
    },
    warn,
  );
}

/**
 * A folder that is written at once.
 * @param write fills the folder that it is given
 * @throws DwpError INPUT when `out` exists or cannot be written
 */
export function writeFolderAtomic(out: string, write: (folder: string) => void): void {
  const staged = stage(out);
  try {
    write(staged.folder);
    staged.keep();
  } catch (error) {
    throw staged.named(error);
  } finally {
    staged.close();
  }
}
