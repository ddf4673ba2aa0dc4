// dwp inspect: what is in a model or in a kernel dataset.
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { inputError } from '../../errors.js';
import { type LayerKind, openModel } from '../../importers/index.js';
import {
  type Dropped,
  type KernelSize,
  kernelSize,
  layerQuality,
  readDatasetDescription,
  readKernelDataset,
} from '../../kernels/index.js';
import { argument, defineCommand } from '../command.js';
import { table } from '../table.js';

interface ModelResult {
  kind: 'model';
  path: string;
  format: string;
  sha256: string;
  producer?: string;
  licence?: string;
  layers: {
    name: string;
    kind: LayerKind;
    shape: number[];
    size: KernelSize;
    kernels: number;
    dtype: string;
    /** Over the layer's finite weights. */
    std: number;
    /** Slices that cleaning would drop, duplicates within the layer. */
    dropped: Dropped;
  }[];
  skipped: { layer: string; reason: string }[];
}

interface DatasetResult {
  kind: 'dataset';
  path: string;
  sizes: Record<
    KernelSize,
    { train: number; test: number; mean: number; std: number; split: string; dropped?: Dropped }
  >;
  sources: {
    name: string;
    format: string;
    sha256: string;
    licence?: string;
    layers: number;
    kernels: number;
  }[];
}

export const inspect = defineCommand({
  name: 'inspect',
  arguments: {
    path: argument('<model-or-dataset>', 'model file, dataset folder or .npy of kernels', z.string()),
  },
  options: {},
  examples: ['dwp inspect model.onnx', 'dwp inspect kernels', 'dwp inspect kernels-7x7.npy --format json'],
  run: async ({ path }): Promise<ModelResult | DatasetResult> => {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return inspectDataset(path);
    if (path.toLowerCase().endsWith('.npy')) return inspectArray(path);
    return inspectModel(path);
  },
  render: (result) => (result.kind === 'model' ? renderModel(result) : renderDataset(result)),
});

async function inspectModel(path: string): Promise<ModelResult> {
  const model = await openModel(path);
  const { format, sha256, producer, licence, layers, skipped } = model;
  const described: ModelResult['layers'] = [];
  try {
    for (const layer of layers) {
      const { name, kind, shape, dtype } = layer;
      const size = kernelSize(shape[2], shape[3]);
      const { std, dropped } = await layerQuality(layer);
      described.push({ name, kind, shape, size, kernels: shape[0] * shape[1], dtype, std, dropped });
    }
  } finally {
    model.close();
  }
  return {
    kind: 'model',
    path,
    format,
    sha256,
    ...(producer && { producer }),
    ...(licence && { licence }),
    layers: described,
    skipped,
  };
}

function inspectDataset(path: string): DatasetResult {
  if (!existsSync(join(path, 'dataset.json')))
    throw inputError(
      `${path}: a folder without dataset.json`,
      'give one model file, or collect a folder of models with dwp collect-kernels',
    );
  const { sizes, sources, layers } = readDatasetDescription(path);
  return {
    kind: 'dataset',
    path,
    sizes: Object.fromEntries(
      Object.entries(sizes).map(([size, { train, test, mean, std, split, dropped }]) => [
        size,
        { train: train.rows, test: test?.rows ?? 0, mean, std, split: split.by, dropped },
      ]),
    ),
    sources: sources.map(({ name, format, sha256, licence }, model) => {
      const own = layers.filter((layer) => layer.model === model);
      const kernels = own.reduce((sum, { train, test }) => sum + train.count + test.count, 0);
      return { name, format, sha256, ...(licence && { licence }), layers: own.length, kernels };
    }),
  };
}

function inspectArray(path: string): DatasetResult {
  const { train, mean, std } = readKernelDataset(path);
  return {
    kind: 'dataset',
    path,
    sizes: { [kernelSize(train.h, train.w)]: { train: train.count, test: 0, mean, std, split: 'none' } },
    sources: [],
  };
}

function renderModel({ path, format, producer, layers, skipped }: ModelResult): string {
  const totals = new Map<string, number>();
  for (const { size, kernels } of layers) totals.set(size, (totals.get(size) ?? 0) + kernels);
  const unusable = ({ nonFinite, constant, nearZero, duplicate }: Dropped) =>
    nonFinite + constant + nearZero + duplicate;
  const blocks = [
    `${path}: ${format}${producer ? `, written by ${producer}` : ''}`,
    table(
      ['layer', 'kind', 'out × in', 'size', 'kernels', 'unusable', 'std', 'stored as'],
      layers.map(({ name, kind, shape, size, kernels, std, dtype, dropped }) => [
        name,
        kind,
        `${shape[0]} × ${shape[1]}`,
        size,
        kernels,
        size === '1x1' ? '' : unusable(dropped),
        Number(std.toPrecision(3)),
        dtype,
      ]),
    ),
  ];
  if (skipped.length > 0)
    blocks.push(
      table(
        ['skipped', 'reason'],
        skipped.map(({ layer, reason }) => [layer, reason]),
      ),
    );
  blocks.push(
    totals.size === 0
      ? 'no 2-D convolutions with stored weights'
      : [...totals].map(([size, n]) => `${size}: ${n} kernels`).join('\n'),
  );
  return blocks.join('\n\n');
}

function renderDataset({ path, sizes, sources }: DatasetResult): string {
  const blocks = [
    path,
    table(
      ['size', 'train', 'test', 'split by', 'mean', 'std'],
      Object.entries(sizes).map(([size, { train, test, split, mean, std }]) => [
        size,
        train,
        test,
        split,
        Number(mean.toPrecision(3)),
        Number(std.toPrecision(3)),
      ]),
    ),
  ];
  if (sources.length > 0)
    blocks.push(
      table(
        ['source', 'format', 'layers', 'kernels', 'licence', 'sha256'],
        sources.map(({ name, format, layers, kernels, licence, sha256 }) => [
          name,
          format,
          layers,
          kernels,
          licence ?? '',
          sha256.slice(0, 12),
        ]),
      ),
    );
  return blocks.join('\n\n');
}
