// Which kernels of a dataset a prior has not seen, as far as its folder knows.
import { foldIn, seedKey } from '../engine/random.js';
import { heldOutRows, type KernelDataset, type Kernels, takeKernels } from '../kernels/index.js';
import type { PriorDescription } from './prior-folder.js';

export interface HeldOut {
  kernels: Kernels;
  /** Kernels of the same source that are not among them. */
  train?: Kernels;
  /** The dataset's own test kernels, those that the fit held out of this file, or simply all that there are. */
  from: 'test split' | 'held out by the fit' | 'all kernels';
  /** Whether the prior was fitted on these kernels; unknown where it was fitted on another file. */
  seen: 'no' | 'yes' | 'unknown';
}

/** @param about what the prior's folder says of its source */
export function heldOutOf(
  dataset: KernelDataset,
  { source, seed }: Pick<PriorDescription, 'source' | 'seed'>,
): HeldOut {
  const { train, test } = dataset;
  const same = source.sha256 === dataset.sha256;
  if (test) return { kernels: test, train, from: 'test split', seen: same ? 'no' : 'unknown' };
  if (!same) return { kernels: train, from: 'all kernels', seen: 'unknown' };
  if (source.train + source.test !== train.count) return { kernels: train, from: 'all kernels', seen: 'yes' };
  // as dwp fit-prior draws them
  const rows = heldOutRows(train.count, source.test / train.count, foldIn(seedKey(seed), 'test'));
  return {
    kernels: takeKernels(train, rows.test),
    train: takeKernels(train, rows.train),
    from: 'held out by the fit',
    seen: 'no',
  };
}

/** What a reader must know of these kernels; nothing where all is well. */
export function heldOutWarning({ from, seen }: HeldOut, path: string): string | undefined {
  if (seen === 'yes') return `the prior was fitted on ${path}, which has no test kernels: it has seen these`;
  if (from === 'all kernels')
    return `${path} has no test kernels, so all of its kernels are taken; the prior was fitted on another file, and whether it has seen these is not known`;
  if (seen === 'unknown')
    return `the prior was fitted on another file than ${path}: whether it has seen these kernels is not known`;
  return undefined;
}
