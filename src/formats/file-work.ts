// Work on files that goes on beside everything else, in a thread of its own: writing piece by piece, and sha256.
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { DwpError } from '../errors.js';
import { writing } from './write-errors.js';

/** As long as it takes, somebody else may have a turn after each. */
const SLICE = 2 ** 24;
/** Fits a processor's own cache. */
const BLOCK = 2 ** 17;
/** Pieces whose memory is kept for others. */
const MOST_SPARE = 8;
/** Bytes that may wait to be written. */
const MOST_WAITING = 2 ** 24;

export interface DigestedFile {
  /** Hexadecimal. */
  sha256: string;
  /** When the file was last changed, in milliseconds. */
  modified: number;
}

/** A file that is new, and grows. No file stays open. */
export interface GrowingFile {
  /** @param bytes are given away: the whole of their buffer */
  append(bytes: Uint8Array<ArrayBuffer>): void;
  /** @returns the sha256 of the whole file, which is on the disk now. @throws DwpError INPUT when it could not be written */
  finish(): Promise<string>;
}

export interface FileWork {
  /** Of a whole file. @throws Error of the system, or when the file is shorter than `bytes` */
  digest(path: string, bytes: number): Promise<DigestedFile>;
  create(path: string): GrowingFile;
  /** Memory for a piece, with whatever is in it: new memory costs as much as writing it. */
  buffer(bytes: number): ArrayBuffer;
  /** Until little is left to be written. @throws DwpError INPUT when something could not be */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** Reads a whole file, with pauses. */
export async function digestFile(path: string, bytes: number): Promise<DigestedFile> {
  const handle = openSync(path, 'r');
  try {
    const hash = createHash('sha256');
    const block = new Uint8Array(BLOCK);
    for (let at = 0; at < bytes; ) {
      const read = readSync(handle, block, 0, Math.min(BLOCK, bytes - at), at);
      if (read === 0) throw new Error(`${path}: became shorter meanwhile`);
      hash.update(block.subarray(0, read));
      at += read;
      if (at % SLICE < read) await new Promise(setImmediate);
    }
    return { sha256: hash.digest('hex'), modified: fstatSync(handle).mtimeMs };
  } finally {
    closeSync(handle);
  }
}

/** Writes at once. @throws DwpError INPUT when the system refuses it */
export function createFile(path: string) {
  const hash = createHash('sha256');
  const open = (flags: string, work: (handle: number) => void) =>
    writing(path, () => {
      const handle = openSync(path, flags);
      try {
        work(handle);
      } finally {
        closeSync(handle);
      }
    });
  open('wx', () => {});
  return {
    append(bytes: Uint8Array): void {
      open('a', (handle) => {
        for (let at = 0; at < bytes.length; ) at += writeSync(handle, bytes, at);
      });
      hash.update(bytes);
    },
    finish(): string {
      open('r+', fsyncSync);
      return hash.digest('hex');
    },
  };
}

/** @param threaded needs compiled files: elsewhere, and without it, all is done here when it is asked for */
export const startFileWork = (threaded: boolean): FileWork =>
  threaded && import.meta.url.endsWith('.js') ? workInThread() : workHere();

function workHere(): FileWork {
  return {
    digest: digestFile,
    create(path) {
      const file = createFile(path);
      return { append: file.append, finish: async () => file.finish() };
    },
    buffer: (bytes) => new ArrayBuffer(bytes),
    settled: async () => {},
    close: async () => {},
  };
}

/** What the thread is asked; every order but `create` is answered. */
export type FileOrder = { id: number } & (
  | { digest: string; bytes: number }
  | { create: string }
  | { append: Uint8Array<ArrayBuffer> }
  | { finish: true }
);

export type FileAnswer = { id: number } & (
  | { digested: DigestedFile }
  | { written: Uint8Array<ArrayBuffer> }
  | { finished: string }
  | { failed: { message: string; code?: string; hint?: string } }
);

function workInThread(): FileWork {
  const worker = new Worker(new URL('./file-worker.js', import.meta.url));
  const waiting = new Map<number, { resolve(value: never): void; reject(error: unknown): void }>();
  const spare: ArrayBuffer[] = [];
  let failure: unknown;
  let unwritten = 0;
  let settle: (() => void) | undefined;
  let next = 0;
  const fail = (error: unknown) => {
    failure ??= error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
    settle?.();
  };
  worker.on('error', fail);
  worker.on('message', (answer: FileAnswer) => {
    if ('written' in answer) {
      unwritten -= answer.written.length;
      if (spare.length < MOST_SPARE) spare.push(answer.written.buffer);
      if (unwritten <= MOST_WAITING) settle?.();
      return;
    }
    const asked = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ('digested' in answer) asked?.resolve(answer.digested as never);
    else if ('finished' in answer) asked?.resolve(answer.finished as never);
    else {
      const { message, code, hint } = answer.failed;
      const error =
        code === 'INPUT' ? new DwpError(code, message, hint) : Object.assign(new Error(message), { code });
      if (asked) asked.reject(error);
      else fail(error); // while it was written
    }
  });
  const ask = <T>(order: FileOrder): Promise<T> =>
    new Promise((resolve, reject) => {
      if (failure !== undefined) return reject(failure);
      waiting.set(order.id, { resolve, reject });
      worker.postMessage(order);
    });
  return {
    digest: (path, bytes) => ask({ id: next++, digest: path, bytes }),
    create(path) {
      const id = next++;
      const order = (rest: object, moved: ArrayBuffer[] = []) =>
        worker.postMessage({ id, ...rest } as FileOrder, moved);
      order({ create: path });
      return {
        append(bytes) {
          unwritten += bytes.length;
          order({ append: bytes }, [bytes.buffer]);
        },
        finish: () => ask({ id, finish: true }),
      };
    },
    buffer(bytes) {
      const at = spare.findIndex(({ byteLength }) => byteLength === bytes);
      return at < 0 ? new ArrayBuffer(bytes) : spare.splice(at, 1)[0];
    },
    async settled() {
      while (unwritten > MOST_WAITING && failure === undefined)
        await new Promise<void>((resolve) => {
          settle = resolve;
        });
      if (failure !== undefined) throw failure;
    },
    async close() {
      await worker.terminate();
    },
  };
}

/** Quickly had: the same for files that are the same, and nearly always different for others. */
export function fingerprint(path: string, bytes: number): string {
  const hash = createHash('sha256');
  const block = new Uint8Array(BLOCK);
  const handle = openSync(path, 'r');
  try {
    for (const at of [0, Math.floor(bytes / 2), Math.max(0, bytes - BLOCK)])
      hash.update(block.subarray(0, readSync(handle, block, 0, BLOCK, at)));
  } finally {
    closeSync(handle);
  }
  return `${bytes} ${hash.digest('hex')}`;
}
