// Measures of one layer's kernels that say whether they are worth collecting.
import type { ConvLayer } from '../importers/index.js';
import { cleanSlices, type Dropped, SliceSet } from './clean.js';
import { pooledMoments } from './kernels.js';

/** @returns std over the layer's finite weights (0 when there are none), and what cleaning the layer alone drops */
export async function layerQuality(layer: ConvLayer): Promise<{ std: number; dropped: Dropped }> {
  const { shape } = layer;
  const data = await layer.read();
  const size = shape[2] * shape[3];
  const finite = data.every(Number.isFinite) ? data : data.filter(Number.isFinite);
  return {
    std: finite.length === 0 ? 0 : pooledMoments(finite).std,
    dropped: cleanSlices(data, size, new SliceSet(size)).dropped,
  };
}
