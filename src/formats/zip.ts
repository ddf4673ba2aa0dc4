// Zip archives: the list of entries, and each entry as a byte source of its own. Nothing is extracted to disk.
import { constants, gunzipSync } from 'node:zlib';
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader } from 'yauzl';
import { DwpError, inputError, messageOf } from '../errors.js';
import { type ByteSource, memorySource, partOf, shown } from './source.js';

export interface ZipEntry {
  /** As the archive has it: untrusted, and no path to write to. */
  name: string;
  /** Bytes of the content. */
  size: number;
  compressedSize: number;
  crc32: number;
  /** Whether the content lies in the archive as it is. */
  stored: boolean;
  /** Of the entry's own header in the archive. */
  headerOffset: number;
}

export interface ZipArchive {
  /** In the archive's order; no two have the same name, and none is a folder. */
  entries: readonly ZipEntry[];
  /**
   * A stored entry is a view of the archive; a deflated one is inflated whole by this call, so keep the source no
   * longer than its bytes are needed. An inflated entry is checked against its checksum.
   *
   * @throws DwpError INPUT when the content is damaged, encrypted or longer than its entry says
   */
  open(entry: ZipEntry): ByteSource;
  /**
   * The first bytes of an entry, for which a deflated one is inflated in part.
   *
   * @returns `length` bytes, fewer when the content is shorter
   */
  head(entry: ZipEntry, length: number): Uint8Array;
}

const MOST_ENTRIES = 100_000;
const LONGEST_NAME = 4096;
const MOST_INFLATED = 2 ** 31;
const LOCAL_HEADER = 30;
/** What one byte can become at most: deflate writes 258 bytes with two codes of one bit. */
const DEFLATE_RATIO = 1032;
const ENCRYPTED = 1;

export const isZip = (head: Uint8Array): boolean =>
  head[0] === 0x50 &&
  head[1] === 0x4b &&
  ((head[2] === 3 && head[3] === 4) || (head[2] === 5 && head[3] === 6));

/**
 * Reads the list of entries (zip64, too) and no content.
 *
 * @throws DwpError INPUT when the source is no complete zip archive, when it has over 100,000 entries, two of one
 * name, or entries that overlap
 */
export async function openZip(source: ByteSource): Promise<ZipArchive> {
  const bad = (why: string, cause?: unknown) =>
    inputError(`${source.path}: not a complete zip archive (${why})`, 'fetch or export it again', cause);
  const listed: Entry[] = [];
  try {
    const zip = await fromRandomAccessReaderPromise(new SourceReader(source), source.size);
    if (zip.entryCount > MOST_ENTRIES) throw bad(`${zip.entryCount} entries, more than ${MOST_ENTRIES}`);
    for await (const entry of zip.eachEntry()) listed.push(entry);
  } catch (error) {
    if (error instanceof DwpError) throw error;
    throw bad(messageOf(error), error);
  }
  const names = new Set<string>();
  const entries: ZipEntry[] = [];
  let total = 0;
  for (const entry of listed) {
    const { fileName: name, compressedSize, uncompressedSize: size, compressionMethod: method } = entry;
    if (name.length > LONGEST_NAME) throw bad(`a name of ${name.length} characters`);
    if (names.has(name)) throw bad(`two entries are called ${shown(name)}`);
    names.add(name);
    if (name.endsWith('/')) continue;
    if (method !== 0 && method !== 8) throw bad(`${shown(name)} is compressed by method ${method}`);
    if (entry.generalPurposeBitFlag & ENCRYPTED) throw bad(`${shown(name)} is encrypted`);
    const most = method === 0 ? compressedSize : DEFLATE_RATIO * compressedSize;
    if (size > most || (method === 0 && size !== compressedSize))
      throw bad(`${shown(name)} claims ${size} bytes in ${compressedSize}`);
    total += LOCAL_HEADER + compressedSize;
    // entries that share bytes would cost the same bytes to be inflated again and again
    if (total > source.size) throw bad('its entries are larger than the file, or overlap');
    const headerOffset = entry.relativeOffsetOfLocalHeader;
    entries.push({ name, size, compressedSize, crc32: entry.crc32, stored: method === 0, headerOffset });
  }
  return {
    entries,
    open: (entry) => openEntry(source, entry),
    head: (entry, length) => readHead(source, entry, length),
  };
}

/** Yauzl's view of a source. */
class SourceReader extends RandomAccessReader {
  constructor(private readonly source: ByteSource) {
    super();
  }

  override _readStreamForRange(): never {
    throw new Error('contents are not read through streams');
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    done: (error: Error | null) => void,
  ): void {
    try {
      buffer.set(this.source.read(position, length), offset);
    } catch (error) {
      done(error as Error);
      return;
    }
    done(null);
  }
}

/** The bytes of an entry as they lie in the archive. */
function packed(source: ByteSource, entry: ZipEntry): ByteSource {
  const header = source.read(entry.headerOffset, LOCAL_HEADER);
  const view = new DataView(header.buffer);
  const path = `${source.path}, entry ${shown(entry.name)}`;
  if (view.getUint32(0, true) !== 0x04034b50)
    throw inputError(
      `${path}: damaged (no entry begins at ${entry.headerOffset})`,
      'fetch or export it again',
    );
  // name and extra field of this header, which may differ in length from those of the list
  const start = entry.headerOffset + LOCAL_HEADER + view.getUint16(26, true) + view.getUint16(28, true);
  return { ...partOf(source, start, entry.compressedSize), path };
}

function openEntry(source: ByteSource, entry: ZipEntry): ByteSource {
  const content = packed(source, entry);
  if (entry.stored) return content;
  if (entry.size > MOST_INFLATED)
    throw inputError(
      `${content.path}: ${entry.size} bytes when inflated, more than ${MOST_INFLATED}`,
      'store it without compression',
    );
  return memorySource(inflate(content, entry, entry.compressedSize), content.path);
}

function readHead(source: ByteSource, entry: ZipEntry, length: number): Uint8Array {
  const content = packed(source, entry);
  const wanted = Math.min(length, entry.size);
  if (entry.stored) return content.read(0, wanted);
  // deflate makes nothing longer by more than the tables of a block, below 1 KiB
  const prefix = Math.min(entry.compressedSize, wanted + 1024);
  return inflate(content, entry, prefix).subarray(0, wanted);
}

/**
 * Makes a gzip file of the deflated bytes, so that zlib itself compares checksum and length at its end.
 *
 * @param length how many of the deflated bytes; checked only when it is all
 */
function inflate(content: ByteSource, { size, crc32, compressedSize }: ZipEntry, length: number): Uint8Array {
  const whole = length === compressedSize;
  const gzip = new Uint8Array(10 + length + 8);
  gzip.set([0x1f, 0x8b, 8]);
  gzip.set(content.read(0, length), 10);
  const end = new DataView(gzip.buffer, 10 + length);
  end.setUint32(0, crc32, true);
  end.setUint32(4, size % 2 ** 32, true);
  try {
    const inflated = gunzipSync(whole ? gzip : gzip.subarray(0, -8), {
      maxOutputLength: Math.max(1, whole ? size : DEFLATE_RATIO * length),
      finishFlush: whole ? constants.Z_FINISH : constants.Z_SYNC_FLUSH,
    });
    if (whole && inflated.length !== size) throw new Error(`${inflated.length} bytes, not ${size}`);
    return inflated;
  } catch (error) {
    throw inputError(`${content.path}: damaged (${messageOf(error)})`, 'fetch or export it again', error);
  }
}
