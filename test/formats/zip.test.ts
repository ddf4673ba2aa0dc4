import { expect, test } from 'vitest';
import { DwpError } from '../../src/errors.js';
import { memorySource, readAll } from '../../src/formats/source.js';
import { openZip } from '../../src/formats/zip.js';
import { type ZipContent, zipFile } from './write-zip.js';

const open = (bytes: Uint8Array) => openZip(memorySource(bytes, 'a.zip'));
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const content = new TextEncoder().encode('kernel '.repeat(1000));
const noise = Uint8Array.from({ length: 50_000 }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 13) & 0xff);

test('stored and deflated entries, whole and from the head', async () => {
  const zip = await open(
    zipFile([
      { name: 'folder/', content: new Uint8Array() },
      { name: 'folder/stored', content, padding: 37 },
      { name: 'deflated', content, deflate: true },
      { name: 'noise', content: noise, deflate: true },
      { name: 'empty', content: new Uint8Array(), deflate: true },
    ]),
  );
  expect(zip.entries.map(({ name, size, stored }) => ({ name, size, stored }))).toEqual([
    { name: 'folder/stored', size: 7000, stored: true },
    { name: 'deflated', size: 7000, stored: false },
    { name: 'noise', size: 50_000, stored: false },
    { name: 'empty', size: 0, stored: false },
  ]);
  const [stored, deflated, random, empty] = zip.entries;
  for (const entry of [stored, deflated]) {
    expect(text(readAll(zip.open(entry)))).toBe(text(content));
    expect(text(zip.open(entry).read(7, 6))).toBe('kernel');
    expect(text(zip.head(entry, 10))).toBe('kernel ker');
  }
  expect([...zip.head(random, 4000)]).toEqual([...noise.subarray(0, 4000)]);
  expect(zip.head(random, 1e6)).toHaveLength(50_000);
  expect(readAll(zip.open(empty))).toHaveLength(0);
  expect(zip.open(stored).path).toBe('a.zip, entry "folder/stored"');
});

const one = (claims: ZipContent['claims'], deflate = true): Uint8Array =>
  zipFile([{ name: 'a', content, deflate, claims }]);

test.each([
  ['no zip', content, /not a complete zip archive/],
  ['cut off', zipFile([{ name: 'a', content }]).subarray(0, -30), /not a complete zip archive/],
  ['more entries than there are', zipFile([{ name: 'a', content }], 9), /truncated or damaged/],
  ['a bomb by its ratio', one({ size: 2 ** 31 }), /"a" claims 2147483648 bytes in \d+/],
  ['stored with two sizes', one({ size: 1, compressedSize: 2 }, false), /not a complete zip archive/],
  ['more than the file', one({ compressedSize: 10_000 }), /larger than the file, or overlap/],
  ['unknown method', one({ method: 14 }), /compressed by method 14/],
  ['encrypted', one({ flags: 1 }), /encrypted/],
  [
    'twice the same name',
    zipFile([
      { name: 'a', content },
      { name: 'a', content },
    ]),
    /two entries are called "a"/,
  ],
  [
    'entries on top of each other',
    zipFile(
      ['a', 'b', 'c'].map((name, i) => ({
        name,
        content: i ? new Uint8Array() : noise,
        deflate: true,
        headerOffset: 0,
        claims: { compressedSize: 40_000, size: 50_000 },
      })),
    ),
    /overlap/,
  ],
])('%s is refused', async (_, bytes, message) => {
  const failure = await open(bytes).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(DwpError);
  expect(failure).toMatchObject({ code: 'INPUT', message: expect.stringMatching(/^a\.zip: /) });
  expect((failure as DwpError).message).toMatch(message);
});

test.each([
  ['longer than it says', one({ size: 6999 })],
  ['shorter than it says', one({ size: 7001 })],
  ['another checksum', one({ crc32: 1 })],
  ['cut short', one({ compressedSize: 20 })],
  ['no header where it should be', zipFile([{ name: 'a', content, headerOffset: 5 }])],
  ['a header after the end', zipFile([{ name: 'a', content, headerOffset: 0xfffffff0 }])],
  [
    'content after the end',
    zipFile([{ name: 'a', content: new Uint8Array(100), padding: 3, headerOffset: 0 }]).fill(0xff, 26, 30),
  ],
])('content %s is refused', async (_, bytes) => {
  const zip = await open(bytes);
  expect(() => readAll(zip.open(zip.entries[0]))).toThrow(DwpError);
  expect(() => readAll(zip.open(zip.entries[0]))).toThrow(/^a\.zip.*(damaged|truncated)/);
});
