// What kernels are divided by, so that layers of many inputs and of few have kernels of one scale: nothing; the standard
// deviation of He's start of their layer; or the root mean square of their layer.
import type { LayerRecord } from './description.js';

export const UNITS = ['weights', 'he', 'layer'] as const;
export type Units = (typeof UNITS)[number];

/** What each of them divides by, for a person. */
export const UNIT_NAMES: Readonly<Record<Units, string>> = {
  weights: '1',
  he: "the standard deviation of He's start of their layer",
  layer: 'the root mean square of their layer',
};

/** Standard deviation of He's start, √(2 / fan-in); shape is [out, in of a group, h, w]. */
export const heStd = ([, inputs, h, w]: readonly number[]): number => Math.sqrt(2 / (inputs * h * w));

/** What kernels of such a layer are divided by. */
export function unitOf(
  units: Units,
  { shape, statistics }: Pick<LayerRecord, 'shape' | 'statistics'>,
): number {
  if (units === 'he') return heStd(shape);
  const size = statistics ? Math.hypot(statistics.mean, statistics.std) : 0;
  return units === 'layer' && size > 0 ? size : 1;
}
