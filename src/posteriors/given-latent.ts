// What semi-implicit posteriors have in common: given ζ their weights are normal on their own, so that every estimator
// of the likelihood of mean-field serves them, with a ζ for the batch.
import { type DiagonalNormal, reparameterise } from '../distributions/normal.js';
import { spec, type tf } from '../engine/index.js';
import { type Layer, weightShape } from '../network/index.js';
import { applyNormal, normalNoise } from './estimators.js';
import { groupCount, type Posterior, type Specs, type Tensors } from './posterior.js';

/** Of a posterior that says q(w|ζ): mean and log standard deviation [out, in, h, w] for ζ [g, l]. */
export function givenLatent({
  given,
  ...rest
}: Pick<Posterior, 'name' | 'initial' | 'kernels'> & {
  latent: NonNullable<Posterior['latent']>;
  given(layer: Layer, parameters: Tensors, latent: tf.Tensor): DiagonalNormal;
}): Posterior {
  const latentNoise = (layer: Layer): Specs => {
    const { shared, size } = rest.latent(layer);
    return { latent: spec([groupCount(layer, shared), size]) };
  };
  return {
    ...rest,
    noise: (layer, batch, estimator) => ({ ...normalNoise(layer, batch, estimator), ...latentNoise(layer) }),
    apply: (layer, parameters, x, { latent, ...noise }, estimator) =>
      applyNormal(layer, given(layer, parameters, latent), x, noise, estimator),
    sampleNoise: (layer) => ({ weights: spec(weightShape(layer)), ...latentNoise(layer) }),
    sample: (layer, parameters, { weights, latent }) =>
      reparameterise(given(layer, parameters, latent), weights),
  };
}
