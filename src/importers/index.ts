// Every model format that can be read, and reading a model of any of them.
import { DwpError, inputError } from '../errors.js';
import { type FileSource, openSource, type SourceFile } from '../formats/source.js';
import { type FoundFiles, findFiles } from './find.js';
import { HEAD_BYTES, type Importer, type ReadOptions } from './importer.js';
import { SHARDED } from './join-shards.js';
import { kerasHdf5 } from './keras-hdf5.js';
import { kerasZip } from './keras-zip.js';
import type { ModelLayers } from './layers.js';
import { numpy } from './numpy.js';
import { onnx } from './onnx.js';
import { otherKind } from './other-kinds.js';
import { safetensors } from './safetensors.js';
import { isShardIndex } from './shards.js';
import { tfjs } from './tfjs.js';
import { tflite } from './tflite.js';
import { torch } from './torch.js';

export { type FoundFiles, type PassedOver, passedOverText } from './find.js';
export type { Importer, ModelFile, ReadOptions } from './importer.js';
export type { BatchNormRecord, ConvLayer, LayerKind, ModelLayers } from './layers.js';

/** Asked in this order whether they recognise a file. */
export const importers: readonly Importer[] = [
  kerasHdf5,
  kerasZip,
  tflite,
  numpy,
  torch,
  safetensors,
  tfjs,
  onnx,
];

export interface OpenedModel extends ModelLayers {
  path: string;
  format: string;
  /** Of the file, hexadecimal; computed when first asked for, while the model is open. */
  readonly sha256: string;
  bytes: number;
  /** Further files of the model (external data, shards) that were opened so far; the same holds for `sha256`. */
  readonly parts: { name: string; readonly sha256: string; bytes: number }[];
  /** Every file opened so far, as the disk has it: tells whether one was changed since. */
  readonly files: readonly { path: string; bytes: number; modified: number }[];
  /** Closes the model's files; its layers cannot be read afterwards. */
  close(): void;
}

/** Extensions of files that a folder is searched for. */
const modelExtensions: readonly string[] = [...new Set(importers.flatMap(({ extensions }) => extensions))];

/**
 * The models among files, folders and patterns.
 *
 * @throws DwpError INPUT when a path does not exist, cannot be read, or leads to no model
 */
export const findModelFiles = (paths: readonly string[]): FoundFiles =>
  findFiles(paths, isModelFile, modelExtensions);

/** Whether a file of a folder is a model that can be read, by its name and its first bytes. */
function isModelFile(path: string): boolean {
  const name = path.toLowerCase();
  return (
    modelExtensions.some((extension) => name.endsWith(extension)) ||
    isShardIndex(path, SHARDED) ||
    beginsLikeModel(path)
  );
}

/** Whether a file with an extension that is not a model's alone begins like a model. */
function beginsLikeModel(path: string): boolean {
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
export async function openModel(path: string, options: ReadOptions = {}): Promise<OpenedModel> {
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
    if (!importer) throw unknownFormat(path);
    model = await importer.read(source, options);
    const digests = new Map<string, string>();
    const digest = ({ name, sha256 }: SourceFile) => {
      if (!digests.has(name)) digests.set(name, sha256());
      return digests.get(name)!;
    };
    return {
      ...(options.foldBatchNorm ? withRecord(model, importer.format) : model),
      path,
      format: importer.format,
      get sha256() {
        return digest(source.files[0]);
      },
      bytes: source.size,
      get parts() {
        return source.files.slice(1).map((file) => ({
          name: file.name,
          get sha256() {
            return digest(file);
          },
          bytes: file.size,
        }));
      },
      get files() {
        return source.files.map(({ path, size, modified }) => ({ path, bytes: size, modified }));
      },
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

function unknownFormat(path: string): DwpError {
  const kind = otherKind(path);
  if (kind) return inputError(`${path}: ${kind.what}, which is not read`, kind.remedy);
  const known = importers.map(({ format, extensions }) => `${format} (${extensions.join(', ')})`);
  return inputError(`${path}: not a model of a known format`, `known: ${known.join('; ')}`);
}

/** No model is taken for folded because its importer says nothing. */
const withRecord = (model: ModelLayers, format: string): ModelLayers => ({
  batchNorms: {
    folded: 0,
    notFolded: [
      {
        batchNorm: 'all',
        reason: `it is not folded in ${format} files of this kind, whose converters fold it themselves as a rule`,
      },
    ],
  },
  ...model,
});
