// Every model format that can be read, and reading a model of any of them.
import { createHash } from 'node:crypto';
import { DwpError, inputError } from '../errors.js';
import { type ByteSource, type FileSource, openSource } from '../formats/source.js';
import { HEAD_BYTES, type Importer, type ReadOptions } from './importer.js';
import { kerasHdf5 } from './keras-hdf5.js';
import type { ModelLayers } from './layers.js';
import { numpy } from './numpy.js';
import { onnx } from './onnx.js';
import { safetensors } from './safetensors.js';
import { tfjs } from './tfjs.js';
import { tflite } from './tflite.js';
import { torch } from './torch.js';

export { findModelFiles, type ModelFile } from './find.js';
export type { Importer, ReadOptions } from './importer.js';
export type { ConvLayer, LayerKind, ModelLayers } from './layers.js';

/** Asked in this order whether they recognise a file. */
export const importers: readonly Importer[] = [kerasHdf5, tflite, numpy, torch, safetensors, tfjs, onnx];

export interface Model extends ModelLayers {
  path: string;
  format: string;
  /** Of the file, hexadecimal. */
  sha256: string;
  bytes: number;
  /** Further files of the model (external data, shards) that its weights are read from. */
  parts: { name: string; sha256: string; bytes: number }[];
  /** Closes the model's files; its layers cannot be read afterwards. */
  close(): void;
}

/** Extensions of files that a folder is searched for. */
export const modelExtensions: readonly string[] = [
  ...new Set(importers.flatMap(({ extensions }) => extensions)),
];

/** Whether a file with an extension that is not a model's alone begins like a model. */
export function beginsLikeModel(path: string): boolean {
  const name = path.toLowerCase();
  const candidates = importers.filter(({ sharedExtensions = [] }) =>
    sharedExtensions.some((extension) => name.endsWith(extension)),
  );
  if (candidates.length === 0) return false;
  let source: FileSource | undefined;
  try {
    source = openSource(path);
    const head = source.read(0, Math.min(source.size, HEAD_BYTES));
    return candidates.some((importer) => importer.recognises(head, path));
  } catch (error) {
    if (error instanceof DwpError) return false; // unreadable, and nothing says that it is a model
    throw error;
  } finally {
    source?.close();
  }
}

/**
 * Finds the layers of a model; the caller reads their weights and then closes it.
 *
 * @throws DwpError INPUT when the file is missing, of no known format, or damaged
 */
export async function openModel(path: string, options: ReadOptions = {}): Promise<Model> {
  const source = openSource(path);
  let model: ModelLayers | undefined;
  const close = () => {
    model?.close?.();
    source.close();
  };
  try {
    if (source.size === 0) throw inputError(`${path}: the file is empty`, 'fetch it again');
    const head = source.read(0, Math.min(source.size, HEAD_BYTES));
    if (new TextDecoder('latin1').decode(head).startsWith('version https://git-lfs'))
      throw inputError(`${path}: a Git LFS pointer, not the model itself`, 'run: git lfs pull');
    const importer = importers.find((candidate) => candidate.recognises(head, path));
    if (!importer)
      throw inputError(
        `${path}: not a model of a known format`,
        `known: ${importers.map(({ format, extensions }) => `${format} (${extensions.join(', ')})`).join('; ')}`,
      );
    model = await importer.read(source, options);
    const [main, ...parts] = source.files.map(({ name, path, size }) => ({
      name,
      sha256: digest(source.path === path ? source : source.sibling(name)),
      bytes: size,
    }));
    const { sha256, bytes } = main;
    return { ...model, path, format: importer.format, sha256, bytes, parts, close };
  } catch (error) {
    close();
    throw error;
  }
}

const DIGEST_STEP = 2 ** 22;

function digest(source: ByteSource): string {
  const hash = createHash('sha256');
  for (let at = 0; at < source.size; at += DIGEST_STEP)
    hash.update(source.read(at, Math.min(DIGEST_STEP, source.size - at)));
  return hash.digest('hex');
}
