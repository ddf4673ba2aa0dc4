// Test kernels with a near copy anywhere among the train kernels: what is left when copies do not lie in the same
// rows (channels in another order, datasets that were split apart and merged).
import { join } from 'node:path';
import { openNpyRows } from '../formats/npy-rows.js';
import type { DatasetDescription, LayerRecord } from './description.js';
import { NEAR_TOLERANCE } from './identity.js';
import { kernelLength, parseSize, type SizeText } from './kernels.js';
import { ALLOWED, type Leak } from './leaks.js';
import { nearCells } from './near.js';

/** Test kernels of each size that are looked up, evenly spaced. */
export const MOST_SAMPLED = 2000;
/** Smaller kernels fall into the same cell by chance. */
const LEAST_WEIGHTS = 4;
/** Floats that are read at once. */
const BLOCK = 2 ** 20;

/**
 * Every train kernel is read once, in blocks of 4 MB; of the test kernels a sample is kept, with eight cells each on
 * average, about 10 MB. Time is linear in the train kernels.
 *
 * @param folder with the arrays that the description tells of
 * @param between called after every block; what it throws ends the search
 * @returns sizes of which more than a percent of the sample has a copy
 */
export async function nearLeaksIn(
  folder: string,
  {
    sizes,
    layers,
    sources,
    options: { tolerance = NEAR_TOLERANCE },
  }: Omit<DatasetDescription, 'format' | 'version'>,
  between: () => void | Promise<void> = () => {},
): Promise<Leak[]> {
  const leaks: Leak[] = [];
  for (const [size, { train, test }] of Object.entries(sizes)) {
    if (!test || test.rows === 0 || kernelLength(parseSize(size)) < LEAST_WEIGHTS) continue;
    const layersOfSize = layers.filter((layer) => layer.size === size);
    const sampled = sampleOf(join(folder, size, 'test.npy'), size, test.rows, tolerance);
    const copies = new Map<number, number>(); // test row → train row
    const array = openNpyRows(join(folder, size, 'train.npy'));
    try {
      const step = Math.max(1, Math.floor(BLOCK / kernelLength(parseSize(size))));
      for (let from = 0; from < train.rows; from += step) {
        const to = Math.min(train.rows, from + step);
        const { hashes } = cellsOf(array.read(from, to), size, tolerance, false);
        for (let i = 0; i < to - from; i++)
          for (const row of sampled.cells.get(keyOf(hashes, i)) ?? [])
            if (!copies.has(row)) copies.set(row, from + i);
        await between();
      }
    } finally {
      array.close();
    }
    if (copies.size <= ALLOWED * sampled.count) continue;
    const nameAt = (which: 'train' | 'test', row: number) =>
      sources[modelAt(layersOfSize, which, row)]?.name ?? '?';
    const pairs = new Map<string, { kernels: number; models: [string, string] }>();
    for (const [testRow, trainRow] of copies) {
      const models: [string, string] = [nameAt('train', trainRow), nameAt('test', testRow)];
      const key = models.join('\n');
      pairs.set(key, { kernels: (pairs.get(key)?.kernels ?? 0) + 1, models });
    }
    const [{ models }] = [...pairs.values()].sort((a, b) => b.kernels - a.kernels);
    leaks.push({ size, kernels: copies.size, test: test.rows, sampled: sampled.count, models });
  }
  return leaks;
}

/** Rows of the sample by their cells and the neighbouring ones: a copy lies in one of them. */
function sampleOf(path: string, size: SizeText, rows: number, tolerance: number) {
  const count = Math.min(rows, MOST_SAMPLED);
  const d = kernelLength(parseSize(size));
  const data = new Float32Array(count * d);
  const places = Array.from({ length: count }, (_, i) => Math.floor((i * rows) / count));
  const array = openNpyRows(path);
  try {
    for (const [i, row] of places.entries()) data.set(array.read(row, row + 1), i * d);
  } finally {
    array.close();
  }
  const { hashes, probes } = cellsOf(data, size, tolerance, true);
  const cells = new Map<number, number[]>();
  const add = (key: number, i: number) => {
    const known = cells.get(key);
    if (known) known.push(places[i]);
    else cells.set(key, [places[i]]);
  };
  for (let i = 0; i < count; i++) add(keyOf(hashes, i), i);
  probes?.rows.forEach((i, at) => {
    add(keyOf(probes.hashes, at), i);
  });
  return { count, cells };
}

function cellsOf(data: Float32Array, size: SizeText, tolerance: number, neighbours: boolean) {
  const parsed = parseSize(size);
  const rows = Uint32Array.from({ length: data.length / kernelLength(parsed) }, (_, i) => i);
  return nearCells(data, parsed, rows, tolerance, neighbours);
}

/** 53 of the 64 bits. */
const keyOf = (hashes: Uint32Array, i: number): number =>
  hashes[2 * i] + (hashes[2 * i + 1] & 0x1fffff) * 2 ** 32;

const modelAt = (layers: readonly LayerRecord[], which: 'train' | 'test', row: number): number =>
  layers.find(({ [which]: { offset, count } }) => row >= offset && row < offset + count)?.model ?? -1;
