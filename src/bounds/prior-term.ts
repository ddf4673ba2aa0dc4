// E_q log p(w), kernel by kernel: in closed form where the prior has one, by one sample where its density is known,
// else by the lower bound (1). The prior says what its density is; how it is estimated is decided here.
import { type DiagonalNormal, reparameterise } from '../distributions/normal.js';
import { spec, type tf } from '../engine/index.js';
import type { KernelPrior, Specs, Tensors } from '../priors/index.js';
import { hierarchicalLowerBound } from './hierarchical.js';

/** Standard normals that {@link expectedLogDensity} needs for n kernels. */
export function priorNoise({ density, size: { h, w } }: KernelPrior, n: number): Specs {
  if (density.kind === 'latent') return { kernels: spec([n, h * w]), latent: spec([n, density.latentSize]) };
  return density.expectedLogDensity ? {} : { kernels: spec([n, h * w]) };
}

/**
 * E_q log p(w) of each kernel, or an unbiased estimate of it or of a lower bound on it.
 * @param q of n kernels, [n, d]
 * @returns [n], nats
 */
export function expectedLogDensity(
  { density }: KernelPrior,
  parameters: Tensors,
  q: DiagonalNormal,
  { kernels, latent }: Tensors,
): tf.Tensor {
  if (density.kind === 'latent')
    return hierarchicalLowerBound(density.of(parameters), reparameterise(q, kernels), latent);
  return (
    density.expectedLogDensity?.(parameters, q) ?? density.logDensity(parameters, reparameterise(q, kernels))
  );
}
