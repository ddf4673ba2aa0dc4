// `.keras` files: a zip archive with the model's configuration and, in HDF5, its weights.
import { inputError } from '../errors.js';
import { readAll } from '../formats/source.js';
import { fieldsOf, textOf } from '../formats/untyped.js';
import { isZip, openZip } from '../formats/zip.js';
import type { Importer } from './importer.js';
import { readKerasHdf5 } from './keras-hdf5.js';

const WEIGHTS = 'model.weights.h5';
const LARGEST_JSON = 2 ** 26;

export const kerasZip: Importer = {
  format: 'keras',
  title: 'Keras (.keras)',
  extensions: ['.keras'],
  recognises: (head, path) => isZip(head) && path.toLowerCase().endsWith('.keras'),
  read: async (source, options) => {
    const archive = await openZip(source);
    const entry = (name: string) => archive.entries.find((candidate) => candidate.name === name);
    const text = (name: string) => {
      const found = entry(name);
      if (!found) return undefined;
      if (found.size > LARGEST_JSON) throw inputError(`${source.path}: ${name} has ${found.size} bytes`);
      return new TextDecoder().decode(readAll(archive.open(found)));
    };
    const weights = entry(WEIGHTS);
    if (!weights)
      throw inputError(
        `${source.path}: not a Keras model with its weights in one HDF5 file (no ${WEIGHTS} in it)`,
        "save it with Keras 3's model.save('name.keras')",
      );
    const model = await readKerasHdf5(archive.open(weights), options, text('config.json'));
    const version = versionIn(text('metadata.json'));
    return { ...model, ...(version ? { producer: `keras ${version}` } : {}) };
  },
};

function versionIn(metadata: string | undefined): string | undefined {
  try {
    return textOf(fieldsOf(JSON.parse(metadata ?? '')).keras_version);
  } catch {
    return undefined;
  }
}
