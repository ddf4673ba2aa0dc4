// HDF5 files as plain data: text attributes of groups, and datasets whose values are read one at a time. The reading
// itself happens in a worker, within bounds of time and memory.
import { Worker } from 'node:worker_threads';
import { DwpError, escapeControls, inputError, messageOf } from '../errors.js';
import { type FloatType, toFloat32 } from '../formats/floats.js';
import { sizeOf } from '../formats/shape.js';
import { type ByteSource, shown } from '../formats/source.js';

export interface Hdf5Dataset {
  /** From the root, with a leading slash. */
  path: string;
  shape: number[];
  /** Undefined when the values are not float or not in this file. */
  dtype: FloatType | undefined;
  /** The same for every name (hard or soft link) of one dataset. */
  identity: string;
  /** Whether it claims more values than its file can hold; they cannot be read. */
  oversized?: boolean;
}

export interface Hdf5Tree {
  /** By path of the group, then by name; `/` is the root. */
  attributes: Record<string, Record<string, string[]>>;
  /** Depth first, in the file's order. A group with several names is listed under one of them. */
  datasets: Hdf5Dataset[];
}

/** What either library offers; throws anything. */
export interface Hdf5Reader {
  tree: Hdf5Tree;
  /** Little-endian. */
  values(path: string): { bytes: Uint8Array<ArrayBuffer>; dtype: FloatType };
  close(): void;
}

export interface Hdf5File extends Hdf5Tree {
  /** Which library has read the tree. */
  reader: 'jsfive' | 'h5wasm';
  /** @throws DwpError INPUT when the values are damaged, elsewhere, or take too much time or memory */
  read(dataset: Hdf5Dataset): Promise<Float32Array>;
  /** Lets go of the worker; nothing can be read afterwards. */
  close(): void;
}

/** For the start of a thread or of a library, which is not the file's fault. */
const LONGEST_START_MS = 60_000;
/** For structure or values; files and datasets get more by their size. */
const LONGEST_MS = 1500;
const BYTES_PER_MS = 2 ** 12;
const SHARED_BYTES = 2 ** 20;
/** A worker that has read a larger file is not kept: the library's memory never shrinks. */
const LARGEST_KEPT = 2 ** 26;

/** What the processors have spent on this process: on the worker, while everything else waits for it. */
const processorMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

interface Thread {
  worker: Worker;
  /** 0: bytes are asked for, 1: they are there, 2: they cannot be had. */
  control: Int32Array;
  shared: Uint8Array;
  ready: Promise<void>;
}

/** The thread of the last file, while it is in order: starting one takes longer than most files. */
let idle: Thread | undefined;

function startThread(): Thread {
  const [control, shared] = [new SharedArrayBuffer(4), new SharedArrayBuffer(SHARED_BYTES)];
  const worker = new Worker(new URL('./hdf5-worker.mjs', import.meta.url), {
    stdout: true,
    stderr: true,
    workerData: { control, shared },
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  });
  const thread: Thread = {
    worker,
    control: new Int32Array(control),
    shared: new Uint8Array(shared),
    ready: Promise.resolve(),
  };
  worker.on('error', () => {}); // while nobody waits for it
  worker.on('exit', () => {
    if (idle === thread) idle = undefined;
  });
  thread.ready = listen(thread, LONGEST_START_MS, (message) => message.ready === true).then(() => {});
  return thread;
}

interface Message {
  ready?: boolean;
  loading?: boolean;
  need?: number;
  length?: number;
  answer?: unknown;
  error?: string;
}

/**
 * Waits for a message that `accept` takes, and hands over the source's bytes meanwhile.
 *
 * @param limit of milliseconds of this process's own time (on a busy machine a file may take longer), not counting what the source and the loading of a library take
 */
function listen(
  { worker, control, shared }: Thread,
  limit: number,
  accept: (message: Message) => boolean,
  source?: ByteSource,
): Promise<Message> {
  return new Promise((resolve, reject) => {
    let deadline = processorMs() + limit;
    const latest = performance.now() + limit + LONGEST_START_MS;
    let loadingSince = 0;
    let failure: unknown;
    let timer: NodeJS.Timeout;
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      worker.off('message', received).off('error', failed).off('exit', stopped);
      worker.unref();
      settle();
    };
    const failed = (error: unknown) => finish(() => reject(failure ?? error));
    const stopped = () => failed(new Error('its reader was stopped'));
    const check = () => {
      const left = Math.min(deadline - processorMs(), latest - performance.now());
      if (left > 0) timer = setTimeout(check, Math.max(left, 20));
      // an answer may be waiting behind this timer when this thread was busy
      else timer = setTimeout(() => failed(new Error(`not read within ${Math.ceil(limit / 1000)} s`)), 1);
    };
    const received = (message: Message) => {
      if (message.need !== undefined && source) {
        const start = processorMs();
        try {
          shared.set(source.read(message.need, message.length ?? 0));
          Atomics.store(control, 0, 1);
        } catch (error) {
          failure = error;
          Atomics.store(control, 0, 2);
        }
        Atomics.notify(control, 0);
        deadline += processorMs() - start;
      } else if (message.loading === true) {
        loadingSince = processorMs();
        deadline += LONGEST_START_MS;
      } else if (message.loading === false) deadline += processorMs() - loadingSince - LONGEST_START_MS;
      else if (accept(message)) finish(() => resolve(message));
    };
    worker.ref();
    worker.on('message', received).on('error', failed).on('exit', stopped);
    check();
  });
}

/** @throws DwpError INPUT when the file cannot be read, or takes too much time or memory */
export async function openHdf5(source: ByteSource): Promise<Hdf5File> {
  const thread = idle ?? startThread();
  idle = undefined;
  /** Why nothing more can be read. */
  let ended: string | undefined;
  /** Whether the library has failed: it may not be in order for another file. */
  let failed = false;
  let tail: Promise<unknown> = thread.ready;
  const ask = <T>(request: object, bytes: number): Promise<T> => {
    const limit = LONGEST_MS + bytes / BYTES_PER_MS;
    const answer = tail.then(async () => {
      if (ended !== undefined) throw new Error(ended);
      thread.worker.postMessage(request);
      let message: Message;
      try {
        message = await listen(thread, limit, ({ answer, error }) => (answer ?? error) !== undefined, source);
      } catch (error) {
        ended = messageOf(error);
        await thread.worker.terminate();
        throw error;
      }
      if (message.error === undefined) return message.answer as T;
      failed = true;
      throw new Error(reasonOf(message.error));
    });
    tail = answer.catch(() => {});
    return answer;
  };
  const close = () => {
    if (ended !== undefined) return;
    const keep = !failed && !idle && source.size <= LARGEST_KEPT;
    if (keep)
      ask({ close: true }, 0).then(
        () => {
          if (idle) void thread.worker.terminate();
          else idle = thread;
        },
        () => {},
      );
    else void thread.worker.terminate();
    tail = tail.then(() => {
      ended = 'it has been closed';
    });
  };
  let opened: { tree: Hdf5Tree; reader: 'jsfive' | 'h5wasm' };
  try {
    opened = await ask({ open: source.size }, source.size);
  } catch (error) {
    close();
    if (error instanceof DwpError) throw error;
    throw inputError(
      `${source.path}: not a complete HDF5 file (${messageOf(error)})`,
      'the file may be damaged or truncated; fetch or export it again',
      error,
    );
  }
  const { tree, reader } = opened;
  return {
    ...tree,
    reader,
    read: async (dataset) => {
      const count = sizeOf(dataset.shape);
      try {
        const { bytes, dtype } = await ask<ReturnType<Hdf5Reader['values']>>(
          { values: dataset.path },
          source.size + 8 * count,
        );
        const values = toFloat32(bytes, dtype);
        if (values.length !== count) throw new Error(`${values.length} values instead of ${count}`);
        return values;
      } catch (error) {
        if (error instanceof DwpError) throw error;
        throw inputError(
          `${source.path}: ${shown(dataset.path)} cannot be read (${messageOf(error)})`,
          'the file may be damaged; fetch or export it again',
          error,
        );
      }
    },
    close,
  };
}

/** The library reports its whole call stack; the innermost line says what is wrong. */
function reasonOf(message: string): string {
  const innermost = message
    .split('\n')
    .filter((line) => line.trim() !== '')
    .at(-1);
  const reason = (innermost ?? 'unreadable').trim().replace(/^(major|minor): /, '');
  return escapeControls(reason.slice(0, 200));
}
