// Parameters of r(z|w) that are trained along with a network, before the first step.
import { AUXILIARY, kernelCount, type Model } from '../bounds/elbo.js';
import { f32, type NdArray } from '../engine/index.js';
import { randomLayers } from '../nn/index.js';
import type { Arrays } from '../priors/index.js';

/**
 * A copy of the prior's encoder for each layer (`trainable`), or a correction of its answers for each kernel, zero at
 * first (`local`), named `layer.auxiliary.name`; nothing when the encoder stays as it is.
 */
export function auxiliaryParameters({ architecture, priors, bound }: Model): Arrays {
  const arrays: Record<string, NdArray> = {};
  if (bound?.proposal !== 'auxiliary' || bound.encoder === 'frozen') return arrays;
  for (const layer of randomLayers(architecture)) {
    const prior = priors[layer.name];
    if (prior?.density.kind !== 'latent') continue;
    const { encoder, latentSize } = prior.density;
    const name = (part: string) => `${layer.name}.${AUXILIARY.name}.${part}`;
    if (bound.encoder === 'trainable')
      for (const part of encoder) arrays[name(part)] = prior.parameters[part];
    else for (const part of ['mean', 'logStd']) arrays[name(part)] = f32([kernelCount(layer), latentSize]);
  }
  return arrays;
}
