// @ts-check
// Reads HDF5 in a thread of its own, because damaged files can make either reader hang, abort or ask for gigabytes.
// Plain JavaScript, so that Node can start it uncompiled as well. The thread that holds the file hands over its bytes
// block by block; jsfive reads first, the HDF5 library what jsfive is not sure to read right.
import { parentPort, workerData } from 'node:worker_threads';
import { openStrictly } from './hdf5-strict.mjs';

/** Jsfive needs the file in memory. */
const MOST_FOR_JSFIVE = 2 ** 26;
const BLOCK = 2 ** 18;
const MOST_BLOCKS = 64;

const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);
const control = new Int32Array(workerData.control);
const shared = new Uint8Array(workerData.shared);

/** Fills `target` from the file. @type {(offset: number, target: Uint8Array) => void} */
function fetch(offset, target) {
  for (let at = 0; at < target.length; at += shared.length) {
    const length = Math.min(shared.length, target.length - at);
    Atomics.store(control, 0, 0);
    port.postMessage({ need: offset + at, length });
    Atomics.wait(control, 0, 0);
    if (Atomics.load(control, 0) !== 1) throw new Error('its bytes cannot be had');
    target.set(shared.subarray(0, length), at);
  }
}

/** The same through a cache: the library reads structure in small pieces. @param {number} size of the file */
function cached(size) {
  /** @type {Map<number, Uint8Array>} */
  const blocks = new Map();
  /** @type {typeof fetch} */
  return (offset, target) => {
    if (target.length >= BLOCK) return fetch(offset, target);
    for (let at = offset; at < offset + target.length; ) {
      const index = Math.floor(at / BLOCK);
      let block = blocks.get(index);
      if (!block) {
        block = new Uint8Array(Math.min(BLOCK, size - index * BLOCK));
        fetch(index * BLOCK, block);
        if (blocks.size >= MOST_BLOCKS) blocks.delete(/** @type {number} */ (blocks.keys().next().value));
        blocks.set(index, block);
      }
      const part = block.subarray(at - index * BLOCK, offset + target.length - index * BLOCK);
      target.set(part, at - offset);
      at += part.length;
    }
  };
}

/** The file that is open: its bytes, and whoever has read it so far. */
let size = 0;
let read = fetch;
/** @type {import('./hdf5.js').Hdf5Reader | undefined} */
let strict;
/** @type {import('./hdf5.js').Hdf5Reader | undefined} */
let library;

async function byLibrary() {
  if (library) return library;
  port.postMessage({ loading: true }); // takes time that is not the file's fault
  const { openByLibrary } = await import('./hdf5-library.mjs');
  port.postMessage({ loading: false });
  library = openByLibrary(read, size);
  return library;
}

async function open() {
  read = cached(size);
  if (size <= MOST_FOR_JSFIVE) {
    const buffer = new ArrayBuffer(size);
    const bytes = new Uint8Array(buffer);
    fetch(0, bytes);
    read = (offset, target) => target.set(bytes.subarray(offset, offset + target.length));
    try {
      strict = openStrictly(buffer);
      return { tree: strict.tree, reader: 'jsfive' };
    } catch {
      // jsfive throws whatever it likes; if the file is damaged, the library says how
    }
  }
  return { tree: (await byLibrary()).tree, reader: 'h5wasm' };
}

/** @param {string} path */
async function values(path) {
  if (strict)
    try {
      return { ...strict.values(path), reader: 'jsfive' };
    } catch {
      // as above
    }
  return { ...(await byLibrary()).values(path), reader: 'h5wasm' };
}

function close() {
  library?.close();
  strict = library = undefined;
  read = fetch;
  return true;
}

port.on('message', async (request) => {
  try {
    if (request.open !== undefined) size = request.open;
    const answer = await (request.open !== undefined
      ? open()
      : request.values !== undefined
        ? values(request.values)
        : close());
    port.postMessage(
      { answer },
      typeof answer === 'object' && 'bytes' in answer ? [answer.bytes.buffer] : [],
    );
  } catch (error) {
    port.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
port.postMessage({ ready: true });
