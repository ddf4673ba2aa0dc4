// A prior of another size than it was fitted for: kernels are drawn from it, resampled, and a mixture is fitted to these.
// A refit serves every family alike and gives a proper density with samples; a linear image of the density itself is known
// for normals only, and is none at all where the new size is larger.
import { type Engine, foldIn, type Key } from '../engine/index.js';
import type { KernelPrior, KernelSize } from '../priors/index.js';
import { mixture } from '../priors/mixture.js';
import { resampleKernels } from '../priors/resample.js';
import { type FitHooks, fitPrior } from './fit-prior.js';
import { samplePrior } from './sample-prior.js';

/** Kernels that are drawn, and normals in the mixture that is fitted to them. */
export const RESAMPLED = 20_000;
const COMPONENTS = 8;

export async function resamplePrior(
  prior: KernelPrior,
  size: KernelSize,
  engine: Engine,
  key: Key,
  hooks: FitHooks = {},
): Promise<KernelPrior> {
  const data = await samplePrior(prior, RESAMPLED, engine, foldIn(key, 'draw'));
  const kernels = resampleKernels({ ...prior.size, data, count: RESAMPLED }, size, foldIn(key, 'noise'));
  const config = { components: COMPONENTS, members: 1, tails: 'normal', straighten: false } as const;
  const fitted = await fitPrior({ family: mixture, kernels, config, engine, key: foldIn(key, 'fit') }, hooks);
  return fitted.prior;
}
