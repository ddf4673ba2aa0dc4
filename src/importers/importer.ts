// What a model format has to offer. A new one is a file beside this and a line in index.ts.
import type { ByteSource } from '../formats/source.js';
import type { ModelLayers } from './layers.js';

export interface ReadOptions {
  /** Whether a BatchNormalization that follows a convolution is multiplied into its weights. */
  foldBatchNorm?: boolean;
}

/** A file to read, or the first of a model in several. */
export interface ModelFile {
  path: string;
  /** For the record: the path from the folder that was named, or the file's own name. */
  name: string;
  /** Of all files of a model in several, where it is one. */
  bytes?: number;
}

export interface Importer {
  /** Short name, as it is recorded in a dataset. */
  format: string;
  /** What people call the format, in help texts. */
  title: string;
  /** Lower case, with the dot: which files of a folder to try. */
  extensions: readonly string[];
  /** Extensions that all sorts of files have: of a folder, those that {@link recognises} knows by their first bytes. */
  sharedExtensions?: readonly string[];
  /** @param head the first bytes of the file, up to {@link HEAD_BYTES} */
  recognises(head: Uint8Array, path: string): boolean;
  /**
   * Finds the layers; their weights are read later, one at a time. Every offset, length and shape comes from a
   * stranger: check it against the file's size before allocating, bound depth and number of everything nested.
   *
   * @throws DwpError INPUT when the file is damaged or is not of this format
   */
  read(source: ByteSource, options?: ReadOptions): Promise<ModelLayers>;
}

export const HEAD_BYTES = 512;
