// Which published value belongs to which series.
import type { Series } from '../series.js';
import type { ReferencePoint } from '../types.js';

const MUTED = 'var(--muted)';

/** The series whose label or prior the reference's label starts with; the longest such name wins. */
export function seriesOfReference(reference: ReferencePoint, series: readonly Series[]): Series | undefined {
  const text = reference.label.toLowerCase();
  const starts = (name: string) => name !== '' && text.startsWith(name.toLowerCase());
  const length = ({ label, prior }: Series) =>
    Math.max(starts(label) ? label.length + 1 : 0, starts(prior) ? prior.length : 0);
  return series.reduce<Series | undefined>(
    (best, next) => (length(next) > (best ? length(best) : 0) ? next : best),
    undefined,
  );
}

export const referenceColour = (reference: ReferencePoint, series: readonly Series[]): string =>
  seriesOfReference(reference, series)?.colour ?? MUTED;
