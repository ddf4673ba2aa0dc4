// Collecting kernels for commands: with progress and warnings, to plain data and its text.
import { availableParallelism } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { type DwpError, inputError } from '../errors.js';
import {
  type BatchNormRecord,
  type FoundFiles,
  type PassedOver,
  passedOverText,
} from '../importers/index.js';
import {
  type CollectEnvironment,
  type Collection,
  type CollectOptions,
  type Counts,
  collectKernels,
  countReasons,
  leakWarning,
  noiseWarning,
  type SizeText,
} from '../kernels/index.js';
import { batchNormText, isFolded } from './batch-norms.js';
import type { Effects, Progress } from './effects.js';
import { table } from './table.js';

export interface CollectResult {
  out: string;
  models: {
    path: string;
    format: string;
    sha256: string;
    /** 2-D convolutions read, of every size and kind. */
    layers: number;
    /** Slices of the sizes and kinds wanted, before cleaning. */
    kernels: Record<SizeText, number>;
    /** Convolutions that could not be read, counted by reason. */
    skippedLayers: Record<string, number>;
    /** What was assumed or done where the file leaves it open. */
    notes: string[];
    /** With --fold-bn. */
    batchNorms?: BatchNormRecord;
  }[];
  kernels: Record<
    SizeText,
    { found: number; kept: number; train: number; test: number; split: string; dropped: Counts }
  >;
  skipped: { path: string; reason: string }[];
}

/**
 * @param environment threads: 0 means one per core
 * @throws DwpError INPUT when no kernels are left, see {@link collectKernels}
 */
export async function collectFiles(
  { files, passedOver }: FoundFiles,
  out: string,
  options: CollectOptions,
  environment: Pick<CollectEnvironment, 'threads' | 'licence' | 'describe'>,
  effects: Effects,
): Promise<CollectResult> {
  const { sizes } = options;
  let progress: Progress | undefined;
  const collection = await collectKernels(
    files,
    out,
    options,
    {
      signal: effects.signal,
      warn: effects.warn,
      progress: (bytes, total, what) => {
        progress ??= effects.progress('collecting kernels, bytes', total);
        progress.update(bytes, what);
      },
    },
    { ...environment, threads: environment.threads || availableParallelism() },
  ).finally(() => progress?.stop());
  if (files.length === 1 && collection.skipped[0]?.error) throw collection.skipped[0].error; // its hint says more
  const models = collection.models.map(
    ({ path, format, sha256, layers, kernels, skipped, notes = [], batchNorms }) => ({
      path,
      format,
      sha256,
      layers,
      kernels,
      skippedLayers: Object.fromEntries(countReasons(skipped)),
      notes,
      ...(batchNorms && { batchNorms }),
    }),
  );
  const kernels: CollectResult['kernels'] = {};
  for (const [size, { found, dropped, train, test, split }] of collection.sizes)
    kernels[size] = { found, kept: train + test, train, test, split, dropped };
  const passed = passedOver.filter(({ path }) => !filesOf(collection.models).has(normalize(path)));
  if (!collection.description) throw nothingLeft(kernels, models, collection.skipped, passed, sizes);
  const unread = collection.skipped.map(({ path, reason }) => ({ path, reason }));
  report(effects, { models, skipped: unread, kernels, sizes });
  if (passed.length > 0) effects.warn(passedOverText(passed));
  const skipped = [
    ...unread,
    ...passed.map(({ path, what, remedy }) => ({ path, reason: `${what}: ${remedy}` })),
  ];
  for (const leak of collection.leaks) effects.warn(leakWarning(leak));
  for (const { name, size, quality } of collection.noise) {
    const warning = noiseWarning(`${name}: kernels of ${size}`, quality);
    if (warning) effects.warn(warning);
  }
  return { out, models, kernels, skipped };
}

export function collectionText({ out, models, kernels, skipped }: CollectResult): string {
  const sizes = Object.keys(kernels);
  const blocks = [
    table(
      ['model', 'format', 'layers', ...sizes],
      models.map(({ path, format, layers, kernels: found }) => [
        path,
        format,
        layers,
        ...sizes.map((size) => found[size] ?? 0),
      ]),
    ),
    table(
      [
        'size',
        'found',
        'not finite',
        'constant',
        'near zero',
        'duplicate',
        'over limit',
        'kept',
        'train',
        'test',
        'split by',
      ],
      sizes.map((size) => {
        const { found, kept, train, test, split, dropped } = kernels[size];
        const { nonFinite, constant, nearZero, duplicate, overLimit } = dropped;
        return [
          ...[size, found, nonFinite, constant, nearZero, duplicate, overLimit],
          ...[kept, train, test, split],
        ];
      }),
    ),
  ];
  if (skipped.length > 0)
    blocks.push(
      table(
        ['skipped', 'reason'],
        skipped.slice(0, MOST_SHOWN).map(({ path, reason }) => [path, reason]),
      ),
    );
  if (skipped.length > MOST_SHOWN)
    blocks.push(`and ${skipped.length - MOST_SHOWN} more that were skipped: see --format json`);
  return [...blocks, `written to ${out}`].join('\n\n');
}

/** Rows of the table of what was skipped. */
const MOST_SHOWN = 40;

/** Paths of all files of models that were used. */
const filesOf = (models: Collection['models']): Set<string> =>
  new Set(
    models
      .flatMap(({ path, parts }) => [path, ...parts.map(({ name }) => join(dirname(path), name))])
      .map(normalize),
  );

function nothingLeft(
  kernels: CollectResult['kernels'],
  models: CollectResult['models'],
  skipped: Collection['skipped'],
  passedOver: readonly PassedOver[],
  sizes: SizeText[] | undefined,
): DwpError {
  const found = Object.entries(kernels).filter(([, counts]) => counts.found > 0);
  if (found.length > 0) {
    const parts = found.map(([size, { found: n, dropped }]) => {
      const reasons = Object.entries(dropped).filter(([, count]) => count > 0);
      return `${n} of ${size}: ${reasons.map(([reason, count]) => `${count} ${reason}`).join(', ')}`;
    });
    return inputError(
      `no kernels left after cleaning (${parts.join('; ')})`,
      'see --min-norm, or use other models',
    );
  }
  const also = passedOver.length > 0 ? `; ${passedOverText(passedOver)}` : '';
  if (models.length > 0)
    return inputError(
      `no kernels of ${sizes?.join(', ') ?? 'any size above 1x1'} in ${models.length} model${models.length === 1 ? '' : 's'}${also}`,
      'dwp inspect lists the layers of a model; see --size, --depthwise, --transposed, --role and --depth',
    );
  const more = skipped.length > 1 ? ` (and ${skipped.length - 1} more)` : '';
  return inputError(
    `no kernels: ${skipped[0].path}: ${skipped[0].reason}${more}${also}`,
    skipped[0].advice ??
      `dwp inspect ${skipped[0].path} shows what is in the file, and why it was left out; a network exported to ` +
        'ONNX stores weights as they are used',
  );
}

function report(
  effects: Effects,
  {
    models,
    skipped,
    kernels,
    sizes,
  }: Pick<CollectResult, 'models' | 'skipped' | 'kernels'> & { sizes?: SizeText[] },
): void {
  for (const { path, reason } of skipped) effects.warn(`${path}: skipped: ${reason}`);
  for (const { path, skippedLayers, notes, batchNorms } of models) {
    if (batchNorms) effects[isFolded(batchNorms) ? 'info' : 'warn'](`${path}: ${batchNormText(batchNorms)}`);
    for (const note of notes) effects.info(`${path}: ${note}`);
    for (const [reason, n] of Object.entries(skippedLayers))
      effects.warn(`${path}: ${n} layer${n === 1 ? '' : 's'} skipped: ${reason}`);
  }
  for (const size of sizes ?? [])
    if (!kernels[size]?.kept)
      effects.warn(`no kernels of ${size}${kernels[size] ? ' left after cleaning' : ' found'}`);
}
