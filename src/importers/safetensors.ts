// safetensors files of PyTorch, Flax, TensorFlow or MLX, and the index of a model that is cut into several of them.
import { toFloat32 } from '../formats/floats.js';
import { FLOAT_TYPES, readSafetensorsHeader } from '../formats/safetensors.js';
import { shown } from '../formats/source.js';
import { foldNamedBatchNorms } from './fold-state-dict.js';
import type { Importer } from './importer.js';
import type { ModelLayers } from './layers.js';
import { isShardIndex, openShards } from './shards.js';
import { type AxisOrder, convolutionsOf, type NamedTensor, type StateDictHints } from './state-dict.js';

const EXTENSIONS = ['.safetensors'];
/** By the metadata `format`. */
const ORDERS: Readonly<Record<string, AxisOrder>> = { pt: 'oihw', flax: 'hwio', tf: 'hwio', mlx: 'ohwi' };

export const safetensors: Importer = {
  format: 'safetensors',
  title: 'safetensors',
  extensions: EXTENSIONS,
  recognises: (head, path) =>
    path.toLowerCase().endsWith('.safetensors') || isShardIndex(path, EXTENSIONS) || isHeader(head),
  read: async (source, options) => {
    const { shards, missing } = openShards(source, EXTENSIONS);
    const tensors: NamedTensor[] = [];
    let metadata: Record<string, string> = {};
    for (const shard of shards) {
      const header = readSafetensorsHeader(shard);
      metadata = { ...header.metadata, ...metadata };
      for (const { name, dtype, shape, begin, end } of header.entries) {
        const type = Object.hasOwn(FLOAT_TYPES, dtype) ? FLOAT_TYPES[dtype] : undefined;
        tensors.push({
          name,
          shape,
          dtype: type ?? dtype.toLowerCase(),
          values: type
            ? () => toFloat32(shard.read(begin, end - begin), type)
            : `its weights are ${shown(dtype)}, not float of 16 bits or more`,
        });
      }
    }
    const read = convolutionsOf(tensors, hintsOf(metadata));
    // its writers sort the names
    const model = options?.foldBatchNorm ? foldNamedBatchNorms(read, tensors, false) : read;
    return { ...model, skipped: [...model.skipped, ...missing], ...originOf(metadata) };
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
