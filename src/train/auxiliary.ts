// What is learned along with a network and is none of its posterior's: parameters of r(z|w), step sizes of
// chains over ζ, and of the priors what is adapted.
import type { Model } from '../bounds/elbo.js';
import { INITIAL_LOG_STEP } from '../bounds/unbiased.js';
import { f32, type NdArray } from '../engine/index.js';
import { kernelCount, parameterKey, randomLayers } from '../network/index.js';
import type { Arrays, KernelPrior } from '../priors/index.js';

/** All of it before the first step. */
export const auxiliaryParameters = (model: Model): Arrays => ({
  ...encoderParameters(model),
  ...chainParameters(model),
  ...adaptedParameters(model),
});

const adaptedKey = (layer: string, part: string) => parameterKey({ name: layer }, part, 'adapted');

/** What is learned of the priors, `layer.adapted.name`, as they are given. */
const adaptedParameters = ({ priors, adapted = {} }: Model): Arrays =>
  Object.fromEntries(
    Object.entries(adapted).flatMap(([layer, names]) =>
      names.map((name) => [adaptedKey(layer, name), priors[layer].parameters[name]]),
    ),
  );

/** A layer's prior as a network has learned it. */
export function adaptedPrior({ priors }: Model, layer: string, parameters: Arrays): KernelPrior {
  const prior = priors[layer];
  const learned = Object.fromEntries(
    Object.keys(prior.parameters).flatMap((name) => {
      const array = parameters[adaptedKey(layer, name)];
      return array ? [[name, array]] : [];
    }),
  );
  const whole = { ...prior.parameters, ...learned };
  return { ...prior, parameters: prior.finished?.(whole) ?? whole };
}

/** Log step size of the chains of each layer, `layer.chain.logStep`, where a layer has chains. */
function chainParameters({ architecture, posterior, priors, bound }: Model): Arrays {
  const layers = bound?.chain && posterior.latent ? randomLayers(architecture) : [];
  return Object.fromEntries(
    layers
      .filter(({ name }) => priors[name])
      .map(({ name }) => [
        parameterKey({ name }, 'logStep', 'chain'),
        f32([], Float32Array.of(INITIAL_LOG_STEP)),
      ]),
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
    const key = (part: string) => parameterKey(layer, part, 'auxiliary');
    if (bound.encoder === 'trainable') for (const part of encoder) arrays[key(part)] = prior.parameters[part];
    else for (const part of ['mean', 'logStd']) arrays[key(part)] = f32([kernelCount(layer), latentSize]);
  }
  return arrays;
}
