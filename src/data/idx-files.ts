// Where the four IDX files of a dataset lie, under all the names that they are published with: MNIST's own with a dash
// or a dot, EMNIST's with a prefix, plain or gzipped, in the folder given or in one that torchvision made in it.
import { type Dirent, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { inputError, messageOf } from '../errors.js';

export interface IdxFiles {
  trainImages: string;
  trainLabels: string;
  testImages: string;
  testLabels: string;
}

const ROLES: readonly [keyof IdxFiles, string][] = [
  ['trainLabels', 'train-labels-idx1-ubyte'],
  ['testLabels', 't10k-labels-idx1-ubyte'],
  ['trainImages', 'train-images-idx3-ubyte'],
  ['testImages', 't10k-images-idx3-ubyte'],
];

/** `emnist-digits-test-images-idx3-ubyte.gz`: a prefix, the part, images or labels. */
const NAME = /^(?:(.+)[-_.])?(train|t10k|test)[-_.](images|labels)[-_.]idx[134]-ubyte(?:\.gz)?$/i;

/** Files of one folder that belong together: those with the same prefix. */
interface Group {
  folder: string;
  prefix: string;
  files: Partial<IdxFiles>;
}

/**
 * @param name the dataset's: the prefix of its files where there are several
 * @throws DwpError INPUT when files are missing, or several datasets are there
 */
export function findIdxFiles(directory: string, name: string): IdxFiles {
  const below = foldersOf(directory);
  const levels = [[directory], below, below.flatMap((folder) => foldersOf(folder).filter(isRaw))];
  for (const folders of levels) {
    const groups = folders.flatMap(groupsOf);
    if (groups.length === 0) continue;
    const named = groups.filter(({ prefix }) => prefix === name.toLowerCase());
    const [group, another] = groups.length > 1 && named.length > 0 ? named : groups;
    if (another)
      throw inputError(
        `${directory}: several datasets: ${groups.map(({ folder, prefix }) => join(folder, prefix)).join(', ')}`,
        'name the folder of one with --data-dir, or the prefix of its files with --data',
      );
    const missing = ROLES.find(([role]) => !group.files[role]);
    if (missing) throw absent(group.folder, missing[1]);
    return group.files as IdxFiles;
  }
  throw absent(directory, ROLES[0][1]);
}

const absent = (folder: string, file: string) =>
  inputError(
    `${folder}: no ${file} or ${file}.gz`,
    `the folder must hold ${ROLES.map(([, known]) => known).join(', ')}, plain or gzipped`,
  );

const isRaw = (folder: string) => /[\\/]raw$/i.test(folder);

const foldersOf = (folder: string): string[] =>
  entriesOf(folder)
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(folder, entry.name))
    .sort();

function groupsOf(folder: string): Group[] {
  const groups = new Map<string, Group>();
  // a plain file is read before a gzipped one of the same name
  const names = entriesOf(folder).filter((entry) => !entry.isDirectory());
  for (const file of names.map((entry) => entry.name).sort()) {
    const [, before = '', part, what] = NAME.exec(file) ?? [];
    if (part === undefined) continue;
    const prefix = before.toLowerCase();
    const group = groups.get(prefix) ?? { folder, prefix, files: {} };
    groups.set(prefix, group);
    const role = `${part.toLowerCase() === 'train' ? 'train' : 'test'}${what.toLowerCase() === 'images' ? 'Images' : 'Labels'}`;
    group.files[role as keyof IdxFiles] ??= join(folder, file);
  }
  return [...groups.values()];
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    throw inputError(`${folder}: cannot be read (${messageOf(error)})`, 'check --data-dir', error);
  }
}
