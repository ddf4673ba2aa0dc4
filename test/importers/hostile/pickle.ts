// Hostile pickles, opcode by opcode, alone and as PyTorch wraps them: in a zip archive, or in the older stream.
import fc from 'fast-check';
import { EVIL_INTEGERS, type HostileModel } from './model.js';
import { evilName, mostly } from './text.js';
import { joined, number, zip } from './zip.js';

const utf8 = (text: string) => new TextEncoder().encode(text);
const bytes = (...values: number[]) => Uint8Array.of(...values);

/** Opcodes by what they are called in Python's pickletools. */
export const op = {
  proto: (version = 2) => bytes(0x80, version),
  stop: bytes(0x2e),
  mark: bytes(0x28),
  global: (module: string, name: string) => utf8(`c${module}\n${name}\n`),
  stackGlobal: bytes(0x93),
  unicode: (text: string) => joined(bytes(0x58), number(utf8(text).length, 4), utf8(text)),
  binint: (value: number) => joined(bytes(0x4a), number(value < 0 ? value + 2 ** 32 : value, 4)),
  long: (value: bigint) => {
    const data = new DataView(new ArrayBuffer(8));
    data.setBigInt64(0, BigInt.asIntN(64, value), true);
    return joined(bytes(0x8a, 8), new Uint8Array(data.buffer));
  },
  tuple: bytes(0x74),
  emptyTuple: bytes(0x29),
  tuple1: bytes(0x85),
  tuple2: bytes(0x86),
  tuple3: bytes(0x87),
  emptyDict: bytes(0x7d),
  emptyList: bytes(0x5d),
  setItem: bytes(0x73),
  setItems: bytes(0x75),
  append: bytes(0x61),
  reduce: bytes(0x52),
  build: bytes(0x62),
  dup: bytes(0x32),
  binput: (slot: number) => bytes(0x71, slot & 255),
  binget: (slot: number) => bytes(0x68, slot & 255),
  longBinput: (slot: number) => joined(bytes(0x72), number(slot, 4)),
  longBinget: (slot: number) => joined(bytes(0x6a), number(slot, 4)),
  memoize: bytes(0x94),
  binpersid: bytes(0x51),
  newTrue: bytes(0x88),
  newFalse: bytes(0x89),
  none: bytes(0x4e),
} as const;

const ONE_BYTE = Object.values(op).filter((piece) => piece instanceof Uint8Array);
const evilLong = fc.constantFrom(...EVIL_INTEGERS);
const GLOBALS: readonly [string, string][] = [
  ['torch._utils', '_rebuild_tensor_v2'],
  ['torch._utils', '_rebuild_parameter'],
  ['torch', 'FloatStorage'],
  ['torch', 'HalfStorage'],
  ['collections', 'OrderedDict'],
  ['os', 'system'],
  ['builtins', 'eval'],
  ['torch._utils', '__proto__'],
  ['torch', 'Size'],
];

const anyOp: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...ONE_BYTE) },
  { weight: 3, arbitrary: fc.constantFrom(...GLOBALS).map(([module, name]) => op.global(module, name)) },
  { weight: 2, arbitrary: mostly(fc.constantFrom('storage', 'cpu', '0', 'w'), evilName).map(op.unicode) },
  { weight: 3, arbitrary: fc.integer({ min: -2, max: 9 }).map(op.binint) },
  { weight: 1, arbitrary: evilLong.map(op.long) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 3 }).map(op.binput) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 3 }).map(op.binget) },
  { weight: 1, arbitrary: fc.constantFrom(0, 2 ** 31, 2 ** 32 - 1).map(op.longBinput) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 3 }) },
);

const integer = mostly(fc.bigInt({ min: 0n, max: 4n }), evilLong).map(op.long);
const integers = (least: number, most: number) =>
  fc
    .array(integer, { minLength: least, maxLength: most })
    .map((numbers) => joined(op.mark, ...numbers, op.tuple));

const TYPES = [
  'FloatStorage',
  'HalfStorage',
  'DoubleStorage',
  'BFloat16Storage',
  'LongStorage',
  'CharStorage',
];

/** One tensor as `torch.save` writes it, with numbers that need not fit. */
const tensor: fc.Arbitrary<Uint8Array> = fc
  .record({
    type: mostly(
      fc.constantFrom(...TYPES),
      evilName.filter((name) => !name.includes('\n')),
      20,
    ),
    key: mostly(fc.constantFrom('0', '1'), evilName, 20),
    count: mostly(
      fc.integer({ min: 0, max: 100 }).map((n) => op.long(BigInt(n))),
      evilLong.map(op.long),
    ),
    offset: mostly(fc.constant(op.binint(0)), evilLong.map(op.long), 6),
    shape: mostly(integers(4, 4), integers(0, 6)),
    strides: mostly(integers(4, 4), integers(0, 6)),
    view: mostly(fc.constant(op.none), fc.constantFrom(op.emptyTuple, op.newTrue)),
    legacy: fc.boolean(),
  })
  .map(({ type, key, count, offset, shape, strides, view, legacy }) =>
    joined(
      op.global('torch._utils', '_rebuild_tensor_v2'),
      op.mark,
      joined(
        op.mark,
        op.unicode('storage'),
        op.global('torch', type),
        op.unicode(key),
        op.unicode('cpu'),
        count,
      ),
      ...(legacy ? [view] : []),
      op.tuple,
      op.binpersid,
      offset,
      shape,
      strides,
      op.newFalse,
      op.global('collections', 'OrderedDict'),
      op.emptyTuple,
      op.reduce,
      op.tuple,
      op.reduce,
    ),
  );

/** Bytes of one pickle: a state dict, with noise or without. */
export const pickle: fc.Arbitrary<Uint8Array<ArrayBuffer>> = fc
  .record({
    entries: fc.array(
      fc.tuple(
        mostly(fc.constantFrom('conv.weight', 'conv.bias', 'bn.weight', 'x'), evilName),
        mostly(
          tensor,
          fc.array(anyOp, { maxLength: 8 }).map((ops) => joined(...ops)),
          6,
        ),
      ),
      { maxLength: 4 },
    ),
    noise: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.array(anyOp, { maxLength: 30 })),
    protocol: mostly(fc.constantFrom(2, 4), fc.integer({ min: 0, max: 255 })),
  })
  .map(({ entries, noise, protocol }) =>
    joined(
      op.proto(protocol),
      ...noise,
      op.emptyDict,
      op.mark,
      ...entries.flatMap(([name, value]) => [op.unicode(name), value]),
      op.setItems,
      op.stop,
    ),
  );

const storage = fc.uint8Array({ minLength: 0, maxLength: 400 });

/** As `torch.save` has written since 1.6. */
const zipped = fc
  .record({
    data: pickle,
    storages: fc.tuple(storage, storage),
    folder: mostly(fc.constant('archive'), evilName),
    order: mostly(fc.constant('little'), fc.constantFrom('big', 'odd')),
    deflate: mostly(fc.constant(false), fc.constant(true)),
  })
  .map(({ data, storages, folder, order, deflate }) =>
    zip([
      { name: `${folder}/data.pkl`, bytes: data, deflate },
      { name: `${folder}/byteorder`, bytes: utf8(order) },
      ...storages.map((content, i) => ({ name: `${folder}/data/${i}`, bytes: content, deflate })),
      { name: `${folder}/version`, bytes: utf8('3\n') },
    ]),
  );

const MAGIC = joined(
  op.proto(),
  bytes(0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19),
  op.stop,
);
const VERSION = joined(op.proto(), op.binint(1001), op.stop);

/** As `torch.save` wrote before 1.6. */
const legacy = fc
  .record({
    data: pickle,
    storages: fc.array(fc.record({ content: storage, count: mostly(fc.constant(undefined), evilLong) }), {
      maxLength: 2,
    }),
    keys: fc.array(mostly(fc.constantFrom('0', '1'), evilName), { maxLength: 3 }),
    system: fc.oneof({ weight: 3, arbitrary: fc.constant(joined(op.emptyDict, op.stop)) }, pickle),
  })
  .map(({ data, storages, keys, system }) =>
    joined(
      MAGIC,
      VERSION,
      joined(op.proto(), system),
      data,
      joined(op.proto(), op.emptyList, op.mark, ...keys.map(op.unicode), bytes(0x65), op.stop),
      ...storages.map(({ content, count }) =>
        joined(op.long(count ?? BigInt(content.length >> 2)).subarray(2), content),
      ),
    ),
  );

export const pytorch: fc.Arbitrary<HostileModel> = fc
  .oneof({ weight: 3, arbitrary: zipped }, { weight: 2, arbitrary: legacy }, { weight: 1, arbitrary: pickle })
  .map((content) => ({ name: 'm.pt', bytes: content }));
