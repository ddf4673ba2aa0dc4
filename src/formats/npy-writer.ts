// A float32 .npy file written piece by piece: memory does not depend on its size, and no file stays open.
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { npyHeader } from './npy.js';

const BUFFERED = 2 ** 18; // values

/** Rows for one file whose shape is known beforehand. The file lies in a folder that is not there for others yet. */
export class NpyWriter {
  private readonly hash = createHash('sha256');
  private readonly buffer: Float32Array;
  private readonly total: number;
  private filled = 0;
  private flushed = 0;

  /** Creates the file. @throws Error of the system when it exists or cannot be written */
  constructor(
    private readonly path: string,
    readonly shape: readonly number[],
  ) {
    this.total = shape.reduce((a, b) => a * b, 1);
    const row = Math.max(1, this.total / Math.max(1, shape[0]));
    this.buffer = new Float32Array(Math.min(this.total, Math.max(row, BUFFERED)));
    this.append('wx', npyHeader(shape));
  }

  /** Appends values `from` to `to` of `data`, divided by `scale`. */
  write(data: Float32Array, from: number, to: number, scale = 1): void {
    const { buffer } = this;
    if (this.flushed + this.filled + to - from > this.total)
      throw new RangeError(`${this.path}: too many values`);
    while (from < to) {
      if (this.filled === buffer.length) this.flush();
      const end = Math.min(to, from + buffer.length - this.filled);
      let at = this.filled;
      if (scale !== 1) while (from < end) buffer[at++] = data[from++] / scale;
      else if (end - from > 64) {
        buffer.set(data.subarray(from, end), at);
        at += end - from;
        from = end;
      } else while (from < end) buffer[at++] = data[from++];
      this.filled = at;
    }
  }

  /** @returns the sha256 of the whole file, which is on the disk now */
  finish(): string {
    this.flush();
    if (this.flushed !== this.total)
      throw new RangeError(`${this.path}: ${this.flushed} of ${this.total} values were written`);
    const file = openSync(this.path, 'r+');
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    return this.hash.digest('hex');
  }

  private flush(): void {
    if (this.filled === 0) return;
    this.append('a', new Uint8Array(this.buffer.buffer, 0, 4 * this.filled));
    this.flushed += this.filled;
    this.filled = 0;
  }

  private append(flags: 'wx' | 'a', bytes: Uint8Array): void {
    const file = openSync(this.path, flags);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    } finally {
      closeSync(file);
    }
    this.hash.update(bytes);
  }
}
