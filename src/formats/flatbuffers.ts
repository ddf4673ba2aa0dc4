// FlatBuffers read where they lie, every position checked: a table's fields by their number in the schema.
// What is read is read through a few cached pages, so that a large file costs no more than what is looked at.
import { inputError } from '../errors.js';
import type { ByteSource } from './source.js';

/** A vector of which nothing has been read but its length. */
export interface Vector<T> {
  readonly length: number;
  /** @throws DwpError INPUT when there is no such item, or what lies there leads out of the file */
  at(index: number): T;
}

/** Fields by number, as they are counted in the schema (a union takes two). All throw DwpError INPUT on damage. */
export interface Table {
  /** A number, `otherwise` where the table does not have it. */
  number(field: number, type: Scalar, otherwise?: number): number;
  table(field: number): Table | undefined;
  /** @param most bytes; what is longer is cut */
  text(field: number, most?: number): string | undefined;
  /** An absent vector is empty. */
  numbers(field: number, type: Scalar): Vector<number>;
  tables(field: number): Vector<Table>;
  /** Where a vector of bytes lies in the file. */
  bytes(field: number): { offset: number; length: number };
}

/** 64-bit numbers are rounded to doubles. */
export type Scalar = 'u8' | 'i8' | 'i32' | 'u32' | 'f32' | 'i64' | 'u64';

const WIDTH: Readonly<Record<Scalar, number>> = { u8: 1, i8: 1, i32: 4, u32: 4, f32: 4, i64: 8, u64: 8 };

const READ: Readonly<Record<Scalar, (view: DataView) => number>> = {
  u8: (view) => view.getUint8(0),
  i8: (view) => view.getInt8(0),
  i32: (view) => view.getInt32(0, true),
  u32: (view) => view.getUint32(0, true),
  f32: (view) => view.getFloat32(0, true),
  i64: (view) => Number(view.getBigInt64(0, true)),
  u64: (view) => Number(view.getBigUint64(0, true)),
};

const PAGE = 2 ** 12;
const MOST_PAGES = 1024;
const LONGEST_TEXT = 1000;

/** The root table. @param source a whole FlatBuffer: its offsets count from the start of the source */
export function rootTable(source: ByteSource): Table {
  const pages = new Map<number, Uint8Array>();
  const page = (number: number): Uint8Array => {
    const known = pages.get(number);
    if (known) return known;
    if (pages.size >= MOST_PAGES) pages.delete(pages.keys().next().value!);
    const start = number * PAGE;
    const bytes = source.read(start, Math.min(PAGE, source.size - start));
    pages.set(number, bytes);
    return bytes;
  };
  const scratch = new Uint8Array(8);
  const view = new DataView(scratch.buffer);
  const requireInside = (at: number, length: number): void => {
    if (!(at >= 0 && at + length <= source.size))
      throw inputError(
        `${source.path}: damaged: it points to ${length} bytes at ${at}, but ends at ${source.size}`,
        'fetch or export it again',
      );
  };
  const load = (at: number, length: number): DataView => {
    requireInside(at, length);
    for (let i = 0; i < length; i++) scratch[i] = page(Math.floor((at + i) / PAGE))[(at + i) % PAGE];
    return view;
  };
  const scalar = (at: number, type: Scalar): number => READ[type](load(at, WIDTH[type]));
  /** Offsets are stored relative to where they are stored. */
  const follow = (at: number): number => at + scalar(at, 'u32');

  const vector = <T>(at: number, width: number, item: (at: number) => T): Vector<T> => {
    const length = at === 0 ? 0 : scalar(at, 'u32');
    if (length > 0) requireInside(at + 4, length * width);
    return {
      length,
      at: (index) => {
        if (!(index >= 0 && index < length))
          throw inputError(
            `${source.path}: damaged: it names item ${index} of a list of ${length}`,
            'fetch or export it again',
          );
        return item(at + 4 + index * width);
      },
    };
  };

  const table = (at: number): Table => {
    const fields = at - scalar(at, 'i32');
    const fieldsSize = load(fields, 2).getUint16(0, true);
    /** Where a field is stored, 0 where it is not. */
    const place = (field: number): number => {
      const entry = 4 + 2 * field;
      if (entry + 2 > fieldsSize) return 0;
      const offset = load(fields + entry, 2).getUint16(0, true);
      return offset === 0 ? 0 : at + offset;
    };
    const target = (field: number): number => {
      const from = place(field);
      return from === 0 ? 0 : follow(from);
    };
    return {
      number: (field, type, otherwise = 0) => {
        const from = place(field);
        return from === 0 ? otherwise : scalar(from, type);
      },
      table: (field) => {
        const to = target(field);
        return to === 0 ? undefined : table(to);
      },
      text: (field, most = LONGEST_TEXT) => {
        const { offset, length } = bytes(target(field));
        if (offset === 0) return undefined;
        return new TextDecoder().decode(source.read(offset, Math.min(length, most)));
      },
      numbers: (field, type) => vector(target(field), WIDTH[type], (from) => scalar(from, type)),
      tables: (field) => vector(target(field), 4, (from) => table(follow(from))),
      bytes: (field) => bytes(target(field)),
    };
  };
  const bytes = (at: number): { offset: number; length: number } => {
    if (at === 0) return { offset: 0, length: 0 };
    const length = scalar(at, 'u32');
    requireInside(at + 4, length);
    return { offset: at + 4, length };
  };
  return table(follow(0));
}
