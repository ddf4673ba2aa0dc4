// PyTorch's files: state dicts and checkpoints of torch.save (zip archives, and the older stream of pickles), and
// TorchScript archives. Pickles are read as data by torch-pickle.ts; no code in them is run.
import { inputError } from '../errors.js';
import { toFloat32 } from '../formats/floats.js';
import { PickleDict, readPickle } from '../formats/pickle.js';
import { sizeOf } from '../formats/shape.js';
import { type ByteSource, partOf, shown } from '../formats/source.js';
import { isZip, openZip, type ZipArchive } from '../formats/zip.js';
import { foldNamedBatchNorms } from './fold-state-dict.js';
import type { Importer } from './importer.js';
import { NumpyArray, numpyTensor } from './numpy-pickle.js';
import { otherKind } from './other-kinds.js';
import { isShardIndex, openShards } from './shards.js';
import { convolutionsOf, type NamedTensor } from './state-dict.js';
import { type ExportedTensor, exportedTensors } from './torch-export.js';
import { OtherTensor, TorchObject, TorchTensor, torchHost } from './torch-pickle.js';

const EXTENSIONS = [
  '.pt',
  '.pth',
  '.pt2',
  '.ckpt',
  '.jit',
  '.ptl',
  '.th',
  '.pth.tar',
  '.pt.tar',
  '.ckpt.tar',
];
const SHARDED = [...EXTENSIONS, '.bin'];
/** 0x1950a86a20f9469cfc6c as a pickle has it: the beginning of the older format. */
const MAGIC = Buffer.from('8a0a6cfc9c46f9206aa85019', 'hex');

export const torch: Importer = {
  format: 'torch',
  title: 'PyTorch',
  extensions: EXTENSIONS,
  sharedExtensions: [
    ...['.bin', '.tar', '.zip', '.pkl', '.pickle', '.model', '.weights', '.params', '.dat', '.chkpt'],
    ...['.checkpoint', '.state_dict', '.torch', '.torchscript', '.pts', '.net'],
  ],
  recognises: (head, path) =>
    isLegacy(head) ||
    (isZip(head) &&
      /^[^/]*\/?((data|constants)\.pkl|version|\.format_version|byteorder|(data|code|constants)\/.*)$/.test(
        firstName(head),
      )) ||
    isShardIndex(path, SHARDED) ||
    EXTENSIONS.some((extension) => path.toLowerCase().endsWith(extension)),
  read: async (source, options) => {
    const { shards, missing } = openShards(source, SHARDED);
    const contents: Content[] = [];
    for (const shard of shards) contents.push(await readContent(shard));
    const hints = { order: 'oihw', certain: true } as const;
    const tensors = contents.flatMap((content) => content.tensors);
    const read = convolutionsOf(tensors, hints);
    // a module's tensors are in the order in which it was put together
    let model = options?.foldBatchNorm ? foldNamedBatchNorms(read, tensors, true) : read;
    const constants = contents.flatMap(({ constants = [] }) => constants);
    if (constants.length > 0) {
      const frozen = convolutionsOf(constants, { ...hints, anyName: true });
      const skipped = [...model.skipped, ...frozen.skipped];
      if (frozen.layers.length === 0) model = { ...model, skipped };
      else if (model.layers.length === 0) model = { ...frozen, skipped };
      else model = { ...model, layers: [...model.layers, ...frozen.layers], skipped };
    }
    model.skipped.push(...missing);
    return { ...model, producer: contents.some(({ script }) => script) ? 'TorchScript' : 'PyTorch' };
  },
};

/** What is in one file. */
interface Content {
  tensors: NamedTensor[];
  /** Whether it is a program of TorchScript. */
  script?: boolean;
  /** What torch.jit.freeze has made of weights: they have no names. */
  constants?: NamedTensor[];
}

/** Older files of torch.export keep what torch.save wrote of the weights as an entry. */
const EXPORTED_STATE = /^([^/]+\/)?(data\/weights\/[^/]+\.pt|serialized_state_dict\.(pt|json))$/;

/** @param inside whether the source is an entry of another archive */
async function readContent(source: ByteSource, inside = false): Promise<Content> {
  const head = source.read(0, Math.min(source.size, 512));
  if (isZip(head)) {
    const zip = await openZip(source);
    const exported = exportedTensors(zip, source.path);
    if (exported) return { tensors: exported.map((one) => describeExported(one, source.path, zip)) };
    const inner = inside ? undefined : zip.entries.find(({ name }) => EXPORTED_STATE.test(name));
    return inner ? readContent(zip.open(inner), true) : readArchive(source, zip);
  }
  if (isLegacy(head)) return readStream(source);
  if (new TextDecoder('latin1').decode(head.subarray(257, 262)) === 'ustar')
    throw inputError(
      `${source.path}: a tar archive, as PyTorch wrote it before version 0.1.10`,
      'load it with PyTorch and save its state_dict again',
    );
  throw inputError(`${source.path}: not a file that torch.save wrote`, 'check that this is the right file');
}

const isLegacy = (head: Uint8Array) => head[0] === 0x80 && Buffer.from(head.subarray(0, 32)).includes(MAGIC);

/** Of the first entry of a zip archive. */
function firstName(head: Uint8Array): string {
  const length = head[26] | (head[27] << 8);
  return new TextDecoder('latin1').decode(head.subarray(30, 30 + length));
}

/** The storages of a file by their keys. */
interface Storages {
  littleEndian: boolean;
  /** In bytes; undefined for a storage that is not there. */
  bytesOf(key: string): number | undefined;
  open(key: string): ByteSource;
}

const damaged = (path: string, why: string) =>
  inputError(`${path}: damaged (${why})`, 'fetch or save it again');

function readArchive(source: ByteSource, zip: ZipArchive): Content {
  const entries = new Map(zip.entries.map((entry) => [entry.name, entry]));
  const pickle = zip.entries.find(({ name }) => /^[^/]*\/?data\.pkl$/.test(name));
  if (
    !pickle &&
    zip.entries.some(({ name }) => /^[^/]*\/?archive_format$|^serialized_exported_program\.json$/.test(name))
  ) {
    const { what, remedy } = otherKind('.pt2')!;
    throw inputError(`${source.path}: ${what}, which is not read`, remedy);
  }
  if (!pickle)
    throw inputError(
      `${source.path}: a zip archive without data.pkl`,
      'expected a file of torch.save or torch.jit.save; TorchScript before PyTorch 1.4 is not read',
    );
  const prefix = pickle.name.slice(0, -'data.pkl'.length);
  const script = entries.has(`${prefix}constants.pkl`);
  const byteOrder = entries.get(`${prefix}byteorder`);
  const order = byteOrder && new TextDecoder().decode(zip.head(byteOrder, 16)).trim();
  if (order !== undefined && order !== 'little' && order !== 'big')
    throw damaged(source.path, `a byte order called ${shown(order)}`);
  const load = (folder: string): NamedTensor[] => {
    const entry = entries.get(`${prefix}${folder}.pkl`);
    if (!entry) return [];
    const { value } = readPickle(zip.open(entry), torchHost(source.path, script));
    const storage = (key: string) => entries.get(`${prefix}${folder}/${key}`);
    return namedTensors(value, source.path, {
      littleEndian: order !== 'big',
      bytesOf: (key) => storage(key)?.size,
      open: (key) => zip.open(storage(key)!),
    });
  };
  if (!script) return { tensors: load('data') };
  const constants = load('constants').map((tensor) => ({ ...tensor, name: `constants.${tensor.name}` }));
  return { tensors: load('data'), constants, script };
}

/** Five pickles (magic number, version, system, the object, keys of its storages), then each storage with its length. */
function readStream(source: ByteSource): Content {
  const host = torchHost(source.path, false);
  let at = 0;
  const next = () => {
    const { value, end } = readPickle(source, host, at);
    at = end;
    return value;
  };
  next();
  const version = next();
  if (version !== 1001) throw damaged(source.path, 'an unknown version of the older format');
  next();
  const value = next();
  const keys = next();
  if (!Array.isArray(keys)) throw damaged(source.path, 'no list of its storages');
  const places = new Map<string, ByteSource>();
  for (const key of keys) {
    const storage = host.storages.get(key);
    if (!storage) throw damaged(source.path, 'storages that no tensor has');
    const count = Number(new DataView(source.read(at, 8).buffer).getBigUint64(0, true));
    const size = count * (storage.type?.itemBytes ?? 1);
    places.set(key, partOf(source, at + 8, size));
    at += 8 + size;
  }
  return {
    tensors: namedTensors(value, source.path, {
      littleEndian: true, // on whatever machine it was written
      bytesOf: (key) => places.get(key)?.size,
      open: (key) => places.get(key)!,
    }),
  };
}

const DEEPEST = 64;
const LONGEST_KEY = 256;

/** All tensors in dictionaries, lists and TorchScript objects, each under the first name it is met with. */
function namedTensors(root: unknown, path: string, storages: Storages): NamedTensor[] {
  const found: NamedTensor[] = [];
  const seen = new Set<unknown>();
  const visit = (value: unknown, name: string, depth: number): void => {
    if (typeof value !== 'object' || seen.has(value)) return;
    seen.add(value);
    if (value instanceof TorchTensor) found.push(describe(value, name, path, storages));
    else if (value instanceof NumpyArray) found.push(numpyTensor(value, name, path));
    else if (value instanceof OtherTensor)
      found.push({ name, shape: value.shape, dtype: 'unknown', values: value.reason });
    if (depth === DEEPEST) throw damaged(path, `objects are nested deeper than ${DEEPEST}`);
    if (value instanceof TorchObject && value.className.startsWith('__torch__.'))
      visit(value.attributes, name, depth + 1);
    for (const [key, child] of childrenOf(value)) {
      const part = key.length > LONGEST_KEY ? `${key.slice(0, LONGEST_KEY)}…` : key;
      visit(child, name ? `${name}.${part}` : part, depth + 1);
    }
  };
  visit(root, '', 0);
  return found;
}

function childrenOf(value: unknown): [string, unknown][] {
  if (Array.isArray(value)) return value.map((child, i) => [String(i), child]);
  if (!(value instanceof PickleDict)) return [];
  const children = new Map<string, unknown>();
  for (let i = 0; i < value.items.length; i += 2) {
    const key = value.items[i];
    if (typeof key === 'string' || typeof key === 'number') children.set(String(key), value.items[i + 1]);
  }
  // an optimiser's state, whatever it is called
  return children.has('state') && children.has('param_groups') ? [] : [...children];
}

function describe(tensor: TorchTensor, name: string, path: string, storages: Storages): NamedTensor {
  const { storage, type, offset, shape, strides } = tensor;
  const size = storages.bytesOf(storage.key);
  if (size === undefined) throw damaged(path, `no storage ${shown(storage.key)}`);
  const width = storage.type?.itemBytes ?? 1;
  if ((storage.offset + storage.count) * width > size)
    throw damaged(
      path,
      `storage ${shown(storage.key)} has ${size} bytes, not ${storage.count} times ${width}`,
    );
  const count = sizeOf(shape);
  const { float } = type;
  const bytesOf = () => {
    const at = storage.offset * width + offset * type.itemBytes;
    return storages.open(storage.key).read(at, spanOf(shape, strides) * type.itemBytes);
  };
  const repeats = count * type.itemBytes > storage.count * width;
  return {
    name,
    shape,
    dtype: type.name,
    identity: [path, storage.key, storage.offset + offset, shape, strides].join(':'),
    values: !float
      ? `its weights are ${type.name}, not float of 16 bits or more`
      : repeats
        ? 'a view that repeats its values'
        : () => inOrder(toFloat32(bytesOf(), float, storages.littleEndian), shape, strides),
    ...(MASK_TYPES.includes(type.name) &&
      !repeats && { integers: () => inOrder(Float32Array.from(bytesOf()), shape, strides) }),
  };
}

/** Of non-negative bytes: what masks are kept as where they are not float. */
const MASK_TYPES = ['bool', 'uint8'];

/** A weight of torch.export: its entry is the whole storage. */
const describeExported = (
  { name, tensor, entry }: ExportedTensor,
  path: string,
  zip: ZipArchive,
): NamedTensor =>
  describe(tensor, name, path, {
    littleEndian: true,
    bytesOf: () => entry.size,
    open: () => zip.open(entry),
  });

/** Values from the first to the last one of a view. */
const spanOf = (shape: readonly number[], strides: readonly number[]) =>
  shape.reduce((span, n, axis) => span + (n - 1) * strides[axis], 1);

/** Row-major values of a strided view that begins with the first value. */
function inOrder(data: Float32Array, shape: readonly number[], strides: readonly number[]): Float32Array {
  let step = 1;
  let contiguous = true;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    contiguous &&= shape[axis] === 1 || strides[axis] === step;
    step *= shape[axis];
  }
  if (contiguous) return data;
  const result = new Float32Array(step);
  const index = new Array<number>(shape.length).fill(0);
  let from = 0;
  for (let to = 0; to < step; to++) {
    result[to] = data[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return result;
}
