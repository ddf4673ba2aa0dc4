// From what a person names (files, folders, patterns) to model files, in an order that does not depend on the disk.
import { type Dirent, lstatSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, normalize, sep } from 'node:path';
import { inputError, messageOf } from '../errors.js';

export interface ModelFile {
  path: string;
  /** For the record: the path from the folder that was named, or the file's own name. */
  name: string;
}

/**
 * Folders are searched recursively for the given extensions; symbolic links inside them are not followed. A path
 * that does not exist may be a pattern: `*` and `?` stay inside one name, `**` crosses folders.
 *
 * @param extensions lower case, with the dot; files named outright may have any
 * @param also whether a file of another extension counts
 * @returns each file once, in the order of `paths`, then by name
 * @throws DwpError INPUT when a path does not exist, cannot be read, or leads to no file
 */
export function findModelFiles(
  paths: readonly string[],
  extensions: readonly string[],
  also: (path: string) => boolean = () => false,
): ModelFile[] {
  const files = new Map<string, ModelFile>();
  const add = (file: ModelFile) => files.has(normalize(file.path)) || files.set(normalize(file.path), file);
  for (const path of paths) {
    const isModel = (file: string) =>
      extensions.some((extension) => file.toLowerCase().endsWith(extension)) || also(file);
    const found = filesOf(path, isModel);
    if (found.length === 0)
      throw inputError(`${path}: no model files`, `models are files that end in ${extensions.join(', ')}`);
    found.forEach(add);
  }
  return [...files.values()];
}

function filesOf(path: string, isModel: (file: string) => boolean): ModelFile[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) {
    const folder = basename(normalize(path)).replace(/^\.+$/, '');
    return walk(path)
      .filter((inside) => isModel(join(path, inside)))
      .map((inside) => ({ path: join(path, inside), name: join(folder, inside).split(sep).join('/') }));
  }
  if (stat) return [{ path, name: basename(path) }];
  const wild = path.search(/[*?]/);
  if (wild === -1) throw inputError(`${path}: no such file or folder`, 'check the path');
  const root = path.slice(0, wild).includes('/')
    ? path.slice(0, path.slice(0, wild).lastIndexOf('/') + 1)
    : '.';
  if (!lstatSync(root, { throwIfNoEntry: false })?.isDirectory())
    throw inputError(`${path}: no such file or folder`, 'check the path');
  const matches = pattern(path);
  return walk(root)
    .map((inside) => (root === '.' ? inside : join(root, inside)))
    .filter((file) => matches.test(file) && isModel(file))
    .map((file) => ({
      path: file,
      name: join(basename(dirname(file)), basename(file))
        .split(sep)
        .join('/'),
    }));
}

/** Files below a folder, relative to it, by name. */
function walk(folder: string, inside = ''): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(join(folder, inside), { withFileTypes: true });
  } catch (error) {
    throw inputError(`${join(folder, inside)}: cannot be read (${messageOf(error)})`);
  }
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(inside, entry.name);
      if (entry.isDirectory()) return walk(folder, path);
      return entry.isFile() ? [path] : [];
    });
}

function pattern(glob: string): RegExp {
  const source = normalize(glob)
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*\*\/|\*\*|\*|\?/g, (wild) =>
      wild === '**/' ? '(?:.*/)?' : wild === '**' ? '.*' : wild === '*' ? '[^/]*' : '[^/]',
    );
  return new RegExp(`^${source}$`);
}
