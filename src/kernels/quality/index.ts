// Measures of kernels that say whether they are worth learning from.
import type { ConvLayer } from '../../importers/index.js';
import { cleanAlone, type Dropped } from '../clean.js';
import { pooledMoments } from '../kernels.js';
import { type Quality, QualityAccumulator } from './accumulator.js';
import { orthogonality } from './orthogonality.js';

export { type Quality, QualityAccumulator } from './accumulator.js';
export { looksLikeNoise, noiseWarning } from './noise.js';

export interface LayerQuality extends Quality {
  /** Over the layer's finite weights; 0 when there are none. */
  std: number;
  /** What cleaning the layer alone drops; null for 1×1, which has no shape to learn. */
  dropped: Dropped | null;
  /** 1 − mean |cosine| between filters; null for fewer than two. */
  orthogonality: number | null;
}

/** Every measure of one layer. @param data the weights, of `shape` [out, in, h, w] */
export function measureLayer(data: Float32Array, shape: ConvLayer['shape']): LayerQuality {
  const [out, , h, w] = shape;
  const size = h * w;
  const finite = data.every(Number.isFinite) ? data : data.filter(Number.isFinite);
  const quality = new QualityAccumulator(h, w);
  quality.add(data);
  return {
    ...quality.finish(),
    std: finite.length === 0 ? 0 : pooledMoments(finite).std,
    dropped: size === 1 ? null : cleanAlone(data, h, w),
    orthogonality: orthogonality(data, out) ?? null,
  };
}
