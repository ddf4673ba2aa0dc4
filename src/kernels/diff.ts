// What two datasets have in common: sources by digest, layers by source and name, kernels by their hashes.
import { cleanLayer } from './clean.js';
import { DuplicateFinder } from './duplicates.js';
import { compareSizes, parseSize, type SizeText } from './kernels.js';
import { identityOf, type StoredDataset, type StoredLayer } from './stored.js';

export interface DatasetDifference {
  sources: { onlyFirst: string[]; onlySecond: string[]; common: number };
  layers: {
    onlyFirst: LayerName[];
    onlySecond: LayerName[];
    /** Kernels of the layer in each, where they are not the same. */
    changed: (LayerName & { first: number; second: number })[];
    same: number;
  };
  /** Different kernels: repeated ones count once. */
  kernels: Record<SizeText, { first: number; second: number; common: number }>;
}

export interface LayerName {
  source: string;
  layer: string;
  size: SizeText;
}

interface Summary extends LayerName {
  rows: number;
  /** Sum of the hashes, whatever the order of the rows. */
  sum: number;
}

/** @param pause called between layers; throws to stop */
export async function diffDatasets(
  first: StoredDataset,
  second: StoredDataset,
  pause: () => Promise<void> = async () => {},
): Promise<DatasetDifference> {
  const sides = [first, second];
  const kernels: DatasetDifference['kernels'] = {};
  const summaries = [new Map<string, Summary>(), new Map<string, Summary>()];
  const sizes = new Set(sides.flatMap(({ description }) => Object.keys(description.sizes)));
  for (const size of [...sizes].sort(compareSizes)) {
    const both = new DuplicateFinder();
    const each = [new DuplicateFinder(), new DuplicateFinder()];
    const rows = [0, 0];
    for (const [side, { layers }] of sides.entries())
      for (const layer of layers) {
        if (layer.record.size !== size || layer.rows === 0) continue;
        await pause();
        const { hashes } = hashed(layer);
        both.add(side, hashes);
        each[side].add(0, hashes);
        rows[side] += hashes.rows.length;
        const key = JSON.stringify([identityOf(layer.source), layer.record.layer, size]);
        const known = summaries[side].get(key);
        summaries[side].set(key, {
          source: layer.source.name,
          layer: layer.record.layer,
          size,
          rows: (known?.rows ?? 0) + layer.rows,
          sum: sumOf(hashes.hashes, known?.sum ?? 0),
        });
      }
    const [a, b] = each.map((finder, side) => rows[side] - repeated(finder));
    const all = rows[0] + rows[1] - repeated(both);
    kernels[size] = { first: a, second: b, common: a + b - all };
  }
  return { sources: diffSources(first, second), layers: diffLayers(summaries[0], summaries[1]), kernels };
}

function hashed({ record: { size }, read }: StoredLayer) {
  const { h, w, channels } = parseSize(size);
  return cleanLayer(read(), h, w, { minNorm: 0 }, channels);
}

function sumOf(hashes: Uint32Array, start: number): number {
  let sum = start;
  for (let i = 0; i < hashes.length; i += 2) sum = (sum + hashes[i] + hashes[i + 1] * 3) % 2 ** 48;
  return sum;
}

function repeated(finder: DuplicateFinder): number {
  let count = 0;
  finder.find(
    () => 0,
    () => count++,
  );
  return count;
}

function diffSources(first: StoredDataset, second: StoredDataset): DatasetDifference['sources'] {
  const [a, b] = [first, second].map(
    ({ description }) => new Map(description.sources.map((source) => [identityOf(source), source.name])),
  );
  return {
    onlyFirst: [...a].filter(([key]) => !b.has(key)).map(([, name]) => name),
    onlySecond: [...b].filter(([key]) => !a.has(key)).map(([, name]) => name),
    common: [...a.keys()].filter((key) => b.has(key)).length,
  };
}

function diffLayers(
  first: ReadonlyMap<string, Summary>,
  second: ReadonlyMap<string, Summary>,
): DatasetDifference['layers'] {
  const nameOf = ({ source, layer, size }: Summary): LayerName => ({ source, layer, size });
  const result: DatasetDifference['layers'] = { onlyFirst: [], onlySecond: [], changed: [], same: 0 };
  for (const [key, a] of first) {
    const b = second.get(key);
    if (!b) result.onlyFirst.push(nameOf(a));
    else if (a.rows === b.rows && a.sum === b.sum) result.same++;
    else result.changed.push({ ...nameOf(a), first: a.rows, second: b.rows });
  }
  for (const [key, b] of second) if (!first.has(key)) result.onlySecond.push(nameOf(b));
  return result;
}
