// @ts-check
// HDF5 by the HDF5 library itself, compiled to WebAssembly (h5wasm), with a file system of its own that holds one
// file: links and storage that lead elsewhere reach nothing (`h5wasm/node` would use the disk). The file's bytes are
// fetched as the library asks for them.
import * as h5 from 'h5wasm';
import { DEEPEST, MOST_OBJECTS, mostBytes } from './hdf5-limits.mjs';

/** @typedef {{buffer: ArrayBuffer, grow(this: Growing, pages: number | bigint): number}} Growing */

const [FLOAT_CLASS, STRING_CLASS, OPAQUE_CLASS] = [1, 3, 5];
const NAME = 'model.h5';
/** For the library and what it keeps of a file's structure. */
const BASE_MEMORY = 2 ** 27;

/** The library's memory may grow to this many bytes; it takes a refusal for "out of memory". */
let memoryLimit = BASE_MEMORY;
const { Memory } = /** @type {{WebAssembly: {Memory: {prototype: Growing}}}} */ (
  /** @type {any} */ (globalThis)
).WebAssembly;
const { grow } = Memory.prototype;
Memory.prototype.grow = function (/** @type {number | bigint} */ pages) {
  if (this.buffer.byteLength + 65536 * Number(pages) > memoryLimit) throw new RangeError('too much memory');
  return grow.call(this, pages);
};

const library = await h5.ready;
library.activate_throwing_error_handler(); // else failures are printed and come back as numbers

/**
 * @param {(offset: number, target: Uint8Array) => void} fetch
 * @param {number} size of the file
 * @returns {import('./hdf5.js').Hdf5Reader}
 */
export function openByLibrary(fetch, size) {
  const { FS } = /** @type {any} */ (library);
  const node = FS.createFile('/', NAME, {}, true, false);
  Object.defineProperty(node, 'usedBytes', { get: () => size });
  node.stream_ops = {
    llseek: node.stream_ops.llseek,
    /** @type {(stream: unknown, memory: Int8Array, at: number, length: number, offset: number) => number} */
    read: (_, memory, at, length, offset) => {
      const count = Math.max(0, Math.min(length, size - offset));
      fetch(offset, new Uint8Array(memory.buffer, memory.byteOffset + at, count));
      return count;
    },
  };
  memoryLimit = BASE_MEMORY + size;
  /** @type {h5.File | undefined} */
  let file;
  const close = () => {
    try {
      file?.close();
    } finally {
      FS.unlink(`/${NAME}`);
    }
  };
  try {
    file = new h5.File(`/${NAME}`, 'r');
    return {
      tree: readTree(file, size),
      values: (path) => valuesOf(/** @type {h5.File} */ (file), path, size),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * @param {h5.File} file
 * @param {number} fileBytes
 */
function readTree(file, fileBytes) {
  /** @type {import('./hdf5.js').Hdf5Tree} */
  const tree = { attributes: { '/': stringsOf(file, fileBytes) }, datasets: [] };
  const identityOf = (/** @type {string} */ path) =>
    String(library.create_object_reference(file.file_id, path));
  const seen = new Set([identityOf('/')]);
  let objects = 0;
  /** @type {(group: h5.Group, path: string, depth: number) => void} */
  const walk = (group, path, depth) => {
    if (depth > DEEPEST) throw new Error(`groups nested deeper than ${DEEPEST}`);
    for (const key of group.keys()) {
      if (++objects > MOST_OBJECTS) throw new Error(`more than ${MOST_OBJECTS} objects`);
      const inside = path === '/' ? `/${key}` : `${path}/${key}`;
      const entity = file.get(inside); // follows links inside the file; others are neither group nor dataset
      if (entity instanceof h5.Dataset)
        tree.datasets.push({ ...describe(entity, fileBytes), path: inside, identity: identityOf(inside) });
      else if (entity instanceof h5.Group) {
        const identity = identityOf(inside);
        if (seen.has(identity)) continue; // a cycle, or a second name of the same group
        seen.add(identity);
        tree.attributes[inside] = stringsOf(entity, fileBytes);
        walk(entity, inside, depth + 1);
      }
    }
  };
  walk(file, '/', 0);
  return tree;
}

/**
 * Text attributes, as lists of strings.
 *
 * @param {h5.Group | h5.Dataset} object
 * @param {number} fileBytes
 */
function stringsOf(object, fileBytes) {
  /** @type {Record<string, string[]>} */
  const strings = {};
  for (const [name, attribute] of Object.entries(object.attrs)) {
    const { type, vlen, cset, size, total_size: count, shape } = attribute.metadata;
    if (type !== STRING_CLASS || !shape) continue;
    if (count * size > 16 * fileBytes) throw new Error(`an attribute of ${count * size} bytes`);
    if (vlen) {
      const { value } = attribute;
      // of ASCII the library makes one character a byte; Keras writes UTF-8 and says ASCII
      const decode = (/** @type {unknown} */ text) =>
        cset === 1 ? String(text) : Buffer.from(String(text), 'latin1').toString();
      strings[name] = (Array.isArray(value) ? value.flat() : [value]).map(decode);
      continue;
    }
    const bytes = fetchInto(count * size, (pointer) =>
      library.get_attribute_data(object.file_id, object.path, name, BigInt(pointer)),
    );
    strings[name] = Array.from(
      { length: count },
      (_, i) =>
        Buffer.from(bytes.subarray(i * size, (i + 1) * size))
          .toString()
          .split('\0')[0],
    );
  }
  return strings;
}

/**
 * @param {h5.Dataset} dataset
 * @param {number} fileBytes
 * @returns {Omit<import('./hdf5.js').Hdf5Dataset, 'path' | 'identity'>}
 */
function describe(dataset, fileBytes) {
  const { type, size, shape, total_size: count, virtual_sources: sources } = dataset.metadata;
  const oversized = !(count * size <= mostBytes(fileBytes));
  const other = { shape: shape ?? [], dtype: undefined, oversized };
  if (sources?.length) return other;
  if (type === FLOAT_CLASS && [2, 4, 8].includes(size))
    return { ...other, dtype: /** @type {'float16' | 'float32' | 'float64'} */ (`float${size * 8}`) };
  // Keras stores bfloat16 as two opaque bytes and names the type in an attribute
  const brain = type === OPAQUE_CLASS && size === 2;
  return brain && stringsOf(dataset, fileBytes).dtype?.[0] === 'bfloat16'
    ? { ...other, dtype: 'bfloat16' }
    : other;
}

/**
 * @param {h5.File} file
 * @param {string} path
 * @param {number} fileBytes
 * @returns {{bytes: Uint8Array<ArrayBuffer>, dtype: import('../formats/floats.js').FloatType}}
 */
function valuesOf(file, path, fileBytes) {
  const dataset = file.get(path);
  if (!(dataset instanceof h5.Dataset)) throw new Error(`${path} is no dataset`);
  const { dtype, oversized } = describe(dataset, fileBytes);
  if (!dtype || oversized) throw new Error('it is not float, or claims more values than the file can hold');
  const { size, total_size: count } = dataset.metadata;
  memoryLimit = BASE_MEMORY + fileBytes + 4 * count * size;
  // in the byte order of this machine, whatever that of the file is
  const bytes = fetchInto(count * size, (pointer) =>
    library.get_dataset_data(file.file_id, path, null, null, null, BigInt(pointer)),
  );
  return { bytes, dtype };
}

/**
 * @param {number} length
 * @param {(pointer: number) => number} fill
 */
function fetchInto(length, fill) {
  const pointer = library._malloc(length);
  if (pointer === 0) throw new Error(`${length} bytes do not fit into memory`);
  try {
    if (fill(pointer) < 0) throw new Error('the library failed to read');
    return library.HEAPU8.slice(pointer, pointer + length);
  } finally {
    library._free(pointer);
  }
}
