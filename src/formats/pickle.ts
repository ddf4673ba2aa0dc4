// Python's pickles, read as data: a stack machine that makes lists, maps and calls of the few names its caller
// knows. Nothing of Python is run, and a pickle that names anything else is refused by that name.
import { inputError } from '../errors.js';
import { type ByteSource, shown } from './source.js';

/** A dict: keys and values in turn, in the order they were set. Of a key that is set again, the later value counts. */
export class PickleDict {
  readonly items: unknown[] = [];
}

/** A Python function or class that a pickle may call: what a call gives, and what setting its state does. */
export interface PickleGlobal {
  name: string;
  call(args: readonly unknown[]): unknown;
}

/** An object that takes the state a pickle gives it (opcode BUILD). Other objects ignore theirs. */
export interface PickleState {
  setState(state: unknown): void;
}

export interface PickleHost {
  /** @returns undefined for a name that is not known, at which the pickle is refused */
  find(module: string, name: string): PickleGlobal | undefined;
  /** What a persistent id stands for, by which torch.save refers to its storages. */
  persistent(id: unknown): unknown;
  /** What to do about a refused name. */
  hint: string;
}

export interface Pickled {
  /**
   * None is null; int a number, or a bigint where it is no safe one; str a string, bytes a Uint8Array, list, tuple
   * and set an array; dict a {@link PickleDict}. Lists may contain themselves.
   */
  value: unknown;
  /** The byte after the pickle. */
  end: number;
}

/** Bounds of a pickle of weights with room to spare: a checkpoint of 10,000 tensors has some 10⁵ containers. */
const MOST_BYTES = 2 ** 30; // of arrays of NumPy, whose values are in the pickle
const MOST_CONTAINERS = 2 ** 21;
const MOST_OPERATIONS = 2 ** 24;
const LONGEST_INTEGER = 256; // bytes
const LONGEST_LINE = 2 ** 16;

/**
 * Protocols 0 to 5, without buffers outside the pickle.
 *
 * @param start of the pickle in the source, which is read no further than the pickle's end and some kilobytes
 * @throws DwpError INPUT when the pickle is damaged or too large, or names what `host` does not know
 */
export function readPickle(source: ByteSource, host: PickleHost, start = 0): Pickled {
  const bytes = new Cursor(source, start);
  const machine = new Machine(bytes, host, source.path);
  for (let steps = 0; ; steps++) {
    if (steps === MOST_OPERATIONS) throw machine.bad('it has too many operations');
    const opcode = bytes.byte();
    if (opcode === STOP) return { value: machine.pop(), end: bytes.position };
    machine.run(opcode);
  }
}

const code = (character: string) => character.charCodeAt(0);
const STOP = code('.');
const MARK = Symbol('mark');

class Machine {
  private readonly stack: unknown[] = [];
  private readonly memo = new Map<number, unknown>();
  private containers = 0;

  constructor(
    private readonly bytes: Cursor,
    private readonly host: PickleHost,
    private readonly path: string,
  ) {}

  bad(why: string) {
    return inputError(
      `${this.path}: damaged pickle at byte ${this.bytes.position} (${why})`,
      'fetch or save it again',
    );
  }

  pop(): unknown {
    if (this.stack.length === 0) throw this.bad('nothing on its stack');
    const value = this.stack.pop();
    if (value === MARK) throw this.bad('a mark instead of a value');
    return value;
  }

  private top(): unknown {
    const value = this.stack.at(-1);
    if (value === undefined || value === MARK) throw this.bad('no value on its stack');
    return value;
  }

  private popToMark(): unknown[] {
    const at = this.stack.lastIndexOf(MARK);
    if (at === -1) throw this.bad('no mark on its stack');
    const values = this.stack.splice(at);
    values.shift();
    return values;
  }

  private made<T>(container: T): T {
    if (++this.containers > MOST_CONTAINERS) throw this.bad('it has too many objects');
    return container;
  }

  private tuple(length: number): unknown[] {
    const values = Array.from({ length }, () => this.pop());
    return this.made(values.reverse());
  }

  private append(values: unknown[], list: unknown): unknown {
    if (!Array.isArray(list)) throw this.bad('items for what is no list');
    for (const value of values) list.push(value);
    return list;
  }

  private set(values: unknown[], dict: unknown): unknown {
    if (values.length % 2 !== 0) throw this.bad('a key without a value');
    if (!(dict instanceof PickleDict)) throw this.bad('keys for what is no dict');
    for (const value of values) dict.items.push(value);
    return dict;
  }

  private global(module: unknown, name: unknown): PickleGlobal {
    if (typeof module !== 'string' || typeof name !== 'string') throw this.bad('a name that is no text');
    const found = this.host.find(module, name);
    if (!found)
      throw inputError(
        `${this.path}: its pickle asks for ${shown(`${module}.${name}`)}, which is refused`,
        this.host.hint,
      );
    return found;
  }

  private call(args: unknown, callee: unknown): unknown {
    if (!Array.isArray(args)) throw this.bad('arguments that are no tuple');
    if (!isGlobal(callee)) throw this.bad('a call of what is no function');
    return this.made(callee.call(args)) ?? null;
  }

  private build(state: unknown, target: unknown): unknown {
    if (hasState(target)) target.setState(state);
    return target;
  }

  private remember(key: number): void {
    this.memo.set(key, this.top());
  }

  private recall(key: number): unknown {
    const value = this.memo.get(key);
    if (value === undefined) throw this.bad(`nothing remembered as ${key}`);
    return value;
  }

  private integer(text: string): number | bigint {
    if (!/^[+-]?\d{1,600}L?$/.test(text)) throw this.bad('a number that is none');
    return plain(BigInt(text.replace(/^\+|L$/g, '')));
  }

  private long(length: number): number | bigint {
    if (length < 0 || length > LONGEST_INTEGER) throw this.bad(`an integer of ${length} bytes`);
    let value = 0n;
    const bytes = this.bytes.take(length);
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
    return plain(BigInt.asIntN(8 * length, value));
  }

  /** One operation. */
  run(opcode: number): void {
    const result = this.result(opcode);
    if (result !== undefined) this.stack.push(result);
  }

  /**
   * The names are those of Python's pickletools.
   *
   * @returns what the operation leaves on the stack; undefined, which no pickle holds, for nothing
   */
  private result(opcode: number): unknown {
    const { bytes } = this;
    switch (opcode) {
      case 0x80: // PROTO
        if (bytes.byte() > 5) throw this.bad('a protocol that does not exist yet');
        return undefined;
      case 0x95: // FRAME: how much may be read ahead
        bytes.take(8);
        return undefined;

      case code('('): // MARK
        return MARK;
      case code('0'): // POP, of a mark too
        if (this.stack.pop() === undefined) throw this.bad('nothing on its stack');
        return undefined;
      case code('1'): // POP_MARK
        this.popToMark();
        return undefined;
      case code('2'): // DUP
        return this.top();

      case code('N'): // NONE
        return null;
      case 0x88: // NEWTRUE
        return true;
      case 0x89: // NEWFALSE
        return false;
      case code('I'): {
        // INT: 00 and 01 are booleans
        const line = bytes.line();
        return line === '00' ? false : line === '01' ? true : this.integer(line);
      }
      case code('L'): // LONG
        return this.integer(bytes.line());
      case code('J'): // BININT
        return bytes.view(4).getInt32(0, true);
      case code('K'): // BININT1
        return bytes.byte();
      case code('M'): // BININT2
        return bytes.view(2).getUint16(0, true);
      case 0x8a: // LONG1
        return this.long(bytes.byte());
      case 0x8b: // LONG4
        return this.long(bytes.view(4).getInt32(0, true));
      case code('F'): // FLOAT
        return Number.parseFloat(bytes.line());
      case code('G'): // BINFLOAT
        return bytes.view(8).getFloat64(0);

      case code('S'): // STRING: Python's own notation, of which only the plain one occurs
        return bytes.line().replace(/^(['"])(.*)\1$/, '$2');
      case code('V'): // UNICODE
        return bytes.line();
      case code('T'): // BINSTRING
        return latin1(bytes.take(bytes.view(4).getUint32(0, true)));
      case code('U'): // SHORT_BINSTRING
        return latin1(bytes.take(bytes.byte()));
      case code('X'): // BINUNICODE
        return utf8(bytes.take(bytes.view(4).getUint32(0, true)));
      case 0x8c: // SHORT_BINUNICODE
        return utf8(bytes.take(bytes.byte()));
      case 0x8d: // BINUNICODE8
        return utf8(bytes.take(bytes.length8()));
      case code('B'): // BINBYTES
        return this.made(bytes.take(bytes.view(4).getUint32(0, true)).slice());
      case code('C'): // SHORT_BINBYTES
        return this.made(bytes.take(bytes.byte()).slice());
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return this.made(bytes.take(bytes.length8()).slice());

      case code(']'): // EMPTY_LIST
      case code(')'): // EMPTY_TUPLE
      case 0x8f: // EMPTY_SET
        return this.made([]);
      case code('l'): // LIST
      case code('t'): // TUPLE
      case 0x91: // FROZENSET
        return this.made(this.popToMark());
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.tuple(opcode - 0x84);
      case code('a'): // APPEND
        return this.append([this.pop()], this.pop());
      case code('e'): // APPENDS
      case 0x90: // ADDITEMS
        return this.append(this.popToMark(), this.pop());
      case code('}'): // EMPTY_DICT
        return this.made(new PickleDict());
      case code('d'): // DICT
        return this.set(this.popToMark(), this.made(new PickleDict()));
      case code('s'): {
        // SETITEM
        const value = this.pop();
        return this.set([this.pop(), value], this.pop());
      }
      case code('u'): // SETITEMS
        return this.set(this.popToMark(), this.pop());

      case code('p'): // PUT
        this.remember(Number(this.integer(bytes.line())));
        return undefined;
      case code('q'): // BINPUT
        this.remember(bytes.byte());
        return undefined;
      case code('r'): // LONG_BINPUT
        this.remember(bytes.view(4).getUint32(0, true));
        return undefined;
      case 0x94: // MEMOIZE
        this.remember(this.memo.size);
        return undefined;
      case code('g'): // GET
        return this.recall(Number(this.integer(bytes.line())));
      case code('h'): // BINGET
        return this.recall(bytes.byte());
      case code('j'): // LONG_BINGET
        return this.recall(bytes.view(4).getUint32(0, true));

      case code('c'): // GLOBAL
        return this.global(bytes.line(), bytes.line());
      case 0x93: {
        // STACK_GLOBAL
        const name = this.pop();
        return this.global(this.pop(), name);
      }
      case code('R'): // REDUCE
      case 0x81: // NEWOBJ
        return this.call(this.pop(), this.pop());
      case 0x92: // NEWOBJ_EX: keyword arguments, which nothing known has
        this.pop();
        return this.call(this.pop(), this.pop());
      case code('i'): {
        // INST
        const callee = this.global(bytes.line(), bytes.line());
        return this.call(this.popToMark(), callee);
      }
      case code('o'): {
        // OBJ
        const [callee, ...args] = this.popToMark();
        return this.call(args, callee);
      }
      case code('b'): // BUILD
        return this.build(this.pop(), this.pop());
      case code('P'): // PERSID
        return this.made(this.host.persistent(bytes.line()));
      case code('Q'): // BINPERSID
        return this.made(this.host.persistent(this.pop()));
      default: // also EXT1, EXT2, EXT4 (a registry outside the pickle) and NEXT_BUFFER (a buffer outside it)
        throw this.bad(`operation 0x${opcode.toString(16).padStart(2, '0')}`);
    }
  }
}

const isGlobal = (value: unknown): value is PickleGlobal =>
  typeof value === 'object' && value !== null && 'call' in value && typeof value.call === 'function';
const hasState = (value: unknown): value is PickleState =>
  typeof value === 'object' && value !== null && 'setState' in value && typeof value.setState === 'function';

const decoder = new TextDecoder();
const utf8 = (bytes: Uint8Array) => decoder.decode(bytes);
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
const plain = (value: bigint): number | bigint => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
};

/** Reads a source forwards through a window. */
class Cursor {
  private window: Uint8Array<ArrayBuffer> = new Uint8Array();
  private windowStart: number;
  private at = 0;

  constructor(
    private readonly source: ByteSource,
    private readonly start: number,
  ) {
    this.windowStart = start;
  }

  /** Of the next byte in the source. */
  get position(): number {
    return this.windowStart + this.at;
  }

  /** A view that is good until the next call. */
  take(length: number): Uint8Array {
    if (this.at + length > this.window.length) this.refill(length);
    this.at += length;
    return this.window.subarray(this.at - length, this.at);
  }

  byte(): number {
    if (this.at === this.window.length) this.refill(1);
    return this.window[this.at++];
  }

  view(length: number): DataView {
    const bytes = this.take(length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  length8(): number {
    return Number(this.view(8).getBigUint64(0, true));
  }

  /** Text up to a line feed, which is left out. */
  line(): string {
    for (let length = 0; ; length++) {
      if (length > LONGEST_LINE) throw this.bad('a line is too long');
      if (this.at + length >= this.window.length) this.refill(length + 1);
      if (this.window[this.at + length] === 0x0a) {
        const text = utf8(this.window.subarray(this.at, this.at + length));
        this.at += length + 1;
        return text;
      }
    }
  }

  /** Makes the window begin here and hold at least `length` bytes. */
  private refill(length: number): void {
    const { position, source } = this;
    if (position + length > source.size) throw this.bad('it is cut off');
    if (position + length - this.start > MOST_BYTES)
      throw inputError(
        `${source.path}: a pickle of more than ${MOST_BYTES} bytes`,
        'save tensors instead of NumPy arrays, or as safetensors',
      );
    this.window = source.read(position, Math.min(Math.max(length, WINDOW), source.size - position));
    this.windowStart = position;
    this.at = 0;
  }

  private bad(why: string) {
    return inputError(
      `${this.source.path}: damaged pickle at byte ${this.position} (${why})`,
      'fetch or save it again',
    );
  }
}

const WINDOW = 2 ** 16;
