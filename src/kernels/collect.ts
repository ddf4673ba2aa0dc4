// Model files → a kernel dataset, in two passes: which kernels to take, then copying them. In memory are one tensor
// per thread and a few bits per kernel, whatever the models hold.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { DwpError, inputError } from '../errors.js';
import { type FileWork, fingerprint, startFileWork } from '../formats/file-work.js';
import { writeJson } from '../formats/files.js';
import { wholeFolder } from '../formats/folders.js';
import { type ModelFile, type OpenedModel, openModel } from '../importers/index.js';
import { clearBit, hasBit } from './bits.js';
import { conversionsAmong, copiesAmong, familiesOf } from './copies.js';
import type { Counts, DatasetDescription, DatasetSource, LayerRecord } from './description.js';
import { DuplicateFinder } from './duplicates.js';
import { compareSizes, type SizeText } from './kernels.js';
import { type Leak, leaksIn } from './leaks.js';
import { nearLeaksIn } from './near-leaks.js';
import type { CollectOptions } from './options.js';
import { type PlannedLayer, planSizes, type SizePlan } from './plan.js';
import type { Quality } from './quality/index.js';
import { type ModelOpener, reasonOf, type ScannedLayer, type ScannedModel } from './scan.js';
import { letThrough, scanModels } from './scan-pool.js';
import { SizeWriter } from './write.js';

export interface CollectHooks {
  signal?: AbortSignal;
  /** Bytes of the models that are done with, of twice their number: both passes count. */
  progress?(bytes: number, total: number, what: string): void;
  /** Told when the folder is taken over from a process that is gone. */
  warn?(line: string): void;
}

export interface Collection {
  /** What was written; undefined where nothing was left, and nothing is written. */
  description?: DatasetDescription;
  /** Models that were used, in order; their index is that of `sources`. */
  models: (UsedModel & Identity)[];
  /** Sizes that were found, with what became of them. */
  sizes: Map<SizeText, { found: number; dropped: Counts; train: number; test: number; split: string }>;
  /** With what the owner of the file can do, where the importer knows it. */
  skipped: { path: string; reason: string; advice?: string; error?: DwpError }[];
  /** Quality of the kernels of each model, for a warning where they look like noise. */
  noise: { name: string; size: SizeText; quality: Quality }[];
  /** Sizes of which more than a percent of the test kernels are nearly copies of train kernels. */
  leaks: Leak[];
}

type UsedModel = Omit<ScannedModel, keyof Identity> & ModelFile & { kernels: Record<SizeText, number> };

/** sha256 of all the files of a model. */
interface Identity {
  sha256: string;
  parts: { name: string; sha256: string; bytes: number }[];
}

type Identify = (model: ScannedModel & ModelFile) => Promise<Identity>;

/** Where a model comes from, and how many threads look at models at once. */
export interface CollectEnvironment {
  threads?: number;
  open?: ModelOpener;
  /** Bytes of a model, for the progress; of a file on the disk when left out. */
  bytesOf?(path: string): number;
  /** Licence of all models, where they do not state one themselves. */
  licence?: string;
  /** Changes what is written to dataset.json. */
  describe?(description: DatasetDescription): DatasetDescription;
}

/**
 * The folder appears as a whole at the end, or not at all.
 *
 * @param out must not exist
 * @throws DwpError USAGE when `out` exists; INPUT when a model changes meanwhile; INTERRUPTED
 */
export async function collectKernels(
  files: readonly ModelFile[],
  out: string,
  options: CollectOptions,
  hooks: CollectHooks = {},
  environment: CollectEnvironment = {},
): Promise<Collection> {
  return wholeFolder(
    out,
    (folder) => collectInto(folder, files, options, hooks, environment),
    ({ description }) => description !== undefined,
    hooks.warn,
  );
}

async function collectInto(
  folder: string,
  files: readonly ModelFile[],
  options: CollectOptions,
  hooks: CollectHooks,
  { threads = 1, open = openModel, bytesOf = fileSize, licence, describe: change }: CollectEnvironment,
): Promise<Collection> {
  const meter = meterOf(files, bytesOf, hooks);
  const places = new Map(files.map(({ path }, i) => [path, i]));
  const layers: (Omit<ScannedLayer, 'hashes'> & { file: number })[] = [];
  const finder = new DuplicateFinder(join(folder, 'hashes'));
  const work = startFileWork(threads > 1);
  try {
    const identify = identifier(work);
    const scanned = await scanModels(
      files,
      options,
      threads,
      {
        signal: hooks.signal,
        progress: (file, share) => meter.set(file, share, 'reading'),
        layer: (file, { hashes, ...layer }) => {
          finder.add(layers.length, hashes);
          layers.push({ ...layer, file });
        },
        // beside the scan of others and the writing, which leaves a core free
        model: (file, model) => {
          if (model.layers > 0) identify({ ...model, ...files[file] }).catch(() => {});
        },
      },
      open,
    );
    const conversions = conversionsIn(scanned, layers);
    const { models, skipped, indexOf } = await chooseModels(files, scanned, conversions, identify);
    const identities = Promise.all(models.map(identify));
    identities.catch(() => {}); // until it is waited for
    const found = markDuplicates(layers, finder, indexOf);
    await letThrough(hooks.signal);
    const limited = (options.maxPerLayer ?? options.maxPerModel) !== undefined;
    const known = limited ? await identities : [];
    const families = familiesOf(models.length, found);
    const plans = planSizes(found, (model) => known[model].sha256, options, families);
    const leaks = leaksIn(plans, found, (model) => models[model].name);
    for (const { model, size, found: kernels } of found)
      models[model].kernels[size] = (models[model].kernels[size] ?? 0) + kernels;
    const sizes = sizesOf(plans);
    const identified = async () => (await identities).map((identity, i) => ({ ...models[i], ...identity }));
    if ([...plans.values()].every(({ train }) => train === 0))
      return { models: await identified(), sizes, skipped, noise: [], leaks };
    const { noise, ...written } = await writeArrays(folder, {
      ...{ models, plans, options, open, work, signal: hooks.signal },
      progress: (model, share) => meter.set(files.length + places.get(models[model].path)!, share, 'writing'),
    });
    const used = await identified();
    const folded = options.foldBatchNorm && used.some(({ batchNorms }) => batchNorms?.folded);
    const collected: DatasetDescription = {
      format: 'dwp-kernels',
      version: 2,
      options: { ...options, ...(folded !== undefined && { foldBatchNorm: folded }) },
      sources: used.map((model) => sourceOf(model, licence)),
      ...written,
    };
    const description = change ? change(collected) : collected;
    writeJson(join(folder, 'dataset.json'), description);
    const near = await nearLeaksIn(folder, description, () => letThrough(hooks.signal));
    const others = near.filter(({ size }) => leaks.every((leak) => leak.size !== size));
    return { description, models: used, sizes, skipped, noise, leaks: [...leaks, ...others] };
  } finally {
    finder.close();
    await work.close();
  }
}

const sizesOf = (plans: ReadonlyMap<SizeText, SizePlan>): Collection['sizes'] =>
  new Map(
    [...plans].map(([size, { layers, train, test, split }]) => [
      size,
      {
        found: sum(layers, (layer) => layer.found),
        dropped: counts(layers),
        ...{ train, test, split: split.by },
      },
    ]),
  );

/** Computes what a model is when it is first asked for. */
function identifier(work: FileWork): Identify {
  const known = new Map<string, Promise<Identity>>();
  const compute = async ({ path, sha256, parts, files }: ScannedModel & ModelFile): Promise<Identity> => {
    if (sha256 !== undefined)
      return { sha256, parts: parts.map((part) => ({ ...part, sha256: part.sha256! })) };
    const all: string[] = [];
    for (const file of files) {
      const digested = await work.digest(file.path, file.bytes).catch(() => undefined);
      if (digested?.modified !== file.modified) throw changed(path);
      all.push(digested.sha256);
    }
    return { sha256: all[0], parts: parts.map((part, i) => ({ ...part, sha256: all[i + 1] })) };
  };
  return (model) => {
    const identity = known.get(model.path) ?? compute(model);
    known.set(model.path, identity);
    return identity;
  };
}

/** Models that are used: those that could be read, have layers, and are no copy of one before. */
async function chooseModels(
  files: readonly ModelFile[],
  scanned: readonly (ScannedModel | DwpError)[],
  conversions: ReadonlyMap<number, { of: number; how: string }>,
  identify: Identify,
) {
  const models: (ScannedModel & UsedModel)[] = [];
  const skipped: Collection['skipped'] = [];
  const indexOf: (number | undefined)[] = [];
  const alike = new Map<string, typeof models>();
  const copied = async (model: ScannedModel & ModelFile, others: typeof models) => {
    for (const other of others)
      if (isDeepStrictEqual(digestsIn(await identify(other)), digestsIn(await identify(model)))) return other;
    return undefined;
  };
  for (const [i, model] of scanned.entries()) {
    const { path } = files[i];
    indexOf.push(undefined);
    if (model instanceof DwpError) {
      skipped.push({ path, reason: reasonOf(model, path), error: model });
      continue;
    }
    const used = { ...model, ...files[i], kernels: {} };
    const likeness = likenessOf(used);
    const others = alike.get(likeness) ?? [];
    const again = await copied(used, others);
    const converted = conversions.get(i);
    const reason = again
      ? `the same file as ${again.path}`
      : converted
        ? `a copy of ${files[converted.of].path} ${converted.how}`
        : noLayers(model);
    if (reason) {
      skipped.push({ path, reason, ...(!again && model.advice && { advice: model.advice }) });
      continue;
    }
    if (others.push(used) === 1) alike.set(likeness, others);
    indexOf[i] = models.length;
    models.push(used);
  }
  return { models, skipped, indexOf };
}

const digestsIn = ({ sha256, parts }: Identity) => [sha256, ...parts.map((part) => part.sha256)];

/** The same for models that are the same, and nearly always different for others. */
function likenessOf({ path, sha256, files }: ScannedModel & ModelFile): string {
  if (sha256 !== undefined) return sha256;
  try {
    return files.map((file) => fingerprint(file.path, file.bytes)).join();
  } catch {
    throw changed(path);
  }
}

function noLayers({ layers, skipped }: ScannedModel): string | undefined {
  if (layers > 0) return undefined;
  const reasons = [...countReasons(skipped)].map(([reason, n]) => `${n} × ${reason}`);
  return `no 2-D convolutions with stored weights${reasons.length > 0 ? ` (${reasons.join('; ')})` : ''}`;
}

/** How many layers were skipped for each reason. */
export function countReasons(skipped: ScannedModel['skipped']): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { reason } of skipped) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return counts;
}

/** Files that are other files' models in another format or precision. */
function conversionsIn(
  scanned: readonly (ScannedModel | DwpError)[],
  layers: readonly (Omit<ScannedLayer, 'hashes'> & { file: number })[],
): Map<number, { of: number; how: string }> {
  const ordered = [...layers].sort((a, b) => a.file - b.file || a.index - b.index);
  const copies = copiesAmong(ordered);
  const dtypes = new Map(ordered.map(({ file, dtype }) => [file, dtype]));
  const models = scanned.map((model, file) => ({
    format: model instanceof DwpError ? '' : model.format,
    dtype: dtypes.get(file) ?? '',
    layers: model instanceof DwpError ? 0 : model.layers,
  }));
  const owned = ordered.map(({ file, found }, i) => ({ model: file, found, copyOf: copies[i] }));
  return new Map(
    [...conversionsAmong(models, owned)].map(([file, of]) => {
      const [{ format, dtype }, original] = [models[file], models[of]];
      return [file, { of, how: dtype !== original.dtype ? `in ${dtype}` : `in another format (${format})` }];
    }),
  );
}

/** Layers of the models that are used, in order, without the kernels that an earlier one has. */
function markDuplicates(
  layers: readonly (Omit<ScannedLayer, 'hashes'> & { file: number })[],
  finder: DuplicateFinder,
  indexOf: readonly (number | undefined)[],
): PlannedLayer[] {
  const order = layers
    .map((_, i) => i)
    .filter((i) => indexOf[layers[i].file] !== undefined)
    .sort((a, b) => layers[a].file - layers[b].file || layers[a].index - layers[b].index);
  const ranks = new Int32Array(layers.length).fill(-1);
  for (const [rank, i] of order.entries()) ranks[i] = rank;
  finder.find(
    (layer) => ranks[layer],
    (layer, row) => {
      if (!hasBit(layers[layer].kept, row)) return;
      clearBit(layers[layer].kept, row);
      layers[layer].dropped.duplicate++;
      layers[layer].count--;
    },
  );
  const copies = copiesAmong(order.map((i) => layers[i]));
  return order.map((i, place) => {
    const { file, sketch, ...layer } = layers[i];
    return {
      ...{ ...layer, model: indexOf[file]!, overLimit: 0, test: undefined, testCount: 0 },
      ...(copies[place] !== undefined && { copyOf: copies[place] }),
    };
  });
}

/** What is written, and by what. */
interface ArrayWork {
  models: readonly UsedModel[];
  plans: ReadonlyMap<SizeText, SizePlan>;
  options: CollectOptions;
  open: ModelOpener;
  work: FileWork;
  signal?: AbortSignal;
  progress(model: number, share: number): void;
}

async function writeArrays(
  folder: string,
  { models, plans, options, open, work, signal, progress }: ArrayWork,
): Promise<Pick<DatasetDescription, 'sizes' | 'layers'> & Pick<Collection, 'noise'>> {
  const writers = new Map<SizeText, SizeWriter>();
  for (const [size, plan] of plans)
    if (plan.train > 0) writers.set(size, new SizeWriter(folder, size, plan, options.normalize, work));
  const records = new Map<PlannedLayer, LayerRecord>();
  const planned = [...plans.values()].flatMap(({ layers }) => layers);
  const byModel = new Map(models.map((_, m): [number, PlannedLayer[]] => [m, []]));
  for (const layer of planned) byModel.get(layer.model)!.push(layer);
  for (const [m, { path, files }] of models.entries()) {
    const layersOfModel = byModel.get(m)!.sort((a, b) => a.index - b.index);
    const model = layersOfModel.some(({ count }) => count > 0) ? await open(path, options) : undefined;
    try {
      for (const [done, layer] of layersOfModel.entries()) {
        await letThrough(signal);
        const stored = model && layer.count > 0 ? model.layers[layer.index] : undefined;
        if (layer.count > 0 && stored?.shape.join() !== layer.shape.join()) throw changed(path);
        const data = stored ? await stored.read() : new Float32Array(0);
        if (model) requireSame(files, model);
        records.set(layer, {
          ...describe(layer),
          ...(writers.get(layer.size)?.add(data, data.length > 0 ? layer : { ...layer, found: 0 }) ?? {
            train: { offset: 0, count: 0 },
            test: { offset: 0, count: 0 },
            statistics: null,
            scale: options.normalize === 'unit' ? null : 1,
          }),
        });
        await work.settled();
        progress(m, (done + 1) / layersOfModel.length);
      }
    } finally {
      model?.close();
    }
    progress(m, 1);
  }
  const sizes: DatasetDescription['sizes'] = {};
  for (const [size, writer] of [...writers].sort(([a], [b]) => compareSizes(a, b))) {
    const { layers, split } = plans.get(size)!;
    sizes[size] = {
      found: sum(layers, ({ found }) => found),
      dropped: counts(layers),
      split: { by: split.by, testModels: split.testModels },
      ...(await writer.finish()),
    };
  }
  const noise = [...writers].flatMap(([size, writer]) =>
    [...writer.qualities()].map(([model, quality]) => ({ name: models[model].name, size, quality })),
  );
  return { noise, sizes, layers: planned.map((layer) => records.get(layer)!) };
}

const describe = ({ model, name, kind, role, depth, shape, size, dtype, found }: PlannedLayer) => ({
  model,
  layer: name,
  kind,
  role,
  depth,
  shape,
  size,
  dtype,
  found,
});

const changed = (path: string) =>
  inputError(`${path}: changed while kernels were collected`, 'run the command again');

/** @throws DwpError INPUT when a file of the model is not the one that was scanned */
function requireSame(before: OpenedModel['files'], now: OpenedModel): void {
  for (const file of now.files) {
    const known = before.find(({ path }) => path === file.path);
    if (!known || known.bytes !== file.bytes || known.modified !== file.modified) throw changed(file.path);
  }
}

function counts(layers: readonly PlannedLayer[]): Counts {
  return {
    nonFinite: sum(layers, ({ dropped }) => dropped.nonFinite),
    constant: sum(layers, ({ dropped }) => dropped.constant),
    nearZero: sum(layers, ({ dropped }) => dropped.nearZero),
    duplicate: sum(layers, ({ dropped }) => dropped.duplicate),
    overLimit: sum(layers, ({ overLimit }) => overLimit),
  };
}

const sum = <T>(items: readonly T[], value: (item: T) => number): number =>
  items.reduce((total, item) => total + value(item), 0);

function sourceOf(
  {
    name,
    format,
    sha256,
    bytes,
    parts,
    licence: stated,
    producer,
    notes,
    batchNorms,
  }: Collection['models'][number],
  given: string | undefined,
): DatasetSource {
  const licence = stated ?? given;
  return {
    name,
    format,
    sha256,
    bytes,
    ...(parts.length > 0 && { parts }),
    ...(licence && { licence }),
    ...(producer && { producer }),
    ...(notes && notes.length > 0 && { notes }),
    ...(batchNorms && { batchNorms }),
  };
}

const fileSize = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

/** Progress by bytes; a file is read once in each pass. */
function meterOf(files: readonly ModelFile[], bytesOf: (path: string) => number, { progress }: CollectHooks) {
  const sizes = files.map(({ path, bytes }) => bytes ?? bytesOf(path));
  const all = [...sizes, ...sizes];
  const total = sum(all, (bytes) => bytes);
  const shares = all.map(() => 0);
  let done = 0;
  return {
    set(at: number, share: number, what: string): void {
      done += (share - shares[at]) * all[at];
      shares[at] = share;
      if (total > 0) progress?.(Math.round(done), total, `${what} ${files[at % files.length].name}`);
    },
  };
}
