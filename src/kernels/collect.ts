// Layers of many models → kernel sets per size: filtered, cleaned, split, normalised, with a table of their origin.
import { foldIn, seedKey } from '../engine/random.js';
import type { ConvLayer, LayerKind } from '../importers/index.js';
import { cleanSlices, type Dropped, noneDropped, SliceSet } from './clean.js';
import {
  compareSizes,
  type KernelSize,
  type Kernels,
  kernelSize,
  pooledMoments,
  takeKernels,
} from './kernels.js';
import { type Split, splitRows } from './split.js';

export type Normalisation = 'none' | 'layer' | 'unit';

export interface CollectOptions {
  /** Sizes wanted; undefined: every size but 1x1, whose slices have no shape to learn. */
  sizes?: KernelSize[];
  depthwise: 'include' | 'exclude' | 'only';
  /** Whether kernels of transposed convolutions count; they paint rather than match. */
  transposed: 'include' | 'exclude';
  /** Absolute limit of the L2 norm; undefined: relative to the layer, see clean.ts. */
  minNorm?: number;
  /**
   * `layer` divides by the root mean square of the layer's kept weights, `unit` every kernel by its own L2 norm.
   */
  normalize: Normalisation;
  /** Part of the kernels held out, in [0, 1). */
  testFraction: number;
  seed: number;
}

/** Rows of `train.npy` or `test.npy` that come from one layer. */
export interface RowRange {
  offset: number;
  count: number;
}

export interface LayerRecord {
  /** Index of the source model. */
  model: number;
  layer: string;
  kind: LayerKind;
  /** [out, in of a group, h, w] */
  shape: [number, number, number, number];
  size: KernelSize;
  dtype: string;
  found: number;
  train: RowRange;
  test: RowRange;
  /** Of the kept slices before normalisation; null when none was kept. */
  statistics: { mean: number; std: number; minNorm: number; maxNorm: number } | null;
  /** What the kept slices were divided by; null with `unit`, where every kernel has its own. */
  scale: number | null;
}

export interface SizeCollection {
  found: number;
  dropped: Dropped;
  split: Pick<Split, 'by' | 'testModels'>;
  train: Kernels;
  test: Kernels;
  /** With `unit`: the norm that each row was divided by. */
  scales?: { train: Float32Array; test: Float32Array };
}

export interface Collection {
  sizes: Map<KernelSize, SizeCollection>;
  /** Sizes that nothing was left of, with what was dropped. */
  empty: Map<KernelSize, { found: number; dropped: Dropped }>;
  layers: LayerRecord[];
}

interface Gathered {
  seen: SliceSet;
  found: number;
  dropped: Dropped;
  /** Rows of `seen` in order of layers. */
  parts: { record: LayerRecord; count: number }[];
}

/** Gathers model by model, so that only the kernels, not the models, stay in memory. */
export class KernelCollector {
  private readonly bySize = new Map<KernelSize, Gathered>();
  private models = 0;

  constructor(private readonly options: CollectOptions) {}

  /** @returns how many slices of each wanted size the model has, before cleaning */
  async add(layers: readonly ConvLayer[]): Promise<Record<KernelSize, number>> {
    const model = this.models++;
    const counts: Record<KernelSize, number> = {};
    for (const layer of layers) {
      const { name, kind, shape, dtype } = layer;
      const [out, inputs, h, w] = shape;
      const size = kernelSize(h, w);
      if (!this.wants(kind, size)) continue;
      const gathered = this.gathered(size);
      const data = await layer.read();
      const found = out * inputs;
      const { kept, dropped } = cleanSlices(data, h * w, gathered.seen, this.options.minNorm);
      counts[size] = (counts[size] ?? 0) + found;
      gathered.found += found;
      for (const reason of Object.keys(dropped) as (keyof Dropped)[])
        gathered.dropped[reason] += dropped[reason];
      const record: LayerRecord = {
        model,
        layer: name,
        kind,
        shape,
        size,
        dtype,
        found,
        train: { offset: 0, count: 0 },
        test: { offset: 0, count: 0 },
        statistics: statistics(data, h * w, kept),
        scale: 1,
      };
      gathered.parts.push({ record, count: kept.length });
    }
    return counts;
  }

  finish(): Collection {
    const collection: Collection = { sizes: new Map(), empty: new Map(), layers: [] };
    for (const size of [...this.bySize.keys()].sort(compareSizes)) {
      const gathered = this.bySize.get(size)!;
      if (gathered.seen.count === 0)
        collection.empty.set(size, { found: gathered.found, dropped: gathered.dropped });
      else collection.sizes.set(size, this.finishSize(size, gathered));
      collection.layers.push(...gathered.parts.map(({ record }) => record));
    }
    return collection;
  }

  private wants(kind: LayerKind, size: KernelSize): boolean {
    const { sizes, depthwise, transposed } = this.options;
    if (sizes ? !sizes.includes(size) : size === '1x1') return false;
    if (kind === 'transposed') return transposed === 'include' && depthwise !== 'only';
    return depthwise === 'include' || (depthwise === 'only') === (kind === 'depthwise');
  }

  private gathered(size: KernelSize): Gathered {
    let gathered = this.bySize.get(size);
    if (!gathered) {
      const [h, w] = size.split('x').map(Number);
      gathered = { seen: new SliceSet(h * w), found: 0, dropped: noneDropped(), parts: [] };
      this.bySize.set(size, gathered);
    }
    return gathered;
  }

  private finishSize(size: KernelSize, { seen, found, dropped, parts }: Gathered): SizeCollection {
    const { normalize, testFraction, seed } = this.options;
    const [h, w] = size.split('x').map(Number);
    const all: Kernels = { data: seen.slices(), count: seen.count, h, w };
    const scales = normalise(all, parts, normalize);
    const models = parts.flatMap(({ record, count }) => new Array<number>(count).fill(record.model));
    const split = splitRows(models, testFraction, foldIn(seedKey(seed), 'split', size));
    const rows = { train: [] as number[], test: [] as number[] };
    let row = 0;
    for (const { record, count } of parts) {
      record.train.offset = rows.train.length;
      record.test.offset = rows.test.length;
      for (const end = row + count; row < end; row++) rows[split.isTest[row] ? 'test' : 'train'].push(row);
      record.train.count = rows.train.length - record.train.offset;
      record.test.count = rows.test.length - record.test.offset;
    }
    const pick = (which: number[]) => Float32Array.from(which, (i) => scales![i]);
    return {
      found,
      dropped,
      split: { by: split.by, testModels: split.testModels },
      train: takeKernels(all, rows.train),
      test: takeKernels(all, rows.test),
      ...(scales && { scales: { train: pick(rows.train), test: pick(rows.test) } }),
    };
  }
}

/** Divides in place; returns the scale of each row with `unit`, and records that of each layer otherwise. */
function normalise(all: Kernels, parts: Gathered['parts'], how: Normalisation): Float32Array | undefined {
  const size = all.h * all.w;
  if (how === 'unit') {
    for (const { record } of parts) record.scale = null;
    const norms = new Float32Array(all.count);
    for (let row = 0; row < all.count; row++) {
      const slice = all.data.subarray(row * size, (row + 1) * size);
      norms[row] = norm(slice);
      for (let i = 0; i < size; i++) slice[i] /= norms[row];
    }
    return norms;
  }
  if (how === 'layer') {
    let row = 0;
    for (const { record, count } of parts) {
      const weights = all.data.subarray(row * size, (row + count) * size);
      row += count;
      record.scale = count === 0 ? 1 : norm(weights) / Math.sqrt(weights.length);
      for (let i = 0; i < weights.length; i++) weights[i] /= record.scale;
    }
  }
  return undefined;
}

function statistics(data: Float32Array, size: number, kept: readonly number[]): LayerRecord['statistics'] {
  if (kept.length === 0) return null;
  const { data: weights } = takeKernels({ data, count: data.length / size, h: 1, w: size }, kept);
  let minNorm = Number.POSITIVE_INFINITY;
  let maxNorm = 0;
  for (let at = 0; at < weights.length; at += size) {
    const length = norm(weights.subarray(at, at + size));
    minNorm = Math.min(minNorm, length);
    maxNorm = Math.max(maxNorm, length);
  }
  return { ...pooledMoments(weights), minNorm, maxNorm };
}

function norm(values: Float32Array): number {
  let squares = 0;
  for (const x of values) squares += x * x;
  return Math.sqrt(squares);
}
