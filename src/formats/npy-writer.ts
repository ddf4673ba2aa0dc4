// A float32 .npy file written piece by piece: memory does not depend on its size, and no file stays open.
import type { FileWork, GrowingFile } from './file-work.js';
import { npyHeader } from './npy.js';

const BUFFERED = 2 ** 18; // values

/** Rows for one file whose shape is known beforehand. The file lies in a folder that is not there for others yet. */
export class NpyWriter {
  private readonly file: GrowingFile;
  private buffer: Float32Array<ArrayBuffer>;
  private readonly total: number;
  private filled = 0;
  private flushed = 0;

  /** Creates the file. @throws DwpError INPUT when it exists or cannot be written */
  constructor(
    private readonly path: string,
    readonly shape: readonly number[],
    private readonly files: FileWork,
  ) {
    this.total = shape.reduce((a, b) => a * b, 1);
    const row = Math.max(1, this.total / Math.max(1, shape[0]));
    this.buffer = this.room(Math.min(this.total, Math.max(row, BUFFERED)));
    this.file = files.create(path);
    this.file.append(Uint8Array.from(npyHeader(shape)));
  }

  /** Appends values `from` to `to` of `data`, divided by `scale`. */
  write(data: Float32Array, from: number, to: number, scale = 1): void {
    if (this.flushed + this.filled + to - from > this.total)
      throw new RangeError(`${this.path}: too many values`);
    while (from < to) {
      if (this.filled === this.buffer.length) this.flush();
      const { buffer } = this;
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
  async finish(): Promise<string> {
    this.flush();
    if (this.flushed !== this.total)
      throw new RangeError(`${this.path}: ${this.flushed} of ${this.total} values were written`);
    return this.file.finish();
  }

  private room(values: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.files.buffer(4 * values));
  }

  private flush(): void {
    if (this.filled === 0) return;
    const { buffer, filled } = this;
    this.flushed += filled;
    this.filled = 0;
    this.buffer = this.room(Math.min(this.total - this.flushed, buffer.length));
    this.file.append(new Uint8Array(buffer.buffer, 0, 4 * filled)); // which takes the buffer away
  }
}
