// What there is to say about the kernels of a model or of a dataset, and how far they are from others.
import { DwpError, inputError } from '../errors.js';
import { shown } from '../formats/source.js';
import type { ConvLayer } from '../importers/index.js';
import { readKernelDataset } from './dataset.js';
import type { DatasetDescription } from './description.js';
import { GroupBuilder, type KernelGroup } from './group.js';
import {
  compareSizes,
  concatKernels,
  type Kernels,
  parseSize,
  type SizeText,
  sizeText,
  slicesOf,
} from './kernels.js';
import { type LayerQuality, measureLayer } from './quality/index.js';
import { distributionShift, type Shift } from './shift.js';

export interface ExaminedLayer {
  layer: ConvLayer;
  quality: LayerQuality;
}

export interface ExaminedModel {
  layers: ExaminedLayer[];
  sizes: Map<SizeText, KernelGroup>;
  /** Layers whose stored values are damaged. */
  skipped: { layer: string; reason: string }[];
}

/** @param each called before a layer is read, with its index; what it throws ends the examination */
export async function examineModel(
  layers: readonly ConvLayer[],
  each: (index: number, layer: ConvLayer) => void | Promise<void> = () => {},
): Promise<ExaminedModel> {
  const expected = new Map<SizeText, number>();
  for (const { shape } of layers) {
    const size = sliceSize(shape);
    expected.set(size, (expected.get(size) ?? 0) + shape[0] * shape[1]);
  }
  const builders = new Map<SizeText, GroupBuilder>();
  const examined: ExaminedModel = { layers: [], sizes: new Map(), skipped: [] };
  for (const [i, layer] of layers.entries()) {
    await each(i, layer);
    const [out, inputs, h, w] = layer.shape;
    const size = sliceSize(layer.shape);
    let data: Float32Array;
    try {
      data = await layer.read();
    } catch (error) {
      if (!(error instanceof DwpError && error.code === 'INPUT')) throw error;
      examined.skipped.push({ layer: layer.name, reason: error.message });
      continue;
    }
    const quality = measureLayer(data, layer.shape);
    const builder = builders.get(size) ?? new GroupBuilder(h, w, expected.get(size)!);
    builders.set(size, builder);
    builder.add({ data, count: out * inputs, h, w });
    if (quality.orthogonality !== null) builder.addOrthogonality(out, quality.orthogonality);
    examined.layers.push({ layer, quality });
  }
  for (const size of [...builders.keys()].sort(compareSizes))
    examined.sizes.set(size, builders.get(size)!.finish());
  return examined;
}

const sliceSize = ([, , h, w]: readonly number[]): SizeText => sizeText({ h, w });

/** Kernels sampled of all sources together, and of a single one of many: some megabytes. */
const MOST_OF_SOURCES = 400_000;
const LEAST_OF_SOURCE = 1_000;

export interface ExaminedSize {
  /** All sources together, train and test. */
  all: KernelGroup;
  /** By index into the dataset's sources; those with kernels of this size. */
  sources: Map<number, KernelGroup>;
}

/**
 * One size of a dataset, by source.
 *
 * @throws DwpError INPUT when the arrays cannot be read or do not fit the description
 */
export function examineDatasetSize(
  path: string,
  size: SizeText,
  { layers, sources }: DatasetDescription,
): ExaminedSize {
  const { channels = 1 } = parseSize(size);
  const { train: filters, test: heldOut } = readKernelDataset(path, size);
  // whole filters are looked at slice by slice
  const [train, test] = [slicesOf(filters), heldOut && slicesOf(heldOut)];
  const { h, w } = train;
  const inSlices = (rows: { offset: number; count: number }) => ({
    offset: rows.offset * channels,
    count: rows.count * channels,
  });
  const layersOfSize = layers
    .filter((layer) => layer.size === size)
    .map((layer) => ({ ...layer, train: inSlices(layer.train), test: inSlices(layer.test) }));
  const counts = new Map<number, number>();
  for (const { model, train, test } of layersOfSize)
    counts.set(model, (counts.get(model) ?? 0) + train.count + test.count);
  const mostSampled = Math.max(LEAST_OF_SOURCE, Math.floor(MOST_OF_SOURCES / counts.size));
  const all = new GroupBuilder(h, w, train.count + (test?.count ?? 0));
  const builders = new Map<number, GroupBuilder>();
  for (const layer of layersOfSize) {
    if (layer.model >= sources.length)
      throw inputError(
        `${path}: layer ${shown(layer.layer)} names source ${layer.model}, but there are ${sources.length}, counted from 0`,
      );
    const rows = (kernels: Kernels | undefined, { offset, count }: { offset: number; count: number }) => {
      if (count > 0 && (!kernels || offset + count > kernels.count))
        throw inputError(
          `${path}: layer ${shown(layer.layer)} has ${count} kernels of ${size} at ${offset} of ${kernels?.count ?? 0}`,
          'collect the kernels again',
        );
      const data = (kernels ?? train).data.subarray(offset * h * w, (offset + count) * h * w);
      return { data, count, h, w };
    };
    const both = concatKernels([rows(train, layer.train), rows(test, layer.test)]);
    if (both.count === 0) continue;
    const builder =
      builders.get(layer.model) ?? new GroupBuilder(h, w, counts.get(layer.model)!, mostSampled);
    builders.set(layer.model, builder);
    for (const each of [builder, all]) each.add(both);
  }
  if (layersOfSize.length === 0) for (const kernels of test ? [train, test] : [train]) all.add(kernels);
  const finished = [...builders].sort(([a], [b]) => a - b);
  return {
    all: all.finish(),
    sources: new Map(finished.map(([model, builder]) => [model, builder.finish()])),
  };
}

/** A bare array of kernels: one layer, as far as anyone knows. */
export function examineKernels(kernels: Kernels): KernelGroup {
  const slices = slicesOf(kernels);
  const builder = new GroupBuilder(slices.h, slices.w, slices.count);
  builder.add(slices);
  return builder.finish();
}

/** At most so many sets are compared: those with the most kernels. */
const MOST_COMPARED = 48;
/** Sets with fewer kernels than a histogram has bins are not. */
const LEAST_COMPARED = 70;

export interface ComparedGroups extends Shift {
  names: string[];
}

/** Shifts between groups of one size; undefined where fewer than two have enough kernels. */
export function compareGroups(
  groups: readonly { name: string; group: KernelGroup }[],
): ComparedGroups | undefined {
  const usable = groups.filter(
    ({ group: { sample, quality } }) =>
      sample.h * sample.w > 1 && quality.directions && quality.directions.kernels >= LEAST_COMPARED,
  );
  const largest = new Set(
    [...usable].sort((a, b) => b.group.kernels - a.group.kernels).slice(0, MOST_COMPARED),
  );
  const compared = usable.filter((each) => largest.has(each));
  if (compared.length < 2) return undefined;
  return {
    names: compared.map(({ name }) => name),
    ...distributionShift(compared.map(({ group }) => group.sample)),
  };
}
