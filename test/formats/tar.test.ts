// Archives of npm: what is read, and what damaged ones end in.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { filesOfTar } from '../../src/formats/tar.js';
import { type TarContent, tarball } from '../sources/write-tar.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-tar-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function read(archive: Uint8Array, sizes: Record<string, number>): Promise<Record<string, string>> {
  const path = join(folder, 'package.tgz');
  writeFileSync(path, archive);
  const found: Record<string, string> = {};
  for await (const { name, bytes } of filesOfTar(path, (name) => sizes[name]))
    found[name] = Buffer.from(bytes).toString();
  return found;
}

const FILES: TarContent[] = [
  { name: 'package/', type: '5' },
  { name: 'package/a.txt', content: 'first' },
  { name: 'package/large.bin', content: 'x'.repeat(70_000) },
  { name: 'package/b.txt', content: 'second' },
];

test('wanted files alone, whatever lies between them', async () => {
  expect(await read(tarball(FILES), { 'package/a.txt': 5, 'package/b.txt': 6 })).toEqual({
    'package/a.txt': 'first',
    'package/b.txt': 'second',
  });
});

test('long names: of pax headers and of GNU', async () => {
  const long = `package/${'deep/'.repeat(40)}file`;
  const record = ` path=${long}\n`;
  const length = record.length + String(record.length + 3).length;
  for (const header of [
    { name: 'PaxHeader', type: 'x', content: `${length}${record}` },
    { name: '././@LongLink', type: 'L', content: `${long}\0` },
  ])
    expect(await read(tarball([header, { name: 'cut', content: 'deep' }]), { [long]: 4 })).toEqual({
      [long]: 'deep',
    });
});

test('links of a wanted name are passed over', async () => {
  const link = { name: 'package/a.txt', type: '2' };
  expect(await read(tarball([link, { name: 'b', content: 'b' }]), { 'package/a.txt': 0, b: 1 })).toEqual({
    b: 'b',
  });
});

test.each<[string, Uint8Array, RegExp]>([
  ['another size', tarball([{ name: 'a', content: '12345678901' }]), /"a" has 11 bytes, not 10/],
  ['a wrong checksum', tarball([{ name: 'a', claims: { checksum: 1 } }]), /a header is damaged/],
  ['a size beyond the end', tarball([{ name: 'b', claims: { size: 2 ** 32 } }]), /ends too early/],
  ['an end that is missing', gzipSync(gunzipSync(tarball(FILES)).subarray(0, 1536)), /ends too early/],
  ['a cut compressed stream', tarball(FILES).subarray(0, 60), /not a complete archive/],
  ['another format', Buffer.from('<html>'), /not a complete archive/],
  ['a header of a gigabyte', tarball([{ name: 'x', type: 'x', claims: { size: 2 ** 30 } }]), /a header of/],
])('%s is refused', async (_, archive, message) => {
  await expect(read(archive, { a: 10 })).rejects.toThrow(message);
});
