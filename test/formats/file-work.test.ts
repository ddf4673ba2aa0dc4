// Writing and digests here and in a thread: the same files, the same sha256, and errors that come back.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FileWork, fingerprint, startFileWork } from '../../src/formats/file-work.js';

const COMPILED = join(import.meta.dirname, '../../dist/formats/file-work.js');
const folder = mkdtempSync(join(tmpdir(), 'dwp-file-work-'));
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

beforeAll(() => {
  if (!existsSync(COMPILED)) execFileSync('npm', ['run', '--silent', 'build']);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(['here', 'in a thread'])('%s', (where) => {
  let work: FileWork;
  const own = join(folder, where);
  beforeAll(async () => {
    mkdirSync(own);
    const threaded = where === 'in a thread';
    const start: typeof startFileWork = threaded
      ? (await import(pathToFileURL(COMPILED).href)).startFileWork
      : startFileWork;
    work = start(threaded);
  });
  afterAll(() => work.close());

  test('a file that grows, beside a digest that was asked for before', async () => {
    const large = new Uint8Array(2 ** 25 + 3).map((_, i) => i % 251);
    writeFileSync(join(own, 'large'), large);
    const digested = work.digest(join(own, 'large'), large.length);
    const file = work.create(join(own, 'grown'));
    const pieces = Array.from({ length: 40 }, (_, i) => new Uint8Array(2 ** 20).fill(i));
    const whole = Buffer.concat(pieces);
    for (const piece of pieces) {
      file.append(piece);
      await work.settled();
    }
    expect(await file.finish()).toBe(sha256(whole));
    expect(sha256(readFileSync(join(own, 'grown')))).toBe(sha256(whole));
    expect((await digested).sha256).toBe(sha256(large));
  });

  test('errors come back where they are waited for', async () => {
    await expect(work.digest(join(own, 'none'), 1)).rejects.toThrow(/ENOENT/);
    writeFileSync(join(own, 'short'), 'abc');
    await expect(work.digest(join(own, 'short'), 4)).rejects.toThrow(/became shorter/);
    const make = async () => {
      const file = work.create(join(own, 'short')); // it exists
      await file.finish();
    };
    await expect(make()).rejects.toThrow(/cannot be written \(it exists already\)/);
    expect(readFileSync(join(own, 'short'), 'utf8')).toBe('abc');
  });
});

test('fingerprints: the same for a copy; another length, start or end tells files apart', () => {
  const write = (name: string, bytes: Uint8Array) => {
    writeFileSync(join(folder, name), bytes);
    return fingerprint(join(folder, name), bytes.length);
  };
  const bytes = new Uint8Array(10 ** 6).map((_, i) => i % 7);
  const one = write('one', bytes);
  expect(write('two', bytes)).toBe(one);
  expect(write('three', bytes.subarray(1))).not.toBe(one);
  for (const at of [0, 500_000, bytes.length - 1]) {
    const other = bytes.slice();
    other[at] ^= 1;
    expect(write('other', other)).not.toBe(one);
  }
});
