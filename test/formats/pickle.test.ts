import { describe, expect, test } from 'vitest';
import { DwpError } from '../../src/errors.js';
import { PickleDict, type PickleHost, readPickle } from '../../src/formats/pickle.js';
import { memorySource } from '../../src/formats/source.js';
import { bytesOf, call, global, PROTOCOL_2, text, u32 } from './write-pickle.js';

const host: PickleHost = {
  hint: 'save it otherwise',
  find: (module, name) =>
    module === 'good' ? { name: `good.${name}`, call: (args) => ({ called: name, args }) } : undefined,
  persistent: (id) => ({ id }),
};
const read = (...parts: Parameters<typeof bytesOf>) =>
  readPickle(memorySource(bytesOf(...parts), 'x.pkl'), host).value;

/** Dictionaries as Maps. */
const plain = (value: unknown): unknown => {
  if (value instanceof PickleDict)
    return new Map(
      Array.from({ length: value.items.length / 2 }, (_, i) => [
        value.items[2 * i],
        plain(value.items[2 * i + 1]),
      ]),
    );
  return Array.isArray(value) ? value.map(plain) : value;
};

describe('values', () => {
  test.each<[string, Parameters<typeof bytesOf>, unknown]>([
    [
      'none, booleans, integers',
      ['(N', [0x88, 0x89], 'K\xffM\xff\xffJ', u32(-5), 't.'],
      [null, true, false, 255, 65535, -5],
    ],
    [
      'text and numbers of protocol 0',
      ["(I12\nI01\nL-5L\nF1.5\nS'a'\nVb\nt."],
      [12, true, -5, 1.5, 'a', 'b'],
    ],
    [
      'LONG1: negative, and beyond 2^53',
      ['(', [0x8a, 1, 0xfe, 0x8a, 0, 0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 1], 't.'],
      [-2, 0, 2n ** 56n],
    ],
    ['a float', ['G', [0x3f, 0xf8, 0, 0, 0, 0, 0, 0], '.'], 1.5],
    [
      'text and bytes',
      ['(', text('é'), [0x8c, 1], 'xU\x01y', 'C\x02', [0, 255], 't.'],
      ['é', 'x', 'y', Uint8Array.of(0, 255)],
    ],
    ['lists', [']K\x01a(K\x02K\x03e.'], [1, 2, 3]],
    ['tuples', ['K\x01K\x02', [0x86], 'K\x03', [0x86], '.'], [[1, 2], 3]],
    [
      'dictionaries',
      ['}K\x01K\x02s(K\x03K\x04u.'],
      new Map([
        [1, 2],
        [3, 4],
      ]),
    ],
    ['a dictionary of a mark', ['(K\x01K\x02d.'], new Map([[1, 2]])],
    ['sets', [[0x8f], '(K\x01', [0x90], '.'], [1]],
    ['the memo', ['(K\x07q\x05h\x05p9\ng9\nt.'], [7, 7, 7]],
    ['MEMOIZE and frames', [[0x80, 4, 0x95], [0, 0, 0, 0, 0, 0, 0, 0], '(K\x07', [0x94], 'h\x00t.'], [7, 7]],
    ['a known function', [call(global('good', 'f'), 'K\x01'), '.'], { called: 'f', args: [1] }],
    [
      'STACK_GLOBAL and NEWOBJ',
      [[0x8c, 4], 'good', [0x8c, 1], 'C', [0x93], ')', [0x81], '.'],
      { called: 'C', args: [] },
    ],
    [
      'INST and OBJ',
      ['((K\x01igood\nA\n(cgood\nB\nK\x02ot.'],
      [
        { called: 'A', args: [1] },
        { called: 'B', args: [2] },
      ],
    ],
    ['persistent ids', ['(Pkey\nK\x01Qt.'], [{ id: 'key' }, { id: 1 }]],
    ['POP, DUP, POP_MARK', ['K\x01K\x020(K\x05K\x06', '12', [0x86], '.'], [1, 1]],
  ])('%s', (_, parts, value) => {
    expect(plain(read(...parts))).toEqual(value);
  });

  test('ends where the pickle ends', () => {
    const bytes = bytesOf('abc', PROTOCOL_2, 'K\x01.', 'rest');
    expect(readPickle(memorySource(bytes, 'x'), host, 3)).toEqual({ value: 1, end: 8 });
  });

  test('a text longer than what is read at once', () => {
    const long = 'x'.repeat(200_000);
    expect(read(text(long), '.')).toBe(long);
    expect(read('(', ...Array.from({ length: 30_000 }, (_, i) => `I${i}\n`), 't.')).toHaveLength(30_000);
  });
});

describe('names that are not known are refused by name, in every way to name one', () => {
  const attack = [
    ['GLOBAL', bytesOf(call(global('posix', 'system'), text('touch /tmp/x')), '.'), 'posix.system'],
    [
      'STACK_GLOBAL',
      bytesOf([0x8c, 2], 'os', [0x8c, 6], 'system', [0x93], text('id'), [0x85], 'R.'),
      'os.system',
    ],
    ['INST', bytesOf('(', text('id'), 'ios\nsystem\n.'), 'os.system'],
    ['OBJ', bytesOf('(cbuiltins\neval\n', text('1'), 'o.'), 'builtins.eval'],
    ['NEWOBJ', bytesOf('csubprocess\nPopen\n', text('id'), [0x85, 0x81], '.'), 'subprocess.Popen'],
    ['in a name', bytesOf('cgood.os\nsystem\n.'), 'good.os.system'],
  ] as const;
  test.each(attack)('%s', (_, bytes, name) => {
    expect(() => readPickle(memorySource(bytes, 'x.pkl'), host)).toThrow(
      new DwpError('INPUT', `x.pkl: its pickle asks for "${name}", which is refused`, 'save it otherwise'),
    );
  });

  test('EXT codes name nothing', () => {
    for (const code of [0x82, 0x83, 0x84])
      expect(() => read([code, 1, 0, 0, 0], '.')).toThrow(/damaged pickle/);
  });

  test('control characters of a name are escaped', () => {
    expect(() => read('ca\u001b[31m\nb\n.')).toThrow(/"a\\u001b\[31m\.b"/);
  });
});

describe('damage', () => {
  test.each<[string, Parameters<typeof bytesOf>]>([
    ['nothing', []],
    ['no end', ['K\x01']],
    ['an empty stack', ['.']],
    ['a mark as the result', ['(.']],
    ['a mark as an item', [']((a.']],
    ['no mark', [']K\x01e.']],
    ['a tuple of too few', ['K\x01', [0x87], '.']],
    ['items for a number', ['K\x01K\x02a.']],
    ['keys for a list', [']K\x01K\x02s.']],
    ['a key without a value', ['}(K\x01u.']],
    ['a call of a number', ['K\x01)R.']],
    ['arguments that are a number', ['cgood\nf\nK\x01R.']],
    ['nothing in the memo', ['h\x01.']],
    ['an unknown operation', [[0xff], '.']],
    ['a protocol of the future', [[0x80, 6], 'N.']],
    ['a text longer than the file', ['X', u32(2 ** 31 - 1), 'abc.']],
    ['a text of negative length', ['X', u32(-1), 'abc.']],
    ['bytes of 2^63', [[0x8e, 0, 0, 0, 0, 0, 0, 0, 0x80], '.']],
    ['an integer of many bytes', [[0x8b], u32(100_000), new Uint8Array(100_000), '.']],
    ['an integer of negative length', [[0x8b], u32(-1), '.']],
    ['an integer of many digits', [`L${'9'.repeat(50_000)}L\n.`]],
    ['a line without end', [`V${'x'.repeat(100_000)}`]],
    ['a buffer outside the file', [[0x97], '.']],
    ['more objects than are kept', [']'.repeat(2 ** 21 + 1), '.']],
    ['more operations than are done', [`N${'N0'.repeat(2 ** 23)}`, '.']],
  ])('%s', (_, parts) => {
    expect(() => read(...parts)).toThrow(DwpError);
    expect(() => read(...parts)).toThrow(/^x\.pkl: damaged pickle at byte \d+ \(/);
  });

  test('what contains itself is read', () => {
    const list = read(']q\x00h\x00a.') as unknown[];
    expect(list[0]).toBe(list);
  });
});
