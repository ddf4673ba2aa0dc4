// Zip archives for tests, with every field of an entry open to lies.
import { deflateRawSync } from 'node:zlib';

export interface ZipContent {
  name: string;
  content: Uint8Array;
  deflate?: boolean;
  /** What the archive claims instead of the truth. */
  claims?: { size?: number; compressedSize?: number; crc32?: number; method?: number; flags?: number };
  /** Claims another place for the entry than where it lies. */
  headerOffset?: number;
  /** Of the local header only, as torch.save pads its storages. */
  padding?: number;
}

/** @param count claimed number of entries */
export function zipFile(contents: readonly ZipContent[], count = contents.length): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const list: Uint8Array[] = [];
  let at = 0;
  for (const { name, content, deflate, claims, headerOffset, padding = 0 } of contents) {
    const data = deflate ? deflateRawSync(content) : content;
    const encoded = new TextEncoder().encode(name);
    const common = fields([
      [2, 20],
      [2, claims?.flags ?? 0],
      [2, claims?.method ?? (deflate ? 8 : 0)],
      [4, 0],
      [4, claims?.crc32 ?? checksum(content)],
      [4, claims?.compressedSize ?? data.length],
      [4, claims?.size ?? content.length],
      [2, encoded.length],
    ]);
    const local = [
      fields([[4, 0x04034b50]]),
      common,
      fields([[2, padding]]),
      encoded,
      new Uint8Array(padding),
    ];
    list.push(
      ...[fields([[4, 0x02014b50]]), fields([[2, 20]]), common, fields([[2, 0]])],
      fields([
        [2, 0],
        [2, 0],
        [2, 0],
        [4, 0],
        [4, headerOffset ?? at],
      ]),
      encoded,
    );
    parts.push(...local, data);
    at += lengthOf([...local, data]);
  }
  const end = fields([
    [4, 0x06054b50],
    [2, 0],
    [2, 0],
    [2, count],
    [2, count],
    [4, lengthOf(list)],
    [4, at],
    [2, 0],
  ]);
  return new Uint8Array(Buffer.concat([...parts, ...list, end]));
}

const lengthOf = (arrays: readonly Uint8Array[]) => arrays.reduce((sum, { length }) => sum + length, 0);

/** Little-endian unsigned numbers. @param values [bytes, value] */
function fields(values: readonly (readonly [2 | 4, number])[]): Uint8Array {
  const bytes = Buffer.alloc(values.reduce((sum, [width]) => sum + width, 0));
  let at = 0;
  for (const [width, value] of values) at = bytes.writeUIntLE(value, at, width);
  return bytes;
}

/** CRC-32 bit by bit. */
function checksum(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
