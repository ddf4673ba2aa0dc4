// Every model format that can be read, and reading a model of any of them.
import { createHash } from 'node:crypto';
import { inputError } from '../errors.js';
import { readBytes } from '../formats/files.js';
import type { Importer } from './importer.js';
import { kerasHdf5 } from './keras-hdf5.js';
import type { ModelLayers } from './layers.js';
import { onnx } from './onnx.js';

export { findModelFiles, type ModelFile } from './find.js';
export type { Importer } from './importer.js';
export type { ConvLayer, LayerKind, ModelLayers } from './layers.js';

/** Asked in this order whether they recognise a file. */
export const importers: readonly Importer[] = [kerasHdf5, onnx];

export interface Model extends ModelLayers {
  path: string;
  format: string;
  /** Of the file, hexadecimal. */
  sha256: string;
  bytes: number;
}

/** Extensions of files that a folder is searched for. */
export const modelExtensions: readonly string[] = importers.flatMap(({ extensions }) => extensions);

/** @throws DwpError INPUT when the file is missing, of no known format, or damaged. */
export async function readModel(path: string): Promise<Model> {
  const bytes = readBytes(path);
  if (bytes.length === 0) throw inputError(`${path}: the file is empty`, 'fetch it again');
  const head = bytes.subarray(0, 64);
  if (new TextDecoder('latin1').decode(head).startsWith('version https://git-lfs'))
    throw inputError(`${path}: a Git LFS pointer, not the model itself`, 'run: git lfs pull');
  const importer = importers.find((candidate) => candidate.recognises(head, path));
  if (!importer)
    throw inputError(
      `${path}: not a model of a known format`,
      `known: ${importers.map(({ format, extensions }) => `${format} (${extensions.join(', ')})`).join('; ')}`,
    );
  const model = await importer.read(bytes, path);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { path, format: importer.format, sha256, bytes: bytes.length, ...model };
}
