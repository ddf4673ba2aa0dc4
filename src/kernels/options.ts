// What a collection can be told.
import type { ConvLayer } from '../importers/index.js';
import type { CleanOptions } from './clean.js';
import { type SizeText, sizeText } from './kernels.js';
import { type DepthRange, isInDepth, type Role, roleOf } from './roles.js';

export type Normalisation = 'none' | 'layer' | 'unit';

export interface CollectOptions extends CleanOptions {
  /** Sizes wanted; undefined: every size but 1x1, whose slices have no shape to learn. */
  sizes?: SizeText[];
  /** Whole filters of so many input channels, of layers that have just as many; undefined: single slices. */
  filters?: number;
  /** With `filters`: so many consecutive slices of a filter, of layers with a multiple of these inputs. */
  grouped?: boolean;
  depthwise: 'include' | 'exclude' | 'only';
  /** Whether kernels of transposed convolutions count; they paint rather than match. */
  transposed: 'include' | 'exclude';
  /** Roles wanted; undefined: all. */
  roles?: Role[];
  /** Part of the model wanted; undefined: all. */
  depth?: DepthRange;
  /** Whether BatchNormalization is multiplied into the weights. */
  foldBatchNorm?: boolean;
  /** At most so many kernels of one size from one layer, chosen at random. */
  maxPerLayer?: number;
  /** At most so many of one size from one model, spread over its layers as evenly as these allow. */
  maxPerModel?: number;
  /**
   * `layer` divides by the root mean square of the layer's kept weights, `unit` every kernel by its own L2 norm.
   */
  normalize: Normalisation;
  /** Part of the kernels held out, in [0, 1). */
  testFraction: number;
  /** How to choose test kernels; undefined: by model where there are enough; `kept`: as they were in the datasets. */
  splitBy?: 'model' | 'kernel' | 'kept';
  seed: number;
}

/** Input channels that one kernel of a layer spans; undefined where the layer has no such kernels. */
export function channelsOf(
  { filters = 1, grouped }: Pick<CollectOptions, 'filters' | 'grouped'>,
  { shape, channels }: Pick<ConvLayer, 'shape'> & { channels?: number },
): number | undefined {
  if (channels !== undefined) return channels; // of a dataset
  if (filters === 1) return 1;
  return (grouped ? shape[1] % filters === 0 : shape[1] === filters) ? filters : undefined;
}

/** @param index of the layer among all `count` convolutions of its model */
export function wantsLayer(
  { sizes, depthwise, transposed, roles, depth, filters, grouped }: CollectOptions,
  layer: Pick<ConvLayer, 'kind' | 'shape'> & { channels?: number },
  index: number,
  count: number,
): boolean {
  const { kind, shape } = layer;
  const [h, w] = shape.slice(2);
  const size = sizeText({ h, w });
  const channels = channelsOf({ filters, grouped }, layer);
  if (channels === undefined) return false;
  const named = [size, sizeText({ h, w, channels })];
  if (sizes ? !named.some((name) => sizes.includes(name)) : size === '1x1') return false;
  const role = roleOf(layer, index, count);
  if (roles && !roles.includes(role)) return false;
  if (depth && !isInDepth(depth, index, count)) return false;
  // a role that was asked for needs no other option
  if (kind === 'transposed') return (transposed === 'include' || roles !== undefined) && depthwise !== 'only';
  return depthwise === 'include' || (depthwise === 'only') === (kind === 'depthwise');
}
