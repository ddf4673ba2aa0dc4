// NumPy arrays as weights: .npz archives (numpy.savez, Chainer, JAX projects) and a single .npy array.
import { inputError } from '../errors.js';
import { isNpy, type NpyHeader, parseNpyHeader, readNpyHeader, readNpyValues } from '../formats/npy.js';
import { type ByteSource, shown } from '../formats/source.js';
import { openZip, type ZipArchive, type ZipEntry } from '../formats/zip.js';
import { foldNamedBatchNorms } from './fold-state-dict.js';
import type { Importer, ReadOptions } from './importer.js';
import { type ModelLayers, permuteAxes } from './layers.js';
import { convolutionsOf, type NamedTensor } from './state-dict.js';

export const numpy: Importer = {
  format: 'numpy',
  title: 'NumPy',
  // a .npy is read when it is named itself: those in a folder are more often data than weights
  extensions: ['.npz'],
  recognises: (head, path) => isNpy(head) || path.toLowerCase().endsWith('.npz'),
  read: async (source, options) =>
    isNpy(source.read(0, Math.min(source.size, 6))) ? readArray(source) : readArchive(source, options),
};

function readArray(source: ByteSource): ModelLayers {
  const header = readNpyHeader(source);
  if (header.shape.length !== 4)
    throw inputError(
      `${source.path}: an array of [${header.shape}], not of weights`,
      'expected [out, in, h, w]; an array of kernels [n, h, w] is a kernel dataset already',
    );
  return convolutionsOf([tensor('weights', header, () => source)], { anyName: true });
}

/** Whose header is in the first bytes; NumPy writes 128 bytes for all but structures. */
const HEAD = 4096;

async function readArchive(source: ByteSource, options?: ReadOptions): Promise<ModelLayers> {
  const zip = await openZip(source);
  const arrays = zip.entries.filter(({ name }) => name.endsWith('.npy'));
  if (arrays.length === 0)
    throw inputError(`${source.path}: holds no arrays`, 'expected an archive as numpy.savez writes it');
  const tensors = arrays.map((entry) => entryTensor(source.path, zip, entry));
  const model = convolutionsOf(tensors, { anyName: true });
  return options?.foldBatchNorm ? foldNamedBatchNorms(model, tensors, false) : model;
}

function entryTensor(path: string, zip: ZipArchive, entry: ZipEntry): NamedTensor {
  const name = entry.name.slice(0, -'.npy'.length);
  const label = `${path}, entry ${shown(entry.name)}`;
  const header = parseNpyHeader(zip.head(entry, HEAD), label);
  if (header.type && header.start + header.length !== entry.size)
    throw inputError(
      `${label}: [${header.shape}] of ${header.type} in ${entry.size - header.start} bytes`,
      'fetch or export it again',
    );
  return tensor(name, header, () => zip.open(entry));
}

function tensor(name: string, header: NpyHeader, open: () => ByteSource): NamedTensor {
  const { shape, type, descr, fortranOrder } = header;
  const columns = shape.map((_, axis) => shape.length - 1 - axis);
  const values = () => {
    const data = readNpyValues(open(), header);
    return fortranOrder ? permuteAxes(data, shape.toReversed(), columns) : data;
  };
  return {
    name,
    shape,
    dtype: type ?? descr,
    values: type
      ? values
      : descr.endsWith('O')
        ? 'its weights are Python objects, which are not read'
        : `its weights are ${shown(descr)}, not float`,
  };
}
