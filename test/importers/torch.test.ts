// Hostile and damaged PyTorch files, put together by hand. What torch.save writes is read in state-dicts.test.ts.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { DwpError } from '../../src/errors.js';
import { torch } from '../../src/importers/torch.js';
import {
  bytesOf,
  call,
  dict,
  global,
  int,
  PROTOCOL_2,
  storage,
  tensor,
  text,
  tuple,
  u32,
} from '../formats/write-pickle.js';
import { type ZipContent, zipFile } from '../formats/write-zip.js';
import { loadBytes } from './loaded.js';

type Bytes = Uint8Array<ArrayBuffer>;
const FLOATS = new Uint8Array(Float32Array.from({ length: 36 }, (_, i) => i).buffer);

const archive = (pickle: Bytes, others: ZipContent[] = []) =>
  zipFile([
    { name: 'model/data.pkl', content: bytesOf(PROTOCOL_2, pickle, '.') },
    { name: 'model/data/0', content: FLOATS },
    ...others,
  ]);
const read = (bytes: Bytes) => loadBytes(torch, bytes, 'model.pt');
const failure = async (bytes: Bytes) => {
  const error: unknown = await read(bytes).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(DwpError);
  return error as DwpError;
};

const sizes = (...n: number[]) => tuple(...n.map(int));
const SIZE = sizes(2, 2, 3, 3);
const STRIDES = sizes(18, 9, 3, 1);
const whole = storage('0', int(36));
/** A state dict of one weight. */
const state = (weight: Bytes, name = 'conv.weight') => dict([text(name), weight]);

test('a state dict by hand', async () => {
  const { layers, skipped } = await read(archive(state(tensor(whole, int(0), SIZE, STRIDES))));
  expect(skipped).toEqual([]);
  expect(layers).toEqual([
    {
      name: 'conv',
      kind: 'conv',
      shape: [2, 2, 3, 3],
      dtype: 'float32',
      data: Float32Array.from({ length: 36 }, (_, i) => i),
    },
  ]);
});

test('storages without a type, whose tensors have one', async () => {
  const bytes = storage('0', int(144), global('torch.storage', 'UntypedStorage'));
  const weight = call(
    ...[global('torch._utils', '_rebuild_tensor_v3'), bytes, int(2), sizes(1, 2, 3, 3), sizes(18, 9, 3, 1)],
    ...[[0x89], 'N', global('torch', 'float32')],
  );
  const { layers } = await read(archive(state(weight)));
  expect([...layers[0].data]).toEqual(Array.from({ length: 18 }, (_, i) => i + 2));
});

test("an optimiser's state is no layer, whatever it is called", async () => {
  const moments = dict(['K\x00', dict([text('weight'), tensor(whole, int(0), SIZE, STRIDES)])]);
  const optimiser = dict([text('state'), moments], [text('param_groups'), ']']);
  const { layers, skipped } = await read(archive(dict([text('solver'), optimiser])));
  expect({ layers, skipped }).toEqual({ layers: [], skipped: [] });
});

describe('code is never run', () => {
  test.each([
    ['posix.system', call(global('posix', 'system'), text('echo'))],
    ['os.system', bytesOf(text('os'), text('system'), [0x93], text('echo'), [0x85], 'R')],
    ['builtins.eval', call(global('builtins', 'eval'), text('1'))],
    ['builtins.getattr', state(call(global('builtins', 'getattr'), 'N', text('x')))],
    ['__builtin__.exec', call(global('__builtin__', 'exec'), text('1'))],
    ['torch.hub.load', call(global('torch.hub', 'load'), text('x'))],
    ['torch.FloatStorage.from_file', call(global('torch', 'FloatStorage.from_file'), text('/etc/passwd'))],
    ['torch.load', call(global('torch', 'load'), text('x'))],
    ['numpy.fromfile', call(global('numpy', 'fromfile'), text('x'))],
    ['torch.nn.modules.conv.Conv2d', bytesOf(global('torch.nn.modules.conv', 'Conv2d'), ')', [0x81])],
    ['__torch__.Net', bytesOf(global('__torch__', 'Net'), ')', [0x81])],
    ['webbrowser.open', bytesOf('(', text('http://x'), 'iwebbrowser\nopen\n')],
  ])('%s', async (name, pickle) => {
    const { code, message, hint } = await failure(archive(pickle));
    expect(code).toBe('INPUT');
    expect(message).toMatch(/^model\.pt, entry "model\/data\.pkl": its pickle asks for /);
    expect(message).toContain(`"${name}", which is refused`);
    expect(hint).toContain('state_dict');
  });

  test('in the older format, too', async () => {
    const { message } = await failure(
      bytesOf(legacyHead, PROTOCOL_2, call(global('os', 'system'), text('echo')), '.'),
    );
    expect(message).toBe('model.pt: its pickle asks for "os.system", which is refused');
  });
});

const legacyHead = bytesOf(
  ...[PROTOCOL_2, [0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19], '.'],
  ...[PROTOCOL_2, 'M', [0xe9, 3], '.', PROTOCOL_2, '}.'],
);
const part = (key: string, count: number, offset: number, size: number) =>
  bytesOf(
    tuple(
      text('storage'),
      global('torch', 'FloatStorage'),
      text(key),
      text('cpu'),
      int(count),
      tuple(text('v'), int(offset), int(size)),
    ),
    'Q',
  );
const legacy = (
  pickle: Bytes,
  keys: Bytes = bytesOf('](', text('0'), 'e'),
  count = 36,
  floats: Bytes = FLOATS,
) => bytesOf(legacyHead, PROTOCOL_2, pickle, '.', PROTOCOL_2, keys, '.', u32(count), u32(0), floats);

test('the older format: parts of a storage', async () => {
  const { layers } = await read(
    legacy(state(tensor(part('0', 36, 18, 18), int(9), sizes(1, 1, 3, 3), sizes(9, 9, 3, 1)))),
  );
  expect([...layers[0].data]).toEqual(Array.from({ length: 9 }, (_, i) => 27 + i));
});

describe('shapes, strides and storages that lie', () => {
  const huge = bytesOf([0x8a, 6, 0, 0, 0, 0, 0, 1]); // 2^40
  test.each([
    ['a shape beyond the storage', tensor(whole, int(0), sizes(3, 2, 3, 3), STRIDES)],
    ['an offset beyond the storage', tensor(whole, int(1), SIZE, STRIDES)],
    ['a negative offset', tensor(whole, int(-1), SIZE, STRIDES)],
    ['a negative size', tensor(whole, int(0), sizes(-2, 2, 3, 3), STRIDES)],
    ['a negative stride', tensor(whole, int(0), SIZE, sizes(-18, 9, 3, 1))],
    ['a stride beyond the storage', tensor(whole, int(0), SIZE, sizes(18, 9, 3, 1000))],
    ['a stride of 2^40', tensor(whole, int(0), SIZE, tuple(huge, int(9), int(3), int(1)))],
    ['a size of 2^40', tensor(whole, int(0), tuple(huge, huge, huge, huge), STRIDES)],
    ['fewer strides than axes', tensor(whole, int(0), SIZE, sizes(1))],
    ['a size that is a text', tensor(whole, int(0), text('2'), STRIDES)],
    ['a size of a million axes', tensor(whole, int(0), sizes(...new Array<number>(1000).fill(1)), STRIDES)],
    ['no storage', tensor('N' as unknown as Bytes, int(0), SIZE, STRIDES)],
    ['a storage that is not in the archive', tensor(storage('../1', int(36)), int(0), SIZE, STRIDES)],
    ['a storage larger than its entry', tensor(storage('0', int(37)), int(0), SIZE, STRIDES)],
    [
      'a storage of 2^40 values',
      tensor(storage('0', huge), int(0), SIZE, tuple(huge, int(9), int(3), int(1))),
    ],
    ['one storage of two sizes', bytesOf(tuple(whole, storage('0', int(9))))],
    [
      'a storage class that is none',
      tensor(storage('0', int(36), global('collections', 'OrderedDict')), int(0), SIZE, STRIDES),
    ],
    ['a part that leaves its storage', tensor(part('0', 36, 30, 18), int(0), sizes(1, 2, 3, 3), STRIDES)],
  ])('%s', async (_, weight) => {
    const { code, message } = await failure(archive(state(weight)));
    expect(code).toBe('INPUT');
    expect(message).toMatch(/^model\.pt.*damaged/);
  });

  test('an expanded view is left out: it would be larger than the file', async () => {
    const weight = tensor(whole, int(0), tuple(huge, int(1), int(3), int(3)), sizes(0, 9, 3, 1));
    const { layers, skipped } = await read(archive(state(weight)));
    expect(layers).toEqual([]);
    expect(skipped).toEqual([{ layer: 'conv', reason: 'a view that repeats its values' }]);
  });

  test.each([
    ['no keys', legacy(state(tensor(whole, int(0), SIZE, STRIDES)), bytesOf(']'))],
    [
      'a key that no tensor has',
      legacy(state(tensor(whole, int(0), SIZE, STRIDES)), bytesOf('](', text('1'), 'e')),
    ],
    ['keys that are a number', legacy(state(tensor(whole, int(0), SIZE, STRIDES)), bytesOf('K\x01'))],
    ['a count beyond the file', legacy(state(tensor(whole, int(0), SIZE, STRIDES)), undefined, 37)],
    ['a negative count', legacy(state(tensor(whole, int(0), SIZE, STRIDES)), undefined, -1)],
    ['cut off', legacy(state(tensor(whole, int(0), SIZE, STRIDES))).subarray(0, -1)],
    ['a count below the pickle', legacy(state(tensor(whole, int(0), SIZE, STRIDES)), undefined, 35)],
    ['another version', bytesOf(legacyHead.subarray(0, 15), PROTOCOL_2, 'K\x01.', legacyHead.subarray(22))],
  ])('the older format: %s', async (_, bytes) => {
    expect((await failure(bytes)).message).toMatch(/^model\.pt: .*(damaged|truncated)/);
  });
});

describe('objects without measure', () => {
  test('a dictionary that contains itself, and one tensor under many names', async () => {
    const weight = bytesOf(tensor(whole, int(0), SIZE, STRIDES), 'q\x01');
    const pickle = bytesOf(
      '}q\x00(',
      text('a.weight'),
      weight,
      text('b.weight'),
      'h\x01',
      text('self'),
      'h\x00',
      'u',
    );
    const { layers } = await read(archive(pickle));
    expect(layers.map(({ name }) => name)).toEqual(['a']);
  });

  test('a TorchScript object that is its own attributes', async () => {
    const pickle = bytesOf(global('__torch__', 'Net'), ')', [0x81], 'q\x00h\x00b');
    const { layers } = await read(
      archive(pickle, [{ name: 'model/constants.pkl', content: bytesOf(PROTOCOL_2, ').') }]),
    );
    expect(layers).toEqual([]);
  });

  test('lists of lists of lists, each twice in the next', async () => {
    const doubled = Array.from({ length: 60 }, (_, i) => bytesOf('(h', [i], 'h', [i], 'lq', [i + 1]));
    const { layers } = await read(archive(bytesOf(']q\x00', ...doubled)));
    expect(layers).toEqual([]);
  });

  test('nested deeper than anybody does', async () => {
    const pickle = bytesOf(']'.repeat(1000), 'K\x01', 'a'.repeat(1000));
    expect((await failure(archive(pickle))).message).toContain('nested deeper than 64');
  });

  test('dictionaries of the pairs of one list, again and again', async () => {
    const pair = bytesOf(text('k'), 'N', [0x86], 'q\x01');
    const list = bytesOf('](', pair, 'h\x01'.repeat(5000), 'eq\x02');
    const again = bytesOf(global('collections', 'OrderedDict'), 'q\x03', 'h\x03h\x02\x85R'.repeat(1000));
    expect((await failure(archive(bytesOf(list, again)))).message).toContain('too many dictionaries');
  });

  test('a name of a megabyte', async () => {
    const { skipped } = await read(
      archive(state(tensor(whole, int(0), SIZE, STRIDES), `${'x'.repeat(2 ** 20)}.weight`)),
    );
    for (const { layer } of skipped) expect(layer.length).toBeLessThan(1100);
  });
});

describe('what is no such file', () => {
  test('a zip archive of something else', async () => {
    expect((await failure(zipFile([{ name: 'a.txt', content: FLOATS }]))).message).toContain(
      'without data.pkl',
    );
  });

  test('the tar archives of the first versions, by name', async () => {
    const tar = new Uint8Array(1024);
    tar.set(bytesOf('ustar'), 257);
    expect((await failure(tar)).message).toContain('a tar archive, as PyTorch wrote it before');
  });

  test('a bare pickle', async () => {
    expect((await failure(bytesOf(PROTOCOL_2, 'N.'))).message).toBe(
      'model.pt: not a file that torch.save wrote',
    );
  });

  test('an unknown byte order', async () => {
    const order = { name: 'model/byteorder', content: bytesOf('mixed') };
    expect((await failure(archive(state(tensor(whole, int(0), SIZE, STRIDES)), [order]))).message).toContain(
      '"mixed"',
    );
  });
});

test('every byte of two small files changed, and every length cut: an input error or layers', async () => {
  for (const name of ['zip.pt', 'legacy.pt']) {
    const bytes = new Uint8Array(
      readFileSync(fileURLToPath(new URL(`../fixtures/torch/${name}`, import.meta.url))),
    );
    for (let i = 0; i < bytes.length; i += 3) {
      const changed = i % 2 === 0 ? bytes.slice(0, i) : bytes.slice();
      if (i % 2 === 1) changed[i] ^= 1 << (i % 8);
      const error: unknown = await read(changed).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (error !== undefined) expect(error, `${name}, byte ${i}: ${error}`).toBeInstanceOf(DwpError);
    }
  }
});
