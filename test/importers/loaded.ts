// Models with all weights in memory, for tests.
import { memorySource } from '../../src/formats/source.js';
import {
  type ConvLayer,
  type Importer,
  type ModelLayers,
  openModel,
  type ReadOptions,
} from '../../src/importers/index.js';

export type LoadedLayer = Omit<ConvLayer, 'read'> & { data: Float32Array };

async function load<T extends ModelLayers>(model: T): Promise<Omit<T, 'layers'> & { layers: LoadedLayer[] }> {
  const layers: LoadedLayer[] = [];
  for (const { read, ...layer } of model.layers) layers.push({ ...layer, data: await read() });
  return { ...model, layers };
}

/** A model on disk, closed again. */
export async function loadModel(path: string, options?: ReadOptions) {
  const model = await openModel(path, options);
  try {
    return await load(model);
  } finally {
    model.close();
  }
}

/** A model in memory, closed again. @param siblings its other files, by name */
export async function loadBytes(
  importer: Importer,
  bytes: Uint8Array,
  path = 'model',
  options?: ReadOptions,
  siblings: Record<string, Uint8Array> = {},
) {
  const { close, ...model } = await importer.read(memorySource(bytes, path, siblings), options);
  try {
    return await load(model);
  } finally {
    close?.();
  }
}
