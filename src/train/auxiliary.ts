// What is learned along with a network and is none of its posterior's: parameters of r(z|w), step sizes of chains over ζ.
import { AUXILIARY, CHAINS, kernelCount, type Model } from '../bounds/elbo.js';
import { INITIAL_LOG_STEP } from '../bounds/unbiased.js';
import { f32, type NdArray } from '../engine/index.js';
import { randomLayers } from '../nn/index.js';
import type { Arrays } from '../priors/index.js';

/** All of it before the first step. */
export const auxiliaryParameters = (model: Model): Arrays => ({
  ...encoderParameters(model),
  ...chainParameters(model),
});

/** Log step size of the chains of each layer, `layer.chain.logStep`, where a layer has chains. */
function chainParameters({ architecture, posterior, priors, bound }: Model): Arrays {
  const layers = bound?.chain && posterior.latent ? randomLayers(architecture) : [];
  return Object.fromEntries(
    layers
      .filter(({ name }) => priors[name])
      .map(({ name }) => [`${name}.${CHAINS.name}.logStep`, f32([], Float32Array.of(INITIAL_LOG_STEP))]),
  );
}

/**
 * A copy of the prior's encoder for each layer (`trainable`), or a correction of its answers for each kernel, zero at
 * first (`local`), named `layer.auxiliary.name`; nothing when the encoder stays as it is.
 */
function encoderParameters({ architecture, priors, bound }: Model): Arrays {
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
