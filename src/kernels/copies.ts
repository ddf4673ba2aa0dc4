// Layers that are nearly copies of others, told by a few kernels of each, and models that are made of such layers.
import type { HashedRows } from './duplicates.js';
import { nearCells } from './near.js';

/** Kernels of a layer that are compared, evenly spaced. */
const SKETCHED = 32;
/** Step of the grid: copies in float16, bfloat16 or int8, averages and neighbouring checkpoints are within a quarter. */
const STEP = 0.04;
/** Kernels of fewer weights are alike by chance. */
const LEAST_WEIGHTS = 6;

/** @param kept whether a row is a kernel that is not near zero or constant */
export function sketchOf(
  data: Float32Array,
  h: number,
  w: number,
  channels: number,
  kept: (row: number) => boolean,
): HashedRows | undefined {
  const size = channels * h * w;
  if (size < LEAST_WEIGHTS) return undefined;
  const count = Math.floor(data.length / size);
  const most = Math.min(SKETCHED, count);
  const rows: number[] = [];
  for (let i = 0; i < most; i++) {
    const row = Math.floor((i * count) / most);
    if (kept(row)) rows.push(row);
  }
  return nearCells(data, { h, w, channels }, Uint32Array.from(rows), STEP);
}

export interface SketchedLayer {
  shape: readonly number[];
  channels: number;
  sketch?: HashedRows;
}

/**
 * @param layers in order; a copy is always one of an earlier layer
 * @returns for each layer the number of the first layer that it is nearly a copy of: of the same shape, with at least
 *   half of the compared kernels near those at the same places
 */
export function copiesAmong(layers: readonly SketchedLayer[]): (number | undefined)[] {
  const shapes = new Map<string, Map<number, number>>();
  return layers.map(({ shape, channels, sketch }, layer) => {
    if (!sketch || sketch.rows.length === 0) return undefined;
    const name = [...shape, channels].join();
    const first = shapes.get(name) ?? new Map<number, number>();
    shapes.set(name, first);
    const { rows, hashes, probes } = sketch;
    const votes = new Map<number, Set<number>>();
    const vote = (row: number, low: number, high: number) => {
      const other = first.get(keyOf(row, low, high));
      if (other === undefined) return;
      const voters = votes.get(other) ?? new Set();
      votes.set(other, voters.add(row));
    };
    for (let i = 0; i < rows.length; i++) vote(rows[i], hashes[2 * i], hashes[2 * i + 1]);
    for (const [i, row] of (probes?.rows ?? []).entries())
      vote(rows[row], probes!.hashes[2 * i], probes!.hashes[2 * i + 1]);
    for (const [other, voters] of [...votes].sort(([a], [b]) => a - b))
      if (2 * voters.size >= rows.length) return other;
    for (let i = 0; i < rows.length; i++) {
      const key = keyOf(rows[i], hashes[2 * i], hashes[2 * i + 1]);
      if (!first.has(key)) first.set(key, layer);
    }
    return undefined;
  });
}

const keyOf = (row: number, low: number, high: number): number =>
  ((low ^ Math.imul(row + 1, 0x9e3779b1)) >>> 0) * 2 ** 20 + (high >>> 12);

/** A layer with its model and the layer that it copies. */
export interface OwnedLayer {
  model: number;
  found: number;
  copyOf?: number;
}

/**
 * Models that are nearly copies: at least half of the kernels of the smaller one are in layers that both have.
 *
 * @returns for each model the first model of its family, itself where there is none
 */
export function familiesOf(models: number, layers: readonly OwnedLayer[]): number[] {
  const sizes = new Float64Array(models);
  for (const { model, found } of layers) sizes[model] += found;
  // by the layer that is the first of its kind: all models that have it
  const shared = new Map<string, number>();
  for (const { model, found, copyOf } of layers) {
    if (copyOf === undefined || layers[copyOf].model === model) continue;
    const pair = `${layers[copyOf].model} ${model}`;
    shared.set(pair, (shared.get(pair) ?? 0) + found);
  }
  const family = Array.from({ length: models }, (_, i) => i);
  const root = (model: number): number => {
    let at = model;
    while (family[at] !== at) at = family[at] = family[family[at]];
    return at;
  };
  for (const [pair, kernels] of shared) {
    const [a, b] = pair.split(' ').map(Number);
    if (2 * kernels < Math.min(sizes[a], sizes[b])) continue;
    const [p, q] = [root(a), root(b)];
    family[Math.max(p, q)] = Math.min(p, q);
  }
  return family.map((_, model) => root(model));
}

/** What tells conversions of a model apart. */
export interface ConvertedModel {
  format: string;
  /** How most of its weights are stored. */
  dtype: string;
  layers: number;
}

const PRECISION = ['float64', 'float32', 'float16', 'bfloat16'];
const rankOf = (dtype: string) => (PRECISION.indexOf(dtype) + PRECISION.length + 1) % (PRECISION.length + 1);

/**
 * Models that are another one in another format or precision: every layer is a copy of a layer of the same family.
 *
 * @returns by model the one to use in its place: the most precise, then the first
 */
export function conversionsAmong(
  models: readonly ConvertedModel[],
  layers: readonly OwnedLayer[],
): Map<number, number> {
  const families = familiesOf(models.length, layers);
  // the set of first layers that a model is made of
  const content = models.map(() => new Set<number>());
  for (const [i, { model, copyOf }] of layers.entries()) content[model].add(copyOf ?? i);
  const groups = new Map<string, number[]>();
  for (const [model, firsts] of content.entries()) {
    if (firsts.size === 0) continue;
    const key = `${families[model]}:${models[model].layers}:${[...firsts].sort((a, b) => a - b).join()}`;
    groups.set(key, [...(groups.get(key) ?? []), model]);
  }
  const conversions = new Map<number, number>();
  for (const group of groups.values()) {
    const best = group.reduce((a, b) => (rankOf(models[b].dtype) < rankOf(models[a].dtype) ? b : a));
    for (const model of group) {
      const { format, dtype } = models[model];
      if (model !== best && (format !== models[best].format || dtype !== models[best].dtype))
        conversions.set(model, best);
    }
  }
  return conversions;
}
