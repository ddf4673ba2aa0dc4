// What dwp inspect finds in a model, a dataset or an array, as plain data, and the kernels behind it for the report.
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { DwpError, inputError } from '../errors.js';
import { readNpyHeader } from '../formats/npy.js';
import { statOf } from '../formats/read-file.js';
import { openSource } from '../formats/source.js';
import { type BatchNormRecord, type LayerKind, openModel, type ReadOptions } from '../importers/index.js';
import {
  type ComparedGroups,
  compareSizes,
  type Dropped,
  examineDatasetSize,
  examineKernels,
  examineModel,
  type KernelGroup,
  noiseWarning,
  type Quality,
  readDatasetDescription,
  readKernelDataset,
  type SizeText,
  sizeText,
} from '../kernels/index.js';
import type { Effects } from './effects.js';

export interface Measures {
  /** Share of kernels with every |w| below 0.01 of their layer's largest. */
  sparsity: number | null;
  /** Entropy of the explained variance over that of noise. */
  varianceEntropy: number | null;
  /** 1 − mean |cosine| between filters. */
  orthogonality: number | null;
  /** Correlation of neighbouring weights. */
  lagOne: Quality['lagOne'];
}

export interface GroupResult extends Measures {
  layers: number;
  kernels: number;
  looksLikeNoise: boolean;
  /** Shares of the variance along the principal axes. */
  explainedVariance: number[] | null;
}

export interface ModelResult {
  kind: 'model';
  path: string;
  format: string;
  sha256: string;
  producer?: string;
  licence?: string;
  layers: ({
    name: string;
    kind: LayerKind;
    shape: number[];
    size: SizeText;
    kernels: number;
    dtype: string;
    /** Over the layer's finite weights. */
    std: number;
    /** Slices that cleaning would drop, duplicates within the layer; null for 1x1. */
    dropped: Dropped | null;
  } & Measures)[];
  sizes: Record<SizeText, GroupResult>;
  skipped: { layer: string; reason: string }[];
  /** What was assumed or done where the file leaves it open. */
  notes?: string[];
  /** With --fold-bn. */
  batchNorms?: BatchNormRecord;
  /** Where there are no layers: what the owner of the file can do. */
  advice?: string;
}

export interface DatasetResult {
  kind: 'dataset';
  path: string;
  sizes: Record<
    SizeText,
    {
      train: number;
      test: number;
      mean: number;
      std: number;
      split: string;
      dropped?: Dropped;
    } & GroupResult
  >;
  sources: {
    name: string;
    format: string;
    sha256: string;
    licence?: string;
    layers: number;
    kernels: number;
    sizes: Record<SizeText, GroupResult>;
  }[];
  /** Between the sources. */
  shift: Record<SizeText, ComparedGroups>;
}

export interface NamedGroup {
  name: string;
  group: KernelGroup;
}

export interface Inspection {
  result: ModelResult | DatasetResult;
  /** Everything of one size. */
  all: Map<SizeText, KernelGroup>;
  /** By source, where there are some. */
  sources: Map<SizeText, NamedGroup[]>;
}

/**
 * @param options for models
 * @throws DwpError INPUT when the path is none of the three, or cannot be read; INTERRUPTED
 */
export async function inspectPath(
  path: string,
  effects: Effects,
  options: ReadOptions = {},
): Promise<Inspection> {
  if (statOf(path)?.isDirectory()) return inspectDataset(path, effects);
  if (path.toLowerCase().endsWith('.npy') && !holdsWeights(path)) return inspectArray(path, effects);
  return inspectModel(path, effects, options);
}

/** Whether an array is [out, in, h, w]; what has one input or three axes are kernels. */
function holdsWeights(path: string): boolean {
  const source = openSource(path);
  try {
    const { shape } = readNpyHeader(source);
    return shape.length === 4 && shape[1] !== 1;
  } finally {
    source.close();
  }
}

async function inspectModel(path: string, effects: Effects, options: ReadOptions): Promise<Inspection> {
  const model = await openModel(path, options);
  const { format, sha256, producer, licence, layers, skipped, notes = [], advice, batchNorms } = model;
  const progress = effects.progress('measuring layers', layers.length);
  try {
    const examined = await examineModel(layers, async (i, { name }) => {
      progress.update(i, name);
      await letThrough(effects);
    });
    const sizes = Object.fromEntries([...examined.sizes].map(([size, group]) => [size, describe(group)]));
    warnOfNoise(path, examined.sizes, effects);
    return {
      result: {
        kind: 'model',
        path,
        format,
        sha256,
        ...(producer && { producer }),
        ...(licence && { licence }),
        layers: examined.layers.map(({ layer: { name, kind, shape, dtype }, quality }) => ({
          name,
          kind,
          shape,
          size: sizeText({ h: shape[2], w: shape[3] }),
          kernels: shape[0] * shape[1],
          dtype,
          std: quality.std,
          dropped: quality.dropped,
          ...measures(quality, quality.orthogonality),
        })),
        sizes,
        skipped: [...skipped, ...examined.skipped],
        ...(notes.length > 0 && { notes }),
        ...(batchNorms && { batchNorms }),
        ...(advice && layers.length === 0 && { advice }),
      },
      all: examined.sizes,
      sources: new Map(),
    };
  } finally {
    progress.stop();
    model.close();
  }
}

async function inspectDataset(path: string, effects: Effects): Promise<Inspection> {
  if (!existsSync(join(path, 'dataset.json')))
    throw inputError(
      `${path}: a folder without dataset.json`,
      'give one model file, or collect a folder of models with dwp collect-kernels',
    );
  const description = readDatasetDescription(path);
  const result: DatasetResult = {
    kind: 'dataset',
    path,
    sizes: {},
    sources: description.sources.map(({ name, format, sha256, licence }) => {
      return { name, format, sha256, ...(licence && { licence }), layers: 0, kernels: 0, sizes: {} };
    }),
    shift: {},
  };
  for (const { model } of description.layers) if (result.sources[model]) result.sources[model].layers++;
  const inspection: Inspection = { result, all: new Map(), sources: new Map() };
  for (const size of Object.keys(description.sizes).sort(compareSizes)) {
    await letThrough(effects);
    const { all, sources } = examineDatasetSize(path, size, description);
    const { train, test, mean, std, split, dropped } = description.sizes[size];
    const rows = { train: train.rows, test: test?.rows ?? 0 };
    result.sizes[size] = { ...rows, mean, std, split: split.by, dropped, ...describe(all) };
    const named: NamedGroup[] = [];
    for (const [model, group] of sources) {
      const source = result.sources[model];
      source.kernels += group.kernels;
      source.sizes[size] = describe(group);
      named.push({ name: source.name, group });
      warnOfNoise(source.name, new Map([[size, group]]), effects);
    }
    inspection.all.set(size, all);
    inspection.sources.set(size, named);
  }
  return inspection;
}

function inspectArray(path: string, effects: Effects): Inspection {
  const { train, mean, std } = readKernelDataset(path);
  const group = examineKernels(train);
  const size = sizeText({ h: train.h, w: train.w });
  const all = new Map([[size, group]]);
  warnOfNoise(path, all, effects);
  const counts = { train: train.count, test: 0, mean, std, split: 'none' };
  return {
    result: {
      kind: 'dataset',
      path,
      sizes: { [size]: { ...counts, ...describe(group) } },
      sources: [],
      shift: {},
    },
    all,
    sources: new Map(),
  };
}

const measures = (
  { sparsity, varianceEntropy, lagOne }: Quality,
  orthogonality: number | null,
): Measures => ({
  sparsity,
  varianceEntropy,
  orthogonality,
  lagOne,
});

const describe = ({ layers, kernels, quality, orthogonality, looksLikeNoise }: KernelGroup): GroupResult => ({
  layers,
  kernels,
  ...measures(quality, orthogonality),
  looksLikeNoise,
  explainedVariance: quality.explainedVariance,
});

function warnOfNoise(whose: string, groups: ReadonlyMap<SizeText, KernelGroup>, effects: Effects): void {
  for (const [size, { kernels, quality }] of groups) {
    const warning = noiseWarning(`${whose}: ${kernels} kernels of ${size}`, quality);
    if (warning) effects.warn(warning);
  }
}

/** The names of the files or folders where these are different, whole paths otherwise. */
export function shortNames(inspections: readonly Inspection[]): string[] {
  const paths = inspections.map(({ result }) => result.path);
  const names = paths.map((path) => basename(resolve(path)));
  return new Set(names).size === names.length ? names : paths;
}

/** Lets Ctrl-C through, and obeys it. */
async function letThrough({ signal }: Effects): Promise<void> {
  await new Promise(setImmediate);
  if (signal.aborted) throw new DwpError('INTERRUPTED', 'interrupted', 'nothing was written');
}
