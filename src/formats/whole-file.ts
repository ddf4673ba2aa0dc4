// A file that takes long to write, piece by piece: it appears whole or not at all.
import { renameSync, rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DwpError } from '../errors.js';
import { makeFolder } from './files.js';
import { temporaryFor } from './temporary.js';
import { writing } from './write-errors.js';

/**
 * @param write fills the file of the name that it is given, and syncs it
 * @throws DwpError INPUT when the system refuses it; what `write` throws. Nothing is left behind then
 */
export async function wholeFile<T>(out: string, write: (path: string) => Promise<T>): Promise<T> {
  const temporary = temporaryFor(resolve(out));
  const unmake = makeFolder(dirname(resolve(out)));
  const discard = () => rmSync(temporary, { force: true });
  process.once('exit', discard); // a second Ctrl-C ends at once
  try {
    discard();
    const result = await write(temporary);
    writing(out, () => renameSync(temporary, out));
    return result;
  } catch (error) {
    if (!(error instanceof DwpError)) throw error;
    throw new DwpError(error.code, error.message.replaceAll(temporary, out), error.hint, { cause: error });
  } finally {
    process.off('exit', discard);
    discard();
    unmake();
  }
}
