// Datasets of datasets: merged, split anew, or a part of one. Models are not needed; where rows come from stays known.
import { type CollectHooks, type Collection, collectKernels } from './collect.js';
import type { DatasetDescription } from './description.js';
import { compareSizes, kernelLength, parseSize } from './kernels.js';
import type { CollectOptions } from './options.js';
import type { ModelOpener } from './scan.js';
import { identityOf, type StoredDataset, type StoredLayer } from './stored.js';

export interface DeriveOptions {
  /** Which layers are taken; all when left out. */
  wants?(layer: StoredLayer): boolean;
  /** What is the same as a kernel before it is dropped; `keep` when left out. */
  duplicates?: CollectOptions['duplicates'];
  /** `kept` when left out. */
  splitBy?: CollectOptions['splitBy'];
  testFraction?: number;
  maxPerLayer?: number;
  maxPerModel?: number;
  seed: number;
}

/**
 * The same passes as over models, with the layers of datasets in their place. A model that is a source of several
 * datasets is one source of the result.
 *
 * @throws DwpError as {@link collectKernels}
 */
export function deriveDataset(
  datasets: readonly StoredDataset[],
  out: string,
  { wants = () => true, ...asked }: DeriveOptions,
  hooks: CollectHooks = {},
): Promise<Collection> {
  const groups = new Map<string, StoredLayer[]>();
  for (const { layers } of datasets)
    for (const layer of layers) {
      if (layer.rows === 0 || !wants(layer)) continue;
      const key = identityOf(layer.source);
      groups.get(key)?.push(layer) ?? groups.set(key, [layer]);
    }
  const models = [...groups.values()];
  const all = models.flat();
  const numbers = new Map(all.map((layer, i) => [layer, i]));
  const files = models.map(([{ source }], i) => ({ path: `source ${i}`, name: source.name }));
  const open: ModelOpener = async (path) => {
    const layers = models[Number(path.slice('source '.length))];
    const { sha256, format, bytes, parts = [], licence, producer, notes, batchNorms } = layers[0].source;
    return {
      ...{ path, format, sha256, bytes, parts, licence, producer, notes, batchNorms },
      files: [],
      skipped: [],
      layers: layers.map((layer) => ({
        name: String(numbers.get(layer)),
        kind: layer.record.kind,
        shape: [layer.rows, spanOf(layer), layer.record.shape[2], layer.record.shape[3]],
        channels: spanOf(layer),
        dtype: layer.record.dtype,
        read: layer.read,
        trainRows: layer.record.train.count,
      })),
      close() {},
    };
  };
  const bytesOf = ({ rows, record }: StoredLayer) => 4 * rows * kernelLength(parseSize(record.size));
  const ways = new Set(datasets.map(({ description }) => description.options.normalize));
  const options: CollectOptions = {
    sizes: [...new Set(all.map(({ record }) => record.size))].sort(compareSizes),
    depthwise: 'include',
    transposed: 'include',
    minNorm: 0, // they have been cleaned
    normalize: ways.size === 1 ? [...ways][0] : 'none',
    ...{ testFraction: 0, duplicates: 'keep', splitBy: 'kept' },
    ...asked,
  };
  return collectKernels(files, out, options, hooks, {
    open,
    bytesOf: (path) =>
      models[Number(path.slice('source '.length))].reduce((sum, layer) => sum + bytesOf(layer), 0),
    describe: (description) => ({
      ...description,
      layers: description.layers.map((made) => {
        const { layer, kind, role, depth, shape, dtype, found } = all[Number(made.layer)].record;
        return { ...made, layer, kind, role, depth, shape, dtype, found };
      }),
      derivedFrom: datasets.map(originOf),
    }),
  });
}

/** Input channels that one kernel of a layer spans. */
const spanOf = ({ record }: StoredLayer) => parseSize(record.size).channels ?? 1;

const originOf = ({ name, sha256, description: { options, sizes } }: StoredDataset) =>
  ({
    name,
    sha256,
    options,
    sizes: Object.fromEntries(
      Object.entries(sizes).map(([size, { found, dropped }]) => [size, { found, dropped }]),
    ),
  }) satisfies NonNullable<DatasetDescription['derivedFrom']>[number];
