// A number of samples K that grows while a network is trained: cheap bounds first, tight ones at the end.
import { type BoundSettings, withSamples } from './settings.js';

/**
 * The bounds of step t = 1..steps. K starts at `from` and doubles in stages of equal length; the last stage has the K
 * of `bound`. It depends on t alone, so that a resumed training goes on with the K that it would have had.
 */
export function settingsAt(
  bound: BoundSettings,
  from: number | undefined,
  t: number,
  steps: number,
): BoundSettings {
  if (from === undefined || from >= bound.priorSamples) return bound;
  const stages = 1 + Math.ceil(Math.log2(bound.priorSamples / from));
  const stage = Math.floor(((t - 1) * stages) / steps);
  return stage >= stages - 1 ? bound : withSamples(bound, from * 2 ** stage);
}
