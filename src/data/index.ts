// The datasets that are known by name, and the one way to load any of them. A new one is a file and a line here.
import { existsSync } from 'node:fs';
import { inputError, usageError } from '../errors.js';
import type { Dataset, DatasetSource } from './dataset.js';
import { fashionMnist } from './fashion-mnist.js';
import { readIdxDirectory } from './idx.js';
import { mnist } from './mnist.js';

export * from './batches.js';
export { binaryImages } from './binary.js';
export type { Dataset, DatasetSource, ImageSet } from './dataset.js';
export { labelWarnings } from './labels.js';
export * from './split.js';

export const datasets: readonly DatasetSource[] = [mnist, fashionMnist];

/**
 * Reads a whole dataset into memory; keep the result, nothing is cached.
 * @param directory a folder of four IDX files to read instead of the dataset's own; with it, `name` may be
 *   anything, and the number of classes of an unknown name is what its training labels show
 * @throws DwpError USAGE for an unknown name without a folder; INPUT when files are missing or invalid
 */
export function loadDataset(name: string, directory?: string): Dataset {
  const source = datasets.find((candidate) => candidate.name === name);
  if (directory !== undefined) {
    if (!existsSync(directory)) throw inputError(`${directory}: no such folder`, 'check --data-dir');
    return readIdxDirectory(directory, name, source?.classes);
  }
  if (!source)
    throw usageError(
      `no dataset is called ${name}`,
      `known: ${datasets.map((known) => known.name).join(', ')}; for other datasets give --data-dir`,
    );
  return readIdxDirectory(source.directory(), name, source.classes);
}
