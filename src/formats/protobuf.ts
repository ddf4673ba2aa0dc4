// Protocol Buffers read where they lie: the fields of a message one after the other, by the wire format alone. What
// a field holds is read when it is asked for, so that gigabytes of weights are passed over.
import { inputError } from '../errors.js';
import type { ByteSource } from './source.js';

/** One field of a message. Positions count from the start of the source. */
export interface Field {
  number: number;
  /** 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes. */
  wire: 0 | 1 | 2 | 5;
  /** Of wire type 0: the value as a signed 64-bit number, rounded to a double. */
  value: number;
  /** Where the field's bytes lie (of types 1, 2 and 5). */
  start: number;
  end: number;
}

const WINDOW = 2 ** 16;
/** More fields than any model has; what has more was made to take long. */
const MOST_FIELDS = 5e6;
const LONGEST_TEXT = 2 ** 16;
const UTF8 = new TextDecoder();

/** @param what the file should be: `model.onnx: not a complete ONNX model (…)` is what a reader is told on damage */
export class ProtobufReader {
  private window = new Uint8Array(0);
  private windowStart = 0;
  private fields = 0;

  constructor(
    readonly source: ByteSource,
    private readonly what: string,
  ) {}

  /** @throws DwpError INPUT when the bytes are no message, or a field leads out of it */
  *message(start: number, end: number): Generator<Field, void, undefined> {
    for (let at = start; at < end; ) {
      if (++this.fields > MOST_FIELDS) throw this.damaged(`more than ${MOST_FIELDS} fields`);
      const tag = this.varint(at, end);
      const number = Math.floor(tag.value / 8);
      const wire = tag.value % 8;
      if (number < 1 || number > 2 ** 29) throw this.damaged(`field ${number} at byte ${at}`);
      at = tag.next;
      if (wire === 0) {
        const { value, next } = this.varint(at, end);
        yield { number, wire, value, start: at, end: next };
        at = next;
      } else if (wire === 1 || wire === 2 || wire === 5) {
        const length = wire === 2 ? this.varint(at, end) : { value: wire === 1 ? 8 : 4, next: at };
        const from = length.next;
        if (length.value < 0 || length.value > end - from)
          throw this.damaged(`${length.value} bytes at ${from}, but only ${end - from} are left`);
        at = from + length.value;
        yield { number, wire, value: 0, start: from, end: at };
      } else throw this.damaged(`wire type ${wire} at byte ${at}`);
    }
  }

  /** @throws DwpError INPUT when the field is not text, or of more than 64 KiB */
  text({ wire, start, end }: Field): string {
    if (wire !== 2) throw this.damaged(`a number at byte ${start} where text should be`);
    if (end - start > LONGEST_TEXT) throw this.damaged(`a name of ${end - start} bytes at ${start}`);
    this.fill(start, end);
    return UTF8.decode(this.window.subarray(start - this.windowStart, end - this.windowStart));
  }

  /** A number of a field of four bytes. */
  float({ start, end }: Field): number {
    if (end - start !== 4) throw this.damaged(`${end - start} bytes at ${start} where a float should be`);
    this.fill(start, end);
    return new DataView(this.window.buffer).getFloat32(start - this.windowStart, true);
  }

  /** Whole numbers of a packed field (type 2), or the one of a field that is not packed (type 0). */
  integers({ wire, value, start, end }: Field): number[] {
    if (wire === 0) return [value];
    if (wire !== 2) throw this.damaged(`wire type ${wire} at byte ${start} where whole numbers should be`);
    const numbers: number[] = [];
    for (let at = start; at < end; ) {
      const { value, next } = this.varint(at, end);
      numbers.push(value);
      at = next;
    }
    return numbers;
  }

  damaged(why: string) {
    return inputError(
      `${this.source.path}: not ${this.what} (${why})`,
      'the file may be truncated or damaged; fetch or export it again',
    );
  }

  /** A little-endian base-128 number that ends before `end`. */
  private varint(at: number, end: number): { value: number; next: number } {
    let low = 0; // bits 0–31
    let high = 0; // bits 32–63
    for (let i = 0; i < 10; i++, at++) {
      if (at >= end) throw this.damaged(`it ends within a number, at byte ${end}`);
      if (at < this.windowStart || at >= this.windowStart + this.window.length) this.fill(at, at + 1);
      const byte = this.window[at - this.windowStart];
      const shift = 7 * i;
      const bits = byte & 0x7f;
      if (shift < 32) low |= bits << shift;
      if (shift > 24 && shift < 64) high |= shift < 32 ? bits >>> (32 - shift) : bits << (shift - 32);
      if (byte < 0x80) return { value: (high | 0) * 2 ** 32 + (low >>> 0), next: at + 1 };
    }
    throw this.damaged(`a number of more than ten bytes before ${at}`);
  }

  /** Brings the range into the window. */
  private fill(start: number, end: number): void {
    if (start >= this.windowStart && end <= this.windowStart + this.window.length) return;
    this.windowStart = start;
    this.window = this.source.read(start, Math.min(Math.max(WINDOW, end - start), this.source.size - start));
  }
}
