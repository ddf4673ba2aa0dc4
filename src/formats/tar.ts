// Archives of tar compressed by gzip, as npm packs them: each file in turn, nothing is extracted to disk.
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { type DwpError, inputError, messageOf } from '../errors.js';

const BLOCK = 512;
/** Of a header that gives a long name. */
const LONGEST_HEADER = 2 ** 16;
/** Bytes of one archive when inflated. */
const MOST_INFLATED = 2 ** 33;

export interface TarFile {
  /** As the archive has it: untrusted, and no path to write to. */
  name: string;
  bytes: Uint8Array;
}

/**
 * Regular files that are wanted. Folders, links and devices are passed over.
 *
 * @param sizeOf the only size that a file of this name may have; undefined: it is not wanted, and is not kept in memory
 * @throws DwpError INPUT when the archive is damaged, or a file that is wanted has another size
 */
export async function* filesOfTar(
  path: string,
  sizeOf: (name: string) => number | undefined,
): AsyncGenerator<TarFile> {
  const bad = (why: string, cause?: unknown) =>
    inputError(`${path}: not a complete archive (${why})`, 'fetch it again', cause);
  const input = byteQueue(path, bad);
  let longName: string | undefined;
  for (;;) {
    const header = await input.take(BLOCK);
    if (header.every((byte) => byte === 0)) return;
    if (checksum(header) !== number(header, 148, 8)) throw bad('a header is damaged');
    const size = number(header, 124, 12);
    if (!Number.isSafeInteger(size) || size < 0 || size > MOST_INFLATED) throw bad('a size is not a number');
    const padding = (BLOCK - (size % BLOCK)) % BLOCK;
    const type = String.fromCharCode(header[156]);
    if (type === 'x' || type === 'L') {
      if (size > LONGEST_HEADER) throw bad(`a header of ${size} bytes`);
      const content = new TextDecoder().decode(await input.take(size));
      longName = type === 'L' ? content.replace(/\0.*$/s, '') : (paxPath(content) ?? longName);
      await input.skip(padding);
      continue;
    }
    const name = longName ?? nameIn(header);
    longName = undefined;
    const wanted = type === '0' || type === '\0' ? sizeOf(name) : undefined;
    if (wanted === undefined) await input.skip(size + padding);
    else {
      if (size !== wanted) throw bad(`${JSON.stringify(name)} has ${size} bytes, not ${wanted}`);
      yield { name, bytes: await input.take(size) };
      await input.skip(padding);
    }
  }
}

/** The inflated bytes of a file, taken in order. */
function byteQueue(path: string, bad: (why: string, cause?: unknown) => DwpError) {
  const file = createReadStream(path);
  const gunzip = createGunzip();
  file.on('error', (error) => gunzip.destroy(error));
  const chunks: AsyncIterator<Buffer> = file.pipe(gunzip)[Symbol.asyncIterator]();
  let chunk: Uint8Array = new Uint8Array(0);
  let total = 0;
  const each = async (length: number, use: (part: Uint8Array, at: number) => void) => {
    for (let at = 0; at < length; ) {
      if (chunk.length === 0) {
        const next = await chunks.next().catch((error) => {
          throw bad(messageOf(error), error);
        });
        if (next.done) throw bad('it ends too early');
        chunk = next.value;
        total += chunk.length;
        if (total > MOST_INFLATED) throw bad(`more than ${MOST_INFLATED} bytes when inflated`);
      }
      const part = chunk.subarray(0, length - at);
      use(part, at);
      at += part.length;
      chunk = chunk.subarray(part.length);
    }
  };
  return {
    async take(length: number): Promise<Uint8Array> {
      const bytes = new Uint8Array(length);
      await each(length, (part, at) => bytes.set(part, at));
      return bytes;
    },
    skip: (length: number) => each(length, () => {}),
  };
}

const text = (header: Uint8Array, at: number, length: number) =>
  new TextDecoder().decode(header.subarray(at, at + length)).replace(/\0.*$/s, '');

/** An octal number; NaN for anything else. */
function number(header: Uint8Array, at: number, length: number): number {
  const digits = text(header, at, length).trim();
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}

/** The sum of a header's bytes, its own eight digits counted as spaces. */
const checksum = (header: Uint8Array): number =>
  header.reduce((sum, byte, i) => sum + (i >= 148 && i < 156 ? 32 : byte), 0);

function nameIn(header: Uint8Array): string {
  const prefix = text(header, 257, 5) === 'ustar' ? text(header, 345, 155) : '';
  const name = text(header, 0, 100);
  return prefix ? `${prefix}/${name}` : name;
}

/** `path` of the records `length key=value`. */
const paxPath = (records: string): string | undefined => /^\d+ path=([^\n]*)$/m.exec(records)?.[1];
