// Where a layer stands in its model, and the choice of layers by it.
import { usageError } from '../errors.js';
import type { ConvLayer } from '../importers/index.js';

/** The first of these that holds; `first` and `last` are of the order in which the model lists its convolutions. */
export const ROLES = ['transposed', 'first', 'depthwise', 'pointwise', 'last', 'middle'] as const;
export type Role = (typeof ROLES)[number];

/** @param index of the layer among all `count` convolutions of the model */
export function roleOf(
  { kind, shape }: Pick<ConvLayer, 'kind' | 'shape'>,
  index: number,
  count: number,
): Role {
  if (kind === 'transposed') return 'transposed';
  if (index === 0) return 'first';
  if (kind === 'depthwise') return 'depthwise';
  if (shape[2] * shape[3] === 1) return 'pointwise';
  return index === count - 1 ? 'last' : 'middle';
}

/** `0:5`: layers 0 to 4; `0-0.25`: the first quarter, by index / (count − 1), both ends included. */
export interface DepthRange {
  by: 'index' | 'fraction';
  from: number;
  to: number;
}

/** @throws DwpError USAGE when `text` is neither form */
export function parseDepth(text: string): DepthRange {
  const index = /^(\d+)?:(\d+)?$/.exec(text);
  const fraction = /^(\d*\.?\d+)-(\d*\.?\d+)$/.exec(text);
  const range: DepthRange | undefined = index
    ? { by: 'index', from: Number(index[1] ?? 0), to: Number(index[2] ?? Number.MAX_SAFE_INTEGER) }
    : fraction
      ? { by: 'fraction', from: Number(fraction[1]), to: Number(fraction[2]) }
      : undefined;
  if (!range || (range.by === 'index' ? range.from >= range.to : range.from > range.to || range.to > 1))
    throw usageError(
      `"${text}" is not a range of depth`,
      'write layers such as 0:5 (the first five) or parts of the depth such as 0-0.25',
    );
  return range;
}

/** Between 0 for the first layer and 1 for the last. */
export const relativeDepth = (index: number, count: number): number => (count > 1 ? index / (count - 1) : 0);

export const isInDepth = ({ by, from, to }: DepthRange, index: number, count: number): boolean =>
  by === 'index'
    ? index >= from && index < to
    : relativeDepth(index, count) >= from && relativeDepth(index, count) <= to;
