// What a model format has to offer. A new one is a file beside this and a line in index.ts.
import type { ModelLayers } from './layers.js';

export interface Importer {
  /** Short name, as it is recorded in a dataset. */
  format: string;
  /** Lower case, with the dot: which files of a folder to try. */
  extensions: readonly string[];
  /** @param head the first bytes of the file, up to 64 */
  recognises(head: Uint8Array, path: string): boolean;
  /**
   * @param bytes the whole file
   * @param path names the file in errors
   * @throws DwpError INPUT when the file is damaged or is not of this format
   */
  read(bytes: Uint8Array, path: string): Promise<ModelLayers>;
}
