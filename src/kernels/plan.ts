// Which of the clean kernels are taken, and on which side each goes: counts and bits, before anything is written.
import { foldIn, seedKey } from '../engine/random.js';
import { bitsFor, clearBit, hasBit, setBit } from './bits.js';
import { compareSizes, type SizeText } from './kernels.js';
import type { CollectOptions } from './options.js';
import type { ScannedLayer } from './scan.js';
import { planSplit, Selection, type Split } from './split.js';

export interface PlannedLayer extends Omit<ScannedLayer, 'hashes'> {
  /** Of the sources that are used. */
  model: number;
  /** More clean kernels than were wanted of this layer or its model. */
  overLimit: number;
  /** One bit per slice; undefined where all are on one side. */
  test: Uint8Array | undefined;
  testCount: number;
  /** Number of the layer, among all of the plan, that this one is nearly a copy of. */
  copyOf?: number;
}

export interface SizePlan {
  layers: PlannedLayer[];
  split: Split;
  train: number;
  test: number;
}

/**
 * @param layers in order of model and index; `kept` and `count` are without duplicates, and are changed
 * @param families of each model, the first model that it is nearly a copy of: they are on the same side
 * @param nameOf sha256 of a model: names its choices, so that other models do not change them; asked for where there are limits
 */
export function planSizes(
  layers: readonly PlannedLayer[],
  nameOf: (model: number) => string,
  options: CollectOptions,
  families: readonly number[] = [],
): Map<SizeText, SizePlan> {
  const root = seedKey(options.seed);
  const plans = new Map<SizeText, SizePlan>();
  for (const size of [...new Set(layers.map((layer) => layer.size))].sort(compareSizes)) {
    const layersOfSize = layers.filter((layer) => layer.size === size);
    for (const [i, quota] of quotas(layersOfSize, options).entries()) {
      const { model, index } = layersOfSize[i];
      if (quota < layersOfSize[i].count)
        choose(layersOfSize[i], quota, foldIn(root, 'sample', size, nameOf(model), index));
    }
    plans.set(size, splitLayers(layersOfSize, layers, options, foldIn(root, 'split', size), families));
  }
  return plans;
}

/** How many kernels each layer may give. */
function quotas(
  layers: readonly PlannedLayer[],
  { maxPerLayer = Number.POSITIVE_INFINITY, maxPerModel }: CollectOptions,
): number[] {
  const most = layers.map(({ count }) => Math.min(count, maxPerLayer));
  if (maxPerModel === undefined) return most;
  const result = new Array<number>(layers.length).fill(0);
  const byModel = new Map<number, number[]>();
  for (const [i, { model }] of layers.entries()) byModel.get(model)?.push(i) ?? byModel.set(model, [i]);
  for (const layersOfModel of byModel.values()) {
    const shares = spread(
      layersOfModel.map((i) => most[i]),
      maxPerModel,
    );
    for (const [j, i] of layersOfModel.entries()) result[i] = shares[j];
  }
  return result;
}

/** `total` spread over what each can take, as evenly as that allows: nobody gets less because others could take more. */
export function spread(most: readonly number[], total: number): number[] {
  const result = most.map(() => 0);
  let left = total;
  const order = most.map((_, i) => i).sort((a, b) => most[a] - most[b] || a - b);
  for (const [done, i] of order.entries()) {
    result[i] = Math.min(most[i], Math.floor(left / (order.length - done)));
    left -= result[i];
  }
  return result;
}

function choose(layer: PlannedLayer, quota: number, key: ReturnType<typeof seedKey>): void {
  layer.overLimit = layer.count - quota;
  const selection = new Selection(layer.count, quota, key);
  for (let row = 0; row < layer.found; row++)
    if (hasBit(layer.kept, row) && !selection.next()) clearBit(layer.kept, row);
  layer.count = quota;
}

function splitLayers(
  layers: PlannedLayer[],
  all: readonly PlannedLayer[],
  { testFraction, splitBy }: CollectOptions,
  key: ReturnType<typeof seedKey>,
  families: readonly number[],
): SizePlan {
  const counts = new Map<number, number>();
  const familyOf = (model: number) => families[model] ?? model;
  for (const { model, count } of layers)
    counts.set(familyOf(model), (counts.get(familyOf(model)) ?? 0) + count);
  const total = layers.reduce((sum, { count }) => sum + count, 0);
  if (splitBy === 'kept') return keepSides(layers, total);
  const split = planSplit(counts, testFraction, key, splitBy);
  if (split.by === 'kernel') {
    splitRows(layers, all, total, split.testRows, foldIn(key, 'kernel'));
    split.testRows = layers.reduce((sum, { testCount }) => sum + testCount, 0);
  } else {
    const tested = new Set(split.testModels);
    split.testModels = [...new Set(layers.map(({ model }) => model))]
      .filter((model) => tested.has(familyOf(model)))
      .sort((a, b) => a - b);
    for (const layer of layers) layer.testCount = tested.has(familyOf(layer.model)) ? layer.count : 0;
  }
  return { layers, split, train: total - split.testRows, test: split.testRows };
}

/** Chooses test kernels one by one; a kernel of a layer that is nearly a copy goes where its original goes. */
function splitRows(
  layers: readonly PlannedLayer[],
  all: readonly PlannedLayer[],
  total: number,
  wanted: number,
  key: ReturnType<typeof seedKey>,
): void {
  const originals = layers.filter(({ copyOf }) => copyOf === undefined);
  const count = originals.reduce((sum, layer) => sum + layer.count, 0);
  const selection = new Selection(count, Math.round((wanted * count) / total), key);
  for (const layer of [...originals, ...layers.filter(({ copyOf }) => copyOf !== undefined)]) {
    const original = layer.copyOf === undefined ? undefined : all[layer.copyOf];
    layer.test = bitsFor(layer.found);
    for (let row = 0; row < layer.found; row++)
      if (hasBit(layer.kept, row) && (original ? hasBit(original.test!, row) : selection.next())) {
        setBit(layer.test, row);
        layer.testCount++;
      }
  }
}

/** Every kernel stays on its side, unless no train kernel would be left. */
function keepSides(layers: PlannedLayer[], total: number): SizePlan {
  const sides = new Map<number, { train: number; test: number }>();
  for (const layer of layers) {
    const { found, kept, model, count, trainRows = found } = layer;
    layer.test = bitsFor(found);
    for (let row = trainRows; row < found; row++)
      if (hasBit(kept, row)) {
        setBit(layer.test, row);
        layer.testCount++;
      }
    const side = sides.get(model) ?? { train: 0, test: 0 };
    side.test += layer.testCount;
    side.train += count - layer.testCount;
    sides.set(model, side);
  }
  const test = layers.reduce((sum, { testCount }) => sum + testCount, 0);
  if (test === total || test === 0) {
    for (const layer of layers) [layer.test, layer.testCount] = [undefined, 0];
    return { layers, split: { by: 'none', testModels: [], testRows: 0 }, train: total, test: 0 };
  }
  const mixed = [...sides.values()].some((side) => side.train > 0 && side.test > 0);
  const testModels = mixed ? [] : [...sides].filter(([, side]) => side.test > 0).map(([model]) => model);
  return {
    layers,
    split: { by: mixed ? 'kernel' : 'model', testModels, testRows: test },
    train: total - test,
    test,
  };
}
