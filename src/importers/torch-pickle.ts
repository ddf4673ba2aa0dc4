// What a pickle of PyTorch may name: storages, the functions that make tensors of them, and plain data of Python.
// Each is a description here; nothing is run. A class that is not in these tables is refused by name.
import { inputError } from '../errors.js';
import type { FloatType } from '../formats/floats.js';
import { PickleDict, type PickleGlobal, type PickleHost } from '../formats/pickle.js';
import { numpyCalls } from './numpy-pickle.js';

/** How values are stored: a float type that can be read, or the name of another. */
export interface TorchType {
  name: string;
  float?: FloatType;
  itemBytes: number;
}

/** A piece of memory that tensors are views of. */
export class TorchStorage {
  /**
   * @param key of the storage in the file
   * @param type undefined for bytes of no type, whose type the tensor says
   * @param count of its values (bytes where there is no type), as the pickle says
   * @param offset where a part of a storage begins in the whole one, in values
   */
  constructor(
    readonly key: string,
    readonly type: TorchType | undefined,
    readonly count: number,
    readonly offset: number,
  ) {}
}

/** A strided view of a storage: element (i, j, …) is value `offset + i · strides[0] + j · strides[1] + …`. */
export class TorchTensor {
  constructor(
    readonly storage: TorchStorage,
    readonly type: TorchType,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

/** A tensor whose values are not had, and why. */
export class OtherTensor {
  constructor(
    readonly reason: string,
    readonly shape: readonly number[],
  ) {}
}

/** An object of a class that does not matter, or of a TorchScript class: its attributes, if it was given any. */
export class TorchObject {
  attributes: unknown = null;

  constructor(readonly className: string) {}

  setState(state: unknown): void {
    this.attributes = state;
  }
}

const TYPES: Readonly<Record<string, TorchType>> = {
  float: { name: 'float32', float: 'float32', itemBytes: 4 },
  half: { name: 'float16', float: 'float16', itemBytes: 2 },
  bfloat16: { name: 'bfloat16', float: 'bfloat16', itemBytes: 2 },
  double: { name: 'float64', float: 'float64', itemBytes: 8 },
  long: { name: 'int64', itemBytes: 8 },
  int: { name: 'int32', itemBytes: 4 },
  short: { name: 'int16', itemBytes: 2 },
  char: { name: 'int8', itemBytes: 1 },
  byte: { name: 'uint8', itemBytes: 1 },
  bool: { name: 'bool', itemBytes: 1 },
  complexfloat: { name: 'complex64', itemBytes: 8 },
  complexdouble: { name: 'complex128', itemBytes: 16 },
  quint8: { name: 'quint8', itemBytes: 1 },
  qint8: { name: 'qint8', itemBytes: 1 },
  qint32: { name: 'qint32', itemBytes: 4 },
};
/** Names of dtypes: `torch.float32`. */
export const DTYPES: ReadonlyMap<string, TorchType> = new Map<string, TorchType>([
  ...Object.values(TYPES).map((type): [string, TorchType] => [type.name, type]),
  ...Object.entries(TYPES),
  ...['float8_e4m3fn', 'float8_e5m2', 'float8_e4m3fnuz', 'float8_e5m2fnuz'].map(
    (name): [string, TorchType] => [name, { name, itemBytes: 1 }],
  ),
  ...[16, 32, 64].map((bits): [string, TorchType] => [
    `uint${bits}`,
    { name: `uint${bits}`, itemBytes: bits / 8 },
  ]),
]);

/** Plain data of libraries that checkpoints keep beside weights: read as an object without a meaning. */
const INERT = new Set([
  ...['argparse.Namespace', 'types.SimpleNamespace', 'enum.Enum', 'fractions.Fraction', 'decimal.Decimal'],
  ...['datetime.datetime', 'datetime.date', 'datetime.timedelta', 'datetime.timezone', 'uuid.UUID'],
  ...['pathlib.Path', 'pathlib.PosixPath', 'pathlib.WindowsPath', 'pathlib.PurePosixPath'],
  ...['pathlib.PureWindowsPath', 'copyreg._reconstructor', 'copy_reg._reconstructor'],
  ...['torch.device', 'torch.torch_version.TorchVersion', 'torch.Generator', 'torch.memory_format'],
  ...[
    'torch.per_tensor_affine',
    'torch.per_channel_affine',
    'torch.per_tensor_symmetric',
    'torch.sparse_coo',
  ],
  ...['torch.serialization._get_layout', 'torch.strided', 'torch.contiguous_format', 'torch.Tensor'],
  ...['torch.nn.parameter.Parameter', 'torch.nn.parameter.Buffer', 'torch._tensor.Tensor'],
  ...['numpy.ndarray', 'numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar'],
  ...['builtins', '__builtin__'].flatMap((module) =>
    ['int', 'float', 'bool', 'str', 'bytes', 'bytearray', 'complex', 'slice', 'range', 'object', 'type'].map(
      (name) => `${module}.${name}`,
    ),
  ),
]);
const NUMPY_TYPE = /^numpy(\.dtypes)?\.(bool_?|u?int(8|16|32|64)|float(16|32|64)|[A-Z][A-Za-z0-9]*DType)$/;
/** Attributes of a TorchScript object are lists with their type. */
const JIT_LISTS = /^torch\.jit\._pickle\.(build_(int|tensor|double|bool)list|restore_type_tag)$/;

const MOST_AXES = 64;
/** Pairs that dictionaries are made of at once; more would be copies of copies. */
const MOST_PAIRS = 2 ** 20;

/** With the storages that the pickle has named so far, whole ones, by their keys. */
export type TorchHost = PickleHost & { storages: ReadonlyMap<string, TorchStorage> };

/**
 * @param path names the file in errors
 * @param script whether classes of TorchScript (`__torch__…`) are objects; they are refused otherwise
 */
export function torchHost(path: string, script: boolean): TorchHost {
  const bad = (why: string) => inputError(`${path}: damaged (${why})`, 'fetch or save it again');
  let pairsLeft = MOST_PAIRS;

  const count = (value: unknown, what: string): number => {
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw bad(`${what} that is no count`);
    return value as number;
  };
  const counts = (value: unknown, what: string): number[] => {
    if (!Array.isArray(value) || value.length > MOST_AXES) throw bad(`${what} that is no list of counts`);
    return value.map((item) => count(item, what));
  };
  const tensor = (storage: unknown, type: unknown, offset: unknown, size: unknown, stride: unknown) => {
    if (!(storage instanceof TorchStorage)) throw bad('a tensor of what is no storage');
    const shape = counts(size, 'a size');
    const strides = counts(stride, 'a stride');
    if (shape.length !== strides.length) throw bad(`strides [${strides}] of a tensor of [${shape}]`);
    const given = type instanceof Dtype ? type.type : storage.type;
    if (!given) throw bad('a tensor without a type');
    const values = storage.type ? storage.count : Math.floor(storage.count / given.itemBytes);
    const first = count(offset, 'an offset');
    const last = shape.reduce((at, n, axis) => at + (n - 1) * strides[axis], first);
    if (!shape.includes(0) && last >= values)
      throw bad(`a tensor of [${shape}] ends at value ${last} of a storage of ${values}`);
    return new TorchTensor(storage, given, first, shape, strides);
  };
  const dictOf = (pairs: unknown): PickleDict => {
    const dict = new PickleDict();
    if (pairs === undefined) return dict;
    if (pairs instanceof PickleDict) return pairs;
    if (!Array.isArray(pairs)) throw bad('a dictionary of what are no pairs');
    pairsLeft -= pairs.length;
    if (pairsLeft < 0) throw bad('too many dictionaries');
    for (const pair of pairs) {
      if (!Array.isArray(pair) || pair.length !== 2) throw bad('a dictionary of what are no pairs');
      dict.items.push(pair[0], pair[1]);
    }
    return dict;
  };
  const listOf = ([items]: readonly unknown[]): unknown => (Array.isArray(items) ? items : []);
  const shapeOf = (value: unknown) =>
    Array.isArray(value) && value.length <= MOST_AXES ? value.filter((n) => typeof n === 'number') : [];

  const calls: Record<string, (args: readonly unknown[]) => unknown> = {
    ...numpyCalls,
    'collections.OrderedDict': ([pairs]) => dictOf(pairs),
    'collections.Counter': ([pairs]) => dictOf(pairs),
    'collections.defaultdict': () => new PickleDict(),
    'collections.deque': listOf,
    'torch.Size': ([size]) => size,
    'torch._utils._rebuild_tensor': ([storage, offset, size, stride]) =>
      tensor(storage, undefined, offset, size, stride),
    'torch._utils._rebuild_tensor_v2': ([storage, offset, size, stride]) =>
      tensor(storage, undefined, offset, size, stride),
    'torch._utils._rebuild_tensor_v3': ([storage, offset, size, stride, , , type]) =>
      tensor(storage, type, offset, size, stride),
    'torch._utils._rebuild_parameter': ([data]) => data,
    'torch._utils._rebuild_parameter_with_state': ([data]) => data,
    // of a subclass: the function that makes the tensor, the class, its arguments, the object's state
    'torch._tensor._rebuild_from_type_v2': ([made, , args]) =>
      isGlobal(made) && Array.isArray(args) && made.name !== 'torch._tensor._rebuild_from_type_v2'
        ? made.call(args)
        : new TorchObject('torch.Tensor'),
    'torch._utils._rebuild_qtensor': ([, , size]) =>
      new OtherTensor('its weights are quantised, which is not read', shapeOf(size)),
    'torch._utils._rebuild_sparse_tensor': () =>
      new OtherTensor('its weights are sparse, which is not read', []),
    'torch._utils._rebuild_meta_tensor_no_storage': ([, size]) =>
      new OtherTensor('its weights were not saved (a tensor of the device "meta")', shapeOf(size)),
  };
  for (const module of ['builtins', '__builtin__']) {
    for (const name of ['set', 'frozenset', 'list', 'tuple']) calls[`${module}.${name}`] = listOf;
    calls[`${module}.dict`] = ([pairs]) => dictOf(pairs);
  }

  const known = new Map<string, PickleGlobal>();
  const storages = new Map<string, TorchStorage>();
  return {
    storages,
    hint: 'save the weights alone: torch.save(model.state_dict(), path), or as safetensors',
    find: (module, name) => {
      const full = `${module}.${name}`;
      let found = known.get(full);
      if (!found) {
        const made = globalOf(full, calls, script);
        if (!made) return undefined;
        found = made;
        known.set(full, found);
      }
      return found;
    },
    persistent: (id) => {
      // ('storage', class, key, device, count), in the older format with a part of it: (key, offset, count)
      if (!Array.isArray(id) || id[0] !== 'storage')
        throw bad('an object outside the pickle that is no storage');
      const [, storageClass, key, , size, part] = id;
      if (!(storageClass instanceof StorageClass) || typeof key !== 'string')
        throw bad('a storage without type or key');
      const { type } = storageClass;
      const whole = storages.get(key) ?? new TorchStorage(key, type, count(size, 'a size'), 0);
      if (whole.type !== type || whole.count !== size) throw bad('a storage that is described in two ways');
      storages.set(key, whole);
      if (!Array.isArray(part)) return whole;
      const [offset, length] = [count(part[1], 'an offset'), count(part[2], 'a size')];
      if (offset + length > whole.count) throw bad('a part of a storage that is not inside it');
      return new TorchStorage(key, type, length, offset);
    },
  };
}

function globalOf(
  full: string,
  calls: Readonly<Record<string, (args: readonly unknown[]) => unknown>>,
  script: boolean,
): PickleGlobal | undefined {
  if (Object.hasOwn(calls, full)) return { name: full, call: calls[full] };
  const storage = /^torch\.(?:cuda\.|storage\.)?_?(\w+)Storage$/.exec(full)?.[1].toLowerCase();
  if (storage === 'untyped') return new StorageClass(full);
  if (storage !== undefined && Object.hasOwn(TYPES, storage)) return new StorageClass(full, TYPES[storage]);
  const type = DTYPES.get(/^torch\.(\w+)$/.exec(full)?.[1] ?? '');
  if (type) return new Dtype(full, type);
  if (INERT.has(full) || NUMPY_TYPE.test(full) || (script && full.startsWith('__torch__.')))
    return { name: full, call: () => new TorchObject(full) };
  if (JIT_LISTS.test(full)) return { name: full, call: ([items]) => items };
  return undefined;
}

/** `torch.FloatStorage`, `torch.cuda.HalfStorage`, `torch.storage.UntypedStorage`, … */
class StorageClass implements PickleGlobal {
  constructor(
    readonly name: string,
    readonly type?: TorchType,
  ) {}

  call = () => new TorchObject(this.name);
}

/** `torch.float32`, … */
class Dtype implements PickleGlobal {
  constructor(
    readonly name: string,
    readonly type: TorchType,
  ) {}

  call = () => new TorchObject(this.name);
}

const isGlobal = (value: unknown): value is PickleGlobal =>
  typeof value === 'object' && value !== null && 'call' in value && 'name' in value;
