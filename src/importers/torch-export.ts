// Files of torch.export (.pt2): weights as raw bytes with a description each. The program itself is not read.
import { inputError } from '../errors.js';
import { partOf, readJsonSource, shown } from '../formats/source.js';
import type { ZipArchive, ZipEntry } from '../formats/zip.js';
import { DTYPES, TorchStorage, TorchTensor, type TorchType } from './torch-pickle.js';

const CONFIG = /^(.*\/)?data\/weights\/[^/]*weights_config\.json$/;
const MOST_CONFIG_BYTES = 2 ** 26;
const MOST_AXES = 64;
/** Types by their number in the description. */
const TYPES: Readonly<Record<number, string>> = {
  ...{ 1: 'uint8', 2: 'int8', 3: 'int16', 4: 'int32', 5: 'int64', 6: 'float16', 7: 'float32', 8: 'float64' },
  ...{ 12: 'bool', 13: 'bfloat16' },
};

export interface ExportedTensor {
  name: string;
  tensor: TorchTensor;
  /** Where its bytes are. */
  entry: ZipEntry;
}

/**
 * Weights of an exported program; undefined where the archive keeps none as raw bytes.
 *
 * @throws DwpError INPUT when a description is damaged or does not fit the bytes
 */
export function exportedTensors(zip: ZipArchive, path: string): ExportedTensor[] | undefined {
  const config = zip.entries.find(({ name }) => CONFIG.test(name));
  if (!config) return undefined;
  const folder = config.name.slice(0, config.name.lastIndexOf('/') + 1);
  const entries = new Map(zip.entries.map((entry) => [entry.name, entry]));
  const opened = zip.open(config);
  const root = field(readJsonSource(partOf(opened, 0, opened.size), MOST_CONFIG_BYTES), 'config');
  if (!isObject(root)) throw bad(path, 'no list of its weights');
  return Object.entries(root).flatMap(([name, value]) => {
    // a tensor of a subclass is a pickle
    if (field(value, 'use_pickle') === true) return [];
    const file = field(value, 'path_name');
    const entry = typeof file === 'string' ? entries.get(folder + file) : undefined;
    if (!entry) throw bad(path, `no bytes of ${shown(name)}`);
    return [{ name, entry, tensor: tensorOf(field(value, 'tensor_meta'), name, entry, path) }];
  });
}

function tensorOf(meta: unknown, name: string, entry: ZipEntry, path: string): TorchTensor {
  const counts = (key: string): number[] => {
    const list = field(meta, key);
    if (!Array.isArray(list) || list.length > MOST_AXES) throw bad(path, `${shown(name)} has no ${key}`);
    return list.map((item) => count(field(item, 'as_int'), key));
  };
  const count = (value: unknown, key: string): number => {
    if (!Number.isSafeInteger(value) || (value as number) < 0)
      throw bad(path, `${shown(name)} has ${key} that are no counts`);
    return value as number;
  };
  const [shape, strides] = [counts('sizes'), counts('strides')];
  const offset = count(field(field(meta, 'storage_offset'), 'as_int'), 'an offset');
  const code = field(meta, 'dtype');
  const type: TorchType = (typeof code === 'number' && DTYPES.get(TYPES[code])) || {
    name: `type ${typeof code === 'number' ? code : '?'} of torch.export`,
    itemBytes: 1,
  };
  const last = shape.reduce((at, n, axis) => at + (n - 1) * strides[axis], offset);
  const values = Math.floor(entry.size / type.itemBytes);
  if (shape.length !== strides.length || (type.float && !shape.includes(0) && last >= values))
    throw bad(path, `${shown(name)} [${shape}] does not fit its ${entry.size} bytes`);
  return new TorchTensor(new TorchStorage(entry.name, type, values, 0), type, offset, shape, strides);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const field = (value: unknown, key: string): unknown =>
  isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
const bad = (path: string, why: string) =>
  inputError(`${path}: damaged (${why})`, 'export or fetch it again');
