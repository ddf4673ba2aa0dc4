// HDF5 files as plain data: text attributes of groups, and datasets. The reading itself happens in a worker.
import { Worker } from 'node:worker_threads';
import { inputError, messageOf } from '../errors.js';

export interface Hdf5Dataset {
  /** From the root, with a leading slash. */
  path: string;
  shape: number[];
  /** `float16`, `float32`, `float64`, or undefined when the values are not float or not in this file. */
  dtype: string | undefined;
  /** Little-endian values of four-dimensional float datasets; absent for all others. */
  raw?: Uint8Array<ArrayBuffer>;
}

export interface Hdf5Tree {
  /** By path of the group, then by name; `/` is the root. */
  attributes: Record<string, Record<string, string[]>>;
  /** Depth first, in the file's order. */
  datasets: Hdf5Dataset[];
}

const LONGEST_MS = 60_000;

/** The worker of the last file, while it is in order: loading the library takes longer than most files. */
let idle: Worker | undefined;

/**
 * @param path names the file in errors
 * @throws DwpError INPUT when the library cannot read the file, or takes over a minute
 */
export async function readHdf5(bytes: Uint8Array, path: string): Promise<Hdf5Tree> {
  const worker =
    idle ?? new Worker(new URL('./hdf5-worker.mjs', import.meta.url), { stdout: true, stderr: true });
  idle = undefined;
  worker.ref();
  try {
    const copy = new Uint8Array(bytes);
    const tree = await new Promise<Hdf5Tree>((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        worker.off('message', answered).off('error', failed).off('exit', stopped);
      };
      const failed = (error: Error) => {
        done();
        reject(error);
      };
      const stopped = (code: number) => failed(new Error(`its reader stopped with code ${code}`));
      const answered = (answer: { tree?: Hdf5Tree; error?: string }) => {
        if (!answer.tree) return failed(new Error(reasonOf(answer.error ?? '')));
        done();
        resolve(answer.tree);
      };
      const timer = setTimeout(() => failed(new Error('it cannot be read in a minute')), LONGEST_MS);
      worker.on('message', answered).on('error', failed).on('exit', stopped);
      worker.postMessage(copy, [copy.buffer]);
    });
    worker.unref();
    idle = worker;
    return tree;
  } catch (error) {
    await worker.terminate();
    throw inputError(
      `${path}: not a complete HDF5 file (${messageOf(error)})`,
      'the file may be damaged or truncated; fetch or export it again',
      error,
    );
  }
}

/** The library reports its whole call stack; the innermost line says what is wrong. */
function reasonOf(message: string): string {
  const innermost = message
    .split('\n')
    .filter((line) => line.trim() !== '')
    .at(-1);
  return (innermost ?? 'unreadable')
    .trim()
    .replace(/^(major|minor): /, '')
    .slice(0, 200);
}
