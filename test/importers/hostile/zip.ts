// Zip archives that tell lies: a writer whose every field can be overridden, and a reader for the tests' own seeds.
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';

export interface ZipEntry {
  name: string;
  bytes: Uint8Array;
  /** Packed by deflate rather than stored. */
  deflate?: boolean;
  /** Data as it stands in the file, when that is not the packed `bytes`. */
  packed?: Uint8Array;
  /** Written to the headers in place of what is true. */
  lies?: Partial<Record<'size' | 'packedSize' | 'crc' | 'method' | 'flags' | 'offset', number>>;
}

const [LOCAL, CENTRAL, END] = [0x04034b50, 0x02014b50, 0x06054b50];

/** Bytes of an archive; entries that share one array of `packed` share its place in the file. */
export function zip(entries: readonly ZipEntry[]): Uint8Array<ArrayBuffer> {
  const locals: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  const places = new Map<Uint8Array, number>();
  let at = 0;
  for (const entry of entries) {
    const { bytes, deflate = false, lies = {} } = entry;
    const name = new TextEncoder().encode(entry.name);
    const packed = entry.packed ?? (deflate ? deflateRawSync(bytes) : bytes);
    const method = lies.method ?? (deflate ? 8 : 0);
    const common = new DataView(new ArrayBuffer(26));
    common.setUint16(0, 20, true);
    common.setUint16(2, lies.flags ?? 0x800, true);
    common.setUint16(4, method, true);
    common.setUint32(10, lies.crc ?? crc32(bytes), true);
    common.setUint32(14, lies.packedSize ?? packed.length, true);
    common.setUint32(18, lies.size ?? bytes.length, true);
    common.setUint16(22, name.length, true);
    const fields = new Uint8Array(common.buffer);
    let offset = entry.packed && places.get(entry.packed);
    if (offset === undefined) {
      offset = at;
      if (entry.packed) places.set(entry.packed, at);
      const local = joined(number(LOCAL, 4), fields, name, packed);
      locals.push(local);
      at += local.length;
    }
    central.push(
      joined(
        number(CENTRAL, 4),
        number(20, 2),
        fields,
        new Uint8Array(10),
        number(lies.offset ?? offset, 4),
        name,
      ),
    );
  }
  const directory = joined(...central);
  const count = number(Math.min(entries.length, 0xffff), 2);
  const end = [
    number(END, 4),
    number(0, 4),
    count,
    count,
    number(directory.length, 4),
    number(at, 4),
    number(0, 2),
  ];
  return joined(...locals, directory, ...end);
}

/** @returns the entries of a sound archive, or undefined for anything else */
export function unzip(bytes: Uint8Array): ZipEntry[] | undefined {
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let end = bytes.length - 22;
    while (end >= 0 && view.getUint32(end, true) !== END) end--;
    if (end < 0) return undefined;
    const entries: ZipEntry[] = [];
    let at = view.getUint32(end + 16, true);
    for (let left = view.getUint16(end + 10, true); left > 0; left--) {
      const [nameLength, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
      const local = view.getUint32(at + 42, true);
      const deflate = view.getUint16(at + 10, true) === 8;
      const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
      const packed = bytes.subarray(start, start + view.getUint32(at + 20, true));
      const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength));
      const unpacked = deflate ? inflateRawSync(packed, { maxOutputLength: 2 ** 24 }) : packed;
      entries.push({ name, bytes: unpacked, deflate });
      at += 46 + nameLength + extra + comment;
    }
    return entries;
  } catch {
    return undefined;
  }
}

export function number(value: number, width: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: width }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff);
}

export function joined(...pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
