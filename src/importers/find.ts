// From what a person names (files, folders, patterns) to model files, in an order that does not depend on the disk.
import { type Dirent, lstatSync, readdirSync } from 'node:fs';
import { basename, dirname, join, normalize, sep } from 'node:path';
import { inputError, messageOf } from '../errors.js';
import { statOf } from '../formats/read-file.js';
import type { ModelFile } from './importer.js';
import { joinShards } from './join-shards.js';
import { isUnknownKind, otherKind } from './other-kinds.js';

/** A file of a folder that may hold a network and is not read. */
export interface PassedOver {
  path: string;
  /** A noun phrase: what the file is. */
  what: string;
  /** What its owner can do. */
  remedy: string;
}

export interface FoundFiles {
  files: ModelFile[];
  passedOver: PassedOver[];
}

/**
 * Folders are searched recursively for models; symbolic links inside them are not followed. A path that does not
 * exist may be a pattern: `*` and `?` stay inside one name, `**` crosses folders. Files of one model are one.
 *
 * @param isModel whether a file of a folder is a model that can be read; files named outright may be anything
 * @param endings of names of models, for messages
 * @returns each model once, in the order of `paths`, then by name
 * @throws DwpError INPUT when a path does not exist, cannot be read, or leads to no file
 */
export function findFiles(
  paths: readonly string[],
  isModel: (path: string) => boolean,
  endings: readonly string[],
): FoundFiles {
  const files = new Map<string, ModelFile>();
  const passedOver: PassedOver[] = [];
  for (const path of paths) {
    const found = filesOf(path, isModel);
    if (found.files.length === 0) throw noModels(path, found.passedOver, endings);
    for (const file of found.files)
      if (!files.has(normalize(file.path))) files.set(normalize(file.path), file);
    passedOver.push(...found.passedOver);
  }
  return { files: joinShards([...files.values()]), passedOver };
}

function noModels(path: string, passedOver: readonly PassedOver[], endings: readonly string[]) {
  const known = `models are files that end in ${endings.join(', ')}`;
  if (passedOver.length === 0) return inputError(`${path}: no model files`, known);
  return inputError(`${path}: no model files that can be read; ${passedOverText(passedOver)}`, known);
}

const MOST_NAMED = 3;

/** One line: how many files were passed over, with names, what they are and what to do. */
export function passedOverText(passedOver: readonly PassedOver[]): string {
  const kinds = new Map<string, PassedOver[]>();
  for (const file of passedOver) {
    const key = `${file.what}: ${file.remedy}`;
    kinds.set(key, [...(kinds.get(key) ?? []), file]);
  }
  const parts = [...kinds].map(([about, files]) => {
    const names = files.slice(0, MOST_NAMED).map(({ path }) => basename(path));
    const more = files.length > MOST_NAMED ? ` and ${files.length - MOST_NAMED} more` : '';
    return `${names.join(', ')}${more} (${about})`;
  });
  return `${passedOver.length} file${passedOver.length === 1 ? '' : 's'} passed over: ${parts.join('; ')}`;
}

function filesOf(path: string, isModel: (file: string) => boolean): FoundFiles {
  const stat = statOf(path);
  if (stat?.isDirectory()) {
    const whole = otherKind(normalize(path).replace(/[\\/]+$/, ''));
    if (whole) throw inputError(`${path}: ${whole.what}, which is not read`, whole.remedy);
    const folder = basename(normalize(path)).replace(/^\.+$/, '');
    const nameOf = (inside: string) => join(folder, inside).split(sep).join('/');
    return chosen(walk(path), isModel, (inside) => ({ path: join(path, inside), name: nameOf(inside) }));
  }
  if (stat) return { files: [{ path, name: basename(path) }], passedOver: [] };
  const wild = path.search(/[*?]/);
  if (wild === -1) throw inputError(`${path}: no such file or folder`, 'check the path');
  const root = path.slice(0, wild).includes('/')
    ? path.slice(0, path.slice(0, wild).lastIndexOf('/') + 1)
    : '.';
  if (!lstatSync(root, { throwIfNoEntry: false })?.isDirectory())
    throw inputError(`${path}: no such file or folder`, 'check the path');
  const matches = pattern(path);
  const pathOf = (inside: string) => (root === '.' ? inside : join(root, inside));
  return chosen(
    walk(root).filter(({ inside }) => matches.test(pathOf(inside))),
    isModel,
    (inside) => {
      const file = pathOf(inside);
      return {
        path: file,
        name: join(basename(dirname(file)), basename(file))
          .split(sep)
          .join('/'),
      };
    },
  );
}

/** Models among the entries of a folder, and what else may be one. */
function chosen(
  entries: readonly Entry[],
  isModel: (file: string) => boolean,
  fileOf: (inside: string) => ModelFile,
): FoundFiles {
  const found: FoundFiles = { files: [], passedOver: [] };
  const pass = (path: string, what: string, remedy: string) => found.passedOver.push({ path, what, remedy });
  const shards = new Set(
    entries.filter(({ inside }) => inside.endsWith('.json')).map(({ inside }) => dirname(inside)),
  );
  for (const { inside, type } of entries) {
    const file = fileOf(inside);
    if (type === 'file' && isModel(file.path)) {
      found.files.push(file);
      continue;
    }
    const other = otherKind(inside);
    if (type === 'link') {
      if (other || isUnknownKind(inside))
        pass(
          file.path,
          'a link, which is not followed inside of a folder',
          'name the file itself, or copy it',
        );
    } else if (other) {
      // beside a .json, numbers without names are those of TensorFlow.js
      if (!(inside.endsWith('.bin') && shards.has(dirname(inside))))
        pass(file.path, other.what, other.remedy);
    } else if (isUnknownKind(inside))
      pass(file.path, 'of an unknown kind', 'name the file itself where it is a model');
  }
  return found;
}

interface Entry {
  /** Relative to the folder. */
  inside: string;
  /** `folder`: one that is a model as a whole. */
  type: 'file' | 'link' | 'folder';
}

/** What is below a folder, by name. */
function walk(folder: string, inside = ''): Entry[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(join(folder, inside), { withFileTypes: true });
  } catch (error) {
    throw inputError(`${join(folder, inside)}: cannot be read (${messageOf(error)})`);
  }
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry): Entry[] => {
      const path = join(inside, entry.name);
      if (entry.isDirectory())
        return /\.(mlpackage|mlmodelc)$/i.test(entry.name)
          ? [{ inside: path, type: 'folder' }]
          : walk(folder, path);
      if (entry.isSymbolicLink()) return [{ inside: path, type: 'link' }];
      return entry.isFile() ? [{ inside: path, type: 'file' }] : [];
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
