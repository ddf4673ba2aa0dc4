// What --fold-bn has done with a model, in one line.
import type { BatchNormRecord } from '../importers/index.js';

const SHOWN = 3;

/** Whether something was folded and nothing was left. */
export const isFolded = ({ folded, notFolded }: BatchNormRecord): boolean =>
  folded > 0 && notFolded.length === 0;

export function batchNormText({ folded, notFolded }: BatchNormRecord): string {
  if (folded + notFolded.length === 0)
    return 'no batch normalisation with stored statistics found: the kernels are as the file has them';
  if (notFolded[0]?.batchNorm === 'all') return `batch norms are not folded: ${notFolded[0].reason}`;
  const first = `${folded} of ${folded + notFolded.length} batch norms folded`;
  if (notFolded.length === 0) return first;
  const named = notFolded.slice(0, SHOWN).map(({ batchNorm, reason }) => `${batchNorm} (${reason})`);
  const more = notFolded.length > SHOWN ? ` and ${notFolded.length - SHOWN} more` : '';
  return `${first}; not folded: ${named.join(', ')}${more}`;
}
