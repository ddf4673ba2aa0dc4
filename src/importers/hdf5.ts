// HDF5 files by the real library, compiled to WebAssembly: its file system is memory, so a link inside a file can
// reach nothing on disk. Loaded on first use only.
import type { Dataset, Group } from 'h5wasm/node';
import { inputError, messageOf } from '../errors.js';
import { halfToFloat } from '../formats/npy.js';

export interface Hdf5 {
  /** Every dataset below a group, depth first in the file's order; links to other files lead nowhere. */
  datasets(group: string): Hdf5Dataset[];
  has(path: string): boolean;
  children(group: string): string[];
  /** A text attribute as a list of its strings; undefined when it is absent or not text. */
  strings(path: string, attribute: string): string[] | undefined;
  /** The dataset at a path, if there is one. */
  dataset(path: string): Hdf5Dataset | undefined;
}

export interface Hdf5Dataset {
  /** From the root, with a leading slash. */
  path: string;
  shape: number[];
  /** `float16`, `float32`, `float64`, or undefined when the values are not float. */
  dtype: string | undefined;
  /** @throws DwpError INPUT when the data cannot be had, or claims more than the file can hold */
  read(): Float32Array;
}

const MOST_OBJECTS = 200_000;
const DEEPEST = 32;
/** Deflate makes at most 1032 bytes of one; what claims more is a fill value or a lie. */
const MOST_EXPANSION = 1032;
const FLOAT_CLASS = 1; // H5T_FLOAT

let opened = 0;

/**
 * Opens a file for the time of `use`.
 *
 * @param path names the file in errors
 * @throws DwpError INPUT when the library cannot read the file
 */
export async function withHdf5<T>(bytes: Uint8Array, path: string, use: (file: Hdf5) => T): Promise<T> {
  const h5 = await import('h5wasm/node');
  const library = await h5.ready;
  library.activate_throwing_error_handler(); // else failures are printed and come back as numbers
  const name = `/${process.pid}-${opened++}.h5`;
  const bad = (error: unknown) =>
    inputError(
      `${path}: not a complete HDF5 file (${reasonOf(error)})`,
      'the file may be truncated; fetch or export it again',
      error,
    );
  library.FS.writeFile(name, bytes);
  let file: InstanceType<typeof h5.File> | undefined;
  try {
    file = new h5.File(name, 'r');
    return use(view(file));
  } catch (error) {
    throw error instanceof Error && error.name === 'DwpError' ? error : bad(error);
  } finally {
    try {
      file?.close();
    } catch {
      // a damaged file may not even close; it lives in memory only
    }
    library.FS.unlink(name);
  }

  function view(root: InstanceType<typeof h5.File>): Hdf5 {
    let objects = 0;
    const count = () => {
      if (++objects > MOST_OBJECTS)
        throw inputError(`${path}: more than ${MOST_OBJECTS} objects`, 'this is no file of weights');
    };
    // links inside the file are followed; those to other files come back as neither group nor dataset
    const find = (at: string): Group | Dataset | undefined => {
      count();
      const entity = at === '/' ? root : root.get(`/${at.split('/').filter(Boolean).join('/')}`);
      return entity instanceof h5.Group || entity instanceof h5.Dataset ? entity : undefined;
    };
    const toDataset = (dataset: Dataset): Hdf5Dataset => {
      const { type, size, shape } = dataset.metadata;
      return {
        path: dataset.path,
        shape: shape ?? [],
        dtype: type === FLOAT_CLASS && [2, 4, 8].includes(size) ? `float${size * 8}` : undefined,
        read: () => readFloats(dataset),
      };
    };
    const readFloats = (dataset: Dataset): Float32Array => {
      const { size, total_size: total, virtual_sources: sources } = dataset.metadata;
      if (sources?.length || !(total * size <= bytes.length * MOST_EXPANSION))
        throw inputError(
          `${path}: ${dataset.path} claims ${total} values, more than the file can hold`,
          'the file is damaged; fetch it again',
        );
      if (size !== 2) return Float32Array.from(dataset.value as Float32Array | Float64Array);
      // the library's JavaScript has no half floats; its C reads them like any other number
      const pointer = library._malloc(total * 2);
      if (pointer === 0) throw inputError(`${path}: ${dataset.path} does not fit into memory`);
      try {
        library.get_dataset_data(dataset.file_id, dataset.path, null, null, null, BigInt(pointer));
        const halves = new Uint16Array(library.HEAPU8.slice(pointer, pointer + total * 2).buffer);
        return Float32Array.from(halves, halfToFloat);
      } finally {
        library._free(pointer);
      }
    };
    const walk = (group: Group, depth: number, out: Hdf5Dataset[]): Hdf5Dataset[] => {
      if (depth > DEEPEST) throw inputError(`${path}: groups nested deeper than ${DEEPEST}`);
      for (const key of group.keys()) {
        const entity = find(`${group.path}/${key}`);
        if (entity instanceof h5.Dataset) out.push(toDataset(entity));
        else if (entity) walk(entity, depth + 1, out);
      }
      return out;
    };
    return {
      datasets: (at) => {
        const group = find(at);
        return group instanceof h5.Group ? walk(group, 0, []) : [];
      },
      has: (at) => find(at) !== undefined,
      children: (at) => {
        const group = find(at);
        return group instanceof h5.Group ? group.keys() : [];
      },
      strings: (at, attribute) => {
        const entity = find(at);
        if (!entity || !library.get_attribute_names(entity.file_id, entity.path).includes(attribute))
          return undefined;
        const value = new h5.Attribute(entity.file_id, entity.path, attribute).value;
        if (typeof value === 'string') return [value];
        if (!Array.isArray(value)) return undefined;
        return value.every((item) => typeof item === 'string') ? (value as string[]) : [];
      },
      dataset: (at) => {
        const entity = find(at);
        return entity instanceof h5.Dataset ? toDataset(entity) : undefined;
      },
    };
  }
}

/** The library reports its whole call stack; the innermost line says what is wrong. */
function reasonOf(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split('\n');
  const innermost = lines.filter((line) => line.trim() !== '').at(-1) ?? 'unreadable';
  return messageOf(innermost)
    .replace(/^(major|minor): /, '')
    .slice(0, 200);
}
