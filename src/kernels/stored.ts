// A kernel dataset layer by layer, as a source of others: what is read is what is needed.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { inputError } from '../errors.js';
import { type NpyRows, openNpyRows } from '../formats/npy-rows.js';
import { readBytes } from '../formats/read-file.js';
import { shown } from '../formats/source.js';
import { readDatasetDescription } from './dataset.js';
import type { DatasetDescription, DatasetSource, LayerRecord } from './description.js';
import { kernelLength, parseSize } from './kernels.js';

export interface StoredLayer {
  record: LayerRecord;
  source: DatasetSource;
  /** Train kernels, then test kernels, as the model has them. */
  rows: number;
  read(): Float32Array;
}

export interface StoredDataset {
  folder: string;
  name: string;
  /** Of dataset.json. */
  sha256: string;
  description: DatasetDescription;
  layers: StoredLayer[];
  close(): void;
}

/** @throws DwpError INPUT when the folder is no dataset, or its arrays are not those it describes */
export function openStored(folder: string): StoredDataset {
  const description = readDatasetDescription(folder);
  const arrays = new Map<string, NpyRows>();
  const close = () => {
    for (const array of arrays.values()) array.close();
  };
  try {
    for (const [size, { train, test }] of Object.entries(description.sizes)) {
      const { h, w, channels } = parseSize(size);
      const row = channels ? [channels, h, w] : [h, w];
      const unit = description.options.normalize === 'unit';
      for (const [which, part] of Object.entries({ train, test })) {
        if (!part) continue;
        open(`${size}/${which}.npy`, [part.rows, ...row], part.sha256);
        if (unit) open(`${size}/${which}.scale.npy`, [part.rows], part.scales);
      }
    }
    return {
      folder,
      name: basename(resolve(folder)),
      sha256: createHash('sha256')
        .update(readBytes(join(folder, 'dataset.json')))
        .digest('hex'),
      description,
      layers: description.layers.map((record) => storedLayer(folder, record, description, arrays)),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }

  function open(name: string, shape: readonly number[], sha256: string | undefined): void {
    const path = join(folder, name);
    if (!existsSync(path)) throw inputError(`${path}: no such file`, 'collect the kernels again');
    const array = openNpyRows(path);
    arrays.set(name, array);
    if (array.shape.join() !== shape.join() || (sha256 !== undefined && array.sha256() !== sha256))
      throw inputError(`${path}: not the file that dataset.json describes`, 'collect the kernels again');
  }
}

function storedLayer(
  folder: string,
  record: LayerRecord,
  { sources, options, sizes }: DatasetDescription,
  arrays: ReadonlyMap<string, NpyRows>,
): StoredLayer {
  const { size, train, test, scale } = record;
  const limits = { train: sizes[size]?.train.rows ?? 0, test: sizes[size]?.test?.rows ?? 0 };
  const damaged = (why: string) =>
    inputError(
      `${join(folder, 'dataset.json')}: layer ${shown(record.layer)} ${why}`,
      'collect the kernels again',
    );
  if (record.model >= sources.length)
    throw damaged(`names source ${record.model}, but there are ${sources.length}, counted from 0`);
  for (const which of ['train', 'test'] as const)
    if (record[which].offset + record[which].count > limits[which] && record[which].count > 0)
      throw damaged(`has rows that ${which}.npy has not`);
  if (options.normalize === 'layer' && scale === null) throw damaged('has no scale');
  const d = kernelLength(parseSize(size));
  const rows = train.count + test.count;
  return {
    record,
    source: sources[record.model],
    rows,
    read: () => {
      const data = new Float32Array(rows * d);
      let at = 0;
      for (const which of ['train', 'test'] as const) {
        const { offset, count } = record[which];
        if (count === 0) continue;
        data.set(arrays.get(`${size}/${which}.npy`)!.read(offset, offset + count), at * d);
        const scales = arrays.get(`${size}/${which}.scale.npy`)?.read(offset, offset + count);
        if (scales) for (let i = 0; i < count * d; i++) data[at * d + i] *= scales[Math.floor(i / d)];
        at += count;
      }
      if (options.normalize === 'layer') for (let i = 0; i < data.length; i++) data[i] *= scale!;
      return data;
    },
  };
}

/** What distinguishes a source: the digests of all its files. */
export const identityOf = ({ sha256, parts = [] }: DatasetSource): string =>
  [sha256, ...parts.map((part) => part.sha256)].join();
