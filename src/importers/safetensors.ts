// safetensors files of PyTorch, Flax, TensorFlow or MLX, and the index of a model that is cut into several of them.
import { inputError } from '../errors.js';
import { toFloat32 } from '../formats/floats.js';
import { FLOAT_TYPES, readSafetensorsHeader } from '../formats/safetensors.js';
import { type ByteSource, readJsonSource, shown } from '../formats/source.js';
import type { Importer } from './importer.js';
import type { ModelLayers } from './layers.js';
import { type AxisOrder, convolutionsOf, type NamedTensor, type StateDictHints } from './state-dict.js';

const INDEX = '.safetensors.index.json';
const MOST_PARTS = 1000;
/** By the metadata `format`. */
const ORDERS: Readonly<Record<string, AxisOrder>> = { pt: 'oihw', flax: 'hwio', tf: 'hwio', mlx: 'ohwi' };

export const safetensors: Importer = {
  format: 'safetensors',
  // an index is read when it is named itself: a folder is searched for its parts, each of which can be read alone
  extensions: ['.safetensors'],
  recognises: (head, path) =>
    path.toLowerCase().endsWith('.safetensors') || path.toLowerCase().endsWith(INDEX) || isHeader(head),
  read: async (source) => {
    const parts = source.path.toLowerCase().endsWith(INDEX) ? partsOf(source) : [source];
    const tensors: NamedTensor[] = [];
    let metadata: Record<string, string> = {};
    for (const part of parts) {
      const header = readSafetensorsHeader(part);
      metadata = { ...header.metadata, ...metadata };
      for (const { name, dtype, shape, begin, end } of header.entries) {
        const type = Object.hasOwn(FLOAT_TYPES, dtype) ? FLOAT_TYPES[dtype] : undefined;
        tensors.push({
          name,
          shape,
          dtype: type ?? dtype.toLowerCase(),
          values: type
            ? () => toFloat32(part.read(begin, end - begin), type)
            : `its weights are ${shown(dtype)}, not float of 16 bits or more`,
        });
      }
    }
    return { ...convolutionsOf(tensors, hintsOf(metadata)), ...originOf(metadata) };
  },
};

/** Eight bytes of length, then an object. */
const isHeader = (head: Uint8Array) => head[8] === 0x7b && head[9] === 0x22 && head[6] === 0 && head[7] === 0;

function hintsOf({ format }: Record<string, string>): StateDictHints {
  const order = format !== undefined && Object.hasOwn(ORDERS, format) ? ORDERS[format] : undefined;
  return { ...(order && { order }), ...(format === 'flax' && { flax: true }) };
}

function originOf({ format, license, licence = license }: Record<string, string>): Partial<ModelLayers> {
  const producers: Record<string, string> = { pt: 'PyTorch', flax: 'Flax', tf: 'TensorFlow', mlx: 'MLX' };
  const producer = format !== undefined && Object.hasOwn(producers, format) ? producers[format] : undefined;
  return { ...(producer && { producer }), ...(licence && { licence }) };
}

/** @throws DwpError INPUT when the index names no files, or files that are no parts of the model */
function partsOf(source: ByteSource): ByteSource[] {
  const bad = (why: string) =>
    inputError(`${source.path}: not an index of safetensors files (${why})`, 'fetch it again');
  const index = readJsonSource(source, 2 ** 26);
  const map =
    typeof index === 'object' && index !== null && 'weight_map' in index ? index.weight_map : undefined;
  if (typeof map !== 'object' || map === null) throw bad('no weight_map');
  const names = [...new Set<unknown>(Object.values(map))];
  if (names.length === 0 || names.length > MOST_PARTS) throw bad(`${names.length} files`);
  return names.map((name) => {
    if (typeof name !== 'string') throw bad('a file name that is no text');
    if (!name.endsWith('.safetensors')) throw bad(`it names ${shown(name)}`);
    return source.sibling(name);
  });
}
