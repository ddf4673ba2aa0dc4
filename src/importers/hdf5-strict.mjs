// @ts-check
// HDF5 by jsfive, for the plain old layout that Keras writes by default: groups as symbol tables, version 1 headers.
// Jsfive takes much on trust and is silent about what it does not know (dense attributes, soft links, fill values,
// storage elsewhere), so every object is checked against the bytes first; whatever is not known for certain throws,
// and the caller turns to the HDF5 library.
import { inflateSync } from 'node:zlib';
import { Dataset, File, Filters } from 'jsfive';
import { DEEPEST, MOST_OBJECTS, mostBytes } from './hdf5-limits.mjs';

/** Types of header messages that are understood; all others may change what an object means. */
const [DATASPACE, DATATYPE, LAYOUT, FILTERS, ATTRIBUTE, SYMBOL_TABLE] = [1, 3, 8, 11, 12, 17];
const HARMLESS = [0, 4, 5, 13, 14, 16, 18]; // nothing, fill values, comment, times, continuation
const KNOWN = new Set([DATASPACE, DATATYPE, LAYOUT, FILTERS, ATTRIBUTE, SYMBOL_TABLE, ...HARMLESS]);
const SHARED = 2;
const NOWHERE = 0xffffffffffffffffn;
/** Jsfive makes a JavaScript array of them, one by one. */
const MOST_VALUES = 2 ** 22;
const [FLOAT_CLASS, STRING_CLASS, OPAQUE_CLASS, VARIABLE_CLASS] = [1, 3, 5, 9];
/** Size in bytes → place and size of exponent, place and size of mantissa, bias, as IEEE 754 has them. */
const IEEE = new Map([
  [2, '10,5,0,10,15'],
  [4, '23,8,0,23,127'],
  [8, '52,11,0,52,1023'],
]);

/** @type {(truth: boolean, what: string) => asserts truth} */
function require(truth, what) {
  if (!truth) throw new Error(`not for jsfive: ${what}`);
}

const padded = (/** @type {number} */ size) => Math.ceil(size / 8) * 8;

/** Of the chunk that is inflated next. */
let chunkBytes = 0;
// no more than a chunk's own size is inflated; a checksum may follow it
Filters.set(1, (buffer) => {
  const inflated = inflateSync(new Uint8Array(buffer), { maxOutputLength: chunkBytes + 4 });
  return new Uint8Array(inflated).buffer;
});

/**
 * @param {ArrayBuffer} buffer the whole file
 * @returns {import('./hdf5.js').Hdf5Reader}
 */
export function openStrictly(buffer) {
  const view = new DataView(buffer);
  const address = (/** @type {number} */ at) => Number(view.getBigUint64(at, true));
  require(view.getUint8(8) === 0 && view.getUint8(13) === 8 && view.getUint8(14) === 8, 'its version');
  require(address(24) === 0 && address(40) <= buffer.byteLength, 'truncated, or not at the start');
  require(view.getBigUint64(48, true) === NOWHERE, 'a driver');

  /** @type {import('./hdf5.js').Hdf5Tree} */
  const tree = { attributes: {}, datasets: [] };
  /** @type {Map<string, {dataset: Dataset, size: number, chunk: number}>} */
  const readable = new Map();
  /** @type {Set<number>} */
  const seen = new Set();
  let objects = 0;

  /** Header messages by type: where they begin and end. @param {import('jsfive').DataObjects} header */
  const messagesOf = (header) => {
    require(view.getUint8(header.offset) === 1, 'a header of a newer version');
    return Array.from(header.msgs, (message) => {
      const [type, flags] = [message.get('type'), message.get('flags')];
      const at = message.get('offset_to_message');
      const end = at + message.get('size');
      require(KNOWN.has(type), `a message of type ${type}`);
      require((flags & SHARED) === 0 && end <= buffer.byteLength, 'a message elsewhere');
      return { type, at, end };
    });
  };

  /**
   * Text attributes.
   *
   * @param {import('jsfive').DataObjects} header
   * @param {{type: number, at: number, end: number}[]} messages
   */
  const stringsOf = (header, messages) => {
    /** @type {Record<string, string[]>} */
    const strings = {};
    for (const { type, at, end } of messages) {
      if (type !== ATTRIBUTE) continue;
      require(view.getUint8(at) === 1, 'an attribute of a newer version');
      const datatype = at + 8 + padded(view.getUint16(at + 2, true));
      const space = datatype + padded(view.getUint16(at + 4, true));
      const values = space + padded(view.getUint16(at + 6, true));
      const kind = view.getUint8(datatype) & 15;
      const text =
        kind === STRING_CLASS || (kind === VARIABLE_CLASS && (view.getUint8(datatype + 1) & 15) === 1);
      if (!text) continue;
      require(view.getUint8(space) === 1, 'a dataspace of a newer version');
      const [name, value] = header.unpack_attribute(at);
      const list = (Array.isArray(value) ? value : [value]).map(String);
      const width = view.getUint32(datatype + 4, true);
      require(values + list.length * width <= end, 'an attribute that ends outside');
      if (kind === VARIABLE_CLASS)
        for (const item of list)
          require(typeof value !== 'undefined' && /^[\x20-\x7e\s]+$/.test(item), 'text of unsure length');
      strings[name] = list.map((item) => item.split('\0')[0]);
    }
    return strings;
  };

  /**
   * @param {Dataset} dataset
   * @param {{type: number, at: number, end: number}[]} messages
   * @param {string} path
   * @param {number} identity
   */
  const addDataset = (dataset, messages, path, identity) => {
    const only = (/** @type {number} */ type) => {
      const found = messages.filter((message) => message.type === type);
      require(found.length === 1, `${found.length} messages of type ${type}`);
      return found[0].at;
    };
    const [space, datatype, layout] = [only(DATASPACE), only(DATATYPE), only(LAYOUT)];
    require(view.getUint8(space) === 1, 'a dataspace of a newer version');
    const shape = Array.from({ length: view.getUint8(space + 1) }, (_, axis) =>
      address(space + 8 + 8 * axis),
    );
    const size = view.getUint32(datatype + 4, true);
    const kind = view.getUint8(datatype) & 15;
    require(kind !== OPAQUE_CLASS, 'what may be bfloat16');
    const float = kind === FLOAT_CLASS && isIeee(datatype, size);
    const dtype = float ? /** @type {'float16' | 'float32' | 'float64'} */ (`float${size * 8}`) : undefined;
    const count = shape.reduce((a, b) => a * b, 1);
    const oversized = !(count * size <= mostBytes(buffer.byteLength));
    tree.datasets.push({ path, shape, dtype, oversized, identity: String(identity) });
    const storage = view.getUint8(layout + 1);
    require(storage <= 2, 'values that lie in other files');
    if (!float || oversized || count > MOST_VALUES) return;
    if (view.getUint8(layout) !== 3) return;
    if (storage === 1) {
      if (address(layout + 2) + count * size > buffer.byteLength) return; // or nowhere: a fill value
      if (messages.some(({ type }) => type === FILTERS)) return;
      readable.set(path, { dataset, size, chunk: 0 });
    } else if (storage === 2) {
      if (view.getUint8(layout + 2) !== shape.length + 1) return;
      const filters = dataset._dataobjects.filter_pipeline ?? [];
      if (!filters.every((filter) => [1, 2, 3].includes(filter.get('filter_id')))) return;
      const edges = shape.map((_, axis) => view.getUint32(layout + 11 + 4 * axis, true));
      const chunk = edges.reduce((a, b) => a * b, size);
      if (chunk <= mostBytes(buffer.byteLength)) readable.set(path, { dataset, size, chunk });
    }
  };

  const isIeee = (/** @type {number} */ datatype, /** @type {number} */ size) => {
    if (view.getUint8(datatype + 1) & 0x40) return false; // the byte order of a VAX
    if (view.getUint16(datatype + 8, true) !== 0 || view.getUint16(datatype + 10, true) !== 8 * size)
      return false;
    const places = [12, 13, 14, 15].map((at) => view.getUint8(datatype + at));
    return IEEE.get(size) === [...places, view.getUint32(datatype + 16, true)].join();
  };

  /** @type {(group: import('jsfive').Group, path: string, depth: number) => void} */
  const walk = (group, path, depth) => {
    require(depth <= DEEPEST, 'its depth');
    const messages = messagesOf(group._dataobjects);
    require(messages.filter(({ type }) => type === SYMBOL_TABLE).length === 1, 'a group of another kind');
    tree.attributes[path] = stringsOf(group._dataobjects, messages);
    for (const [name, link] of Object.entries(group._links)) {
      const target = Number(link);
      require(++objects <= MOST_OBJECTS, 'its number of objects');
      require(typeof link === 'number' && /^[^/]+$/.test(name) && name !== '.', 'a link of another kind');
      const entity = group.get(name);
      const inside = path === '/' ? `/${name}` : `${path}/${name}`;
      if (entity instanceof Dataset) addDataset(entity, messagesOf(entity._dataobjects), inside, target);
      else if (!seen.has(target)) {
        seen.add(target);
        walk(entity, inside, depth + 1);
      }
    }
  };
  const file = new File(buffer);
  seen.add(file._dataobjects.offset);
  walk(file, '/', 0);

  return {
    tree,
    values: (path) => {
      const found = readable.get(path);
      require(found !== undefined, 'how its values are stored');
      chunkBytes = found.chunk;
      const { value } = found.dataset;
      const wide = found.size === 8;
      const numbers = wide ? new Float64Array(value.length) : new Float32Array(value.length);
      for (let i = 0; i < numbers.length; i++) {
        require(typeof value[i] === 'number', 'values that are missing');
        numbers[i] = value[i];
      }
      require(numbers.length === found.dataset.shape.reduce((a, b) => a * b, 1), 'values that are missing');
      return { bytes: new Uint8Array(numbers.buffer), dtype: wide ? 'float64' : 'float32' };
    },
    close: () => {},
  };
}
