// @ts-check
// Reads one HDF5 file after another in a thread of its own: the HDF5 library was not made for damaged files, which
// can make it abort, hang or ask for gigabytes. Plain JavaScript, so that Node can start it uncompiled as well.
// The library runs as WebAssembly with a file system in memory (`h5wasm/node` would use the disk): links in a file
// reach nothing.
import { parentPort } from 'node:worker_threads';
import * as h5 from 'h5wasm';

const MOST_OBJECTS = 200_000;
const DEEPEST = 32;
/** Deflate makes at most 1032 bytes of one; what claims more is a fill value or a lie. */
const MOST_EXPANSION = 1032;
const [FLOAT_CLASS, STRING_CLASS] = [1, 3]; // H5T_FLOAT, H5T_STRING

const library = await h5.ready;
library.activate_throwing_error_handler(); // else failures are printed and come back as numbers

/** @param {Uint8Array} bytes */
function readTree(bytes) {
  const name = '/file.h5';
  library.FS.writeFile(name, bytes);
  const file = new h5.File(name, 'r');
  /** @type {import('./hdf5.js').Hdf5Tree} */
  const tree = { attributes: { '/': stringsOf(file) }, datasets: [] };
  let objects = 0;
  /** @type {(group: import('h5wasm').Group, depth: number) => void} */
  const walk = (group, depth) => {
    if (depth > DEEPEST) throw new Error(`groups nested deeper than ${DEEPEST}`);
    for (const key of group.keys()) {
      if (++objects > MOST_OBJECTS) throw new Error(`more than ${MOST_OBJECTS} objects`);
      const path = group.path === '/' ? `/${key}` : `${group.path}/${key}`;
      const entity = file.get(path); // follows links inside the file; others are neither group nor dataset
      if (entity instanceof h5.Dataset) tree.datasets.push(toDataset(entity, path, bytes.length));
      else if (entity instanceof h5.Group) {
        tree.attributes[path] = stringsOf(entity);
        walk(entity, depth + 1);
      }
    }
  };
  walk(file, 0);
  file.close();
  library.FS.unlink(name);
  return tree;
}

/**
 * Text attributes, as lists of strings.
 *
 * @param {import('h5wasm').Group} group
 */
function stringsOf(group) {
  /** @type {Record<string, string[]>} */
  const strings = {};
  for (const [name, attribute] of Object.entries(group.attrs)) {
    if (attribute.metadata.type !== STRING_CLASS) continue;
    const { value } = attribute;
    if (typeof value === 'string') strings[name] = [value];
    else if (Array.isArray(value)) strings[name] = value.map(String);
  }
  return strings;
}

/**
 * Data is read of what can be a convolution's weights: four dimensions of floats.
 *
 * @param {import('h5wasm').Dataset} dataset
 * @param {string} path
 * @param {number} fileBytes
 * @returns {import('./hdf5.js').Hdf5Dataset}
 */
function toDataset(dataset, path, fileBytes) {
  const { type, size, shape, total_size: count, virtual_sources: sources } = dataset.metadata;
  const dtype = type === FLOAT_CLASS && [2, 4, 8].includes(size) ? `float${size * 8}` : undefined;
  if (!dtype || shape?.length !== 4 || count === 0) return { path, shape: shape ?? [], dtype };
  if (sources?.length) return { path, shape, dtype: undefined };
  if (!(count * size <= fileBytes * MOST_EXPANSION))
    throw new Error(`${path} claims ${count} values, more than the file can hold`);
  const pointer = library._malloc(count * size);
  if (pointer === 0) throw new Error(`${path} does not fit into memory`);
  try {
    library.get_dataset_data(dataset.file_id, path, null, null, null, BigInt(pointer));
    // in the byte order of this machine whatever that of the file is; halves are left to the receiver
    return { path, shape, dtype, raw: library.HEAPU8.slice(pointer, pointer + count * size) };
  } finally {
    library._free(pointer);
  }
}

parentPort?.on('message', (bytes) => {
  try {
    const tree = readTree(bytes);
    const buffers = tree.datasets.flatMap(({ raw }) => (raw ? [raw.buffer] : []));
    parentPort?.postMessage({ tree }, buffers);
  } catch (error) {
    parentPort?.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
