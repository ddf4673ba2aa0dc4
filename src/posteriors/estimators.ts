// Three ways (math.md, section 4) of sending a batch through a layer whose weights are normal on their own.
import { type DiagonalNormal, reparameterise } from '../distributions/normal.js';
import { spec, tf } from '../engine/index.js';
import { applyWeights, inputChannels, type Layer, weightShape } from '../network/index.js';
import type { Estimator, Specs, Tensors } from './posterior.js';

/** Keeps the square root of an activation's variance differentiable where all inputs are 0. */
const VARIANCE_FLOOR = 1e-12;

/** Standard normals that {@link applyNormal} needs for a batch. */
export function normalNoise(layer: Layer, batch: number, estimator: Estimator): Specs {
  const [out] = weightShape(layer);
  switch (estimator) {
    case 'weight-samples':
      return { weights: spec(weightShape(layer)) };
    case 'local-reparameterisation':
      return { activations: spec([batch, ...layer.outputShape]) };
    case 'flipout':
      return {
        weights: spec(weightShape(layer)),
        inputSigns: spec([batch, inputChannels(layer)]),
        outputSigns: spec([batch, out]),
      };
  }
}

/**
 * A batch x, [n, h, w, in] or [n, in], through weights that are normal on their own.
 * @param q mean and log standard deviation [out, in, h, w]
 */
export function applyNormal(
  layer: Layer,
  q: DiagonalNormal,
  x: tf.Tensor,
  noise: Tensors,
  estimator: Estimator,
): tf.Tensor {
  if (estimator === 'weight-samples') return applyWeights(layer, x, reparameterise(q, noise.weights));
  const mean = applyWeights(layer, x, q.mean);
  if (estimator === 'local-reparameterisation') {
    // (12) x ⋆ W is normal with mean x ⋆ m and variance x² ⋆ s² (Kingma et al. 2015)
    const variance = applyWeights(layer, tf.square(x), tf.exp(tf.mul(q.logStd, 2)));
    return tf.add(mean, tf.mul(tf.sqrt(tf.add(variance, VARIANCE_FLOOR)), noise.activations));
  }
  // (34) x ⋆ m + t ⊙ ((x ⊙ r) ⋆ (s ⊙ ε)), signs r [n, in] and t [n, out] of every example (Wen et al. 2018)
  const deviation = tf.mul(tf.exp(q.logStd), noise.weights);
  const flipped = applyWeights(layer, tf.mul(x, signs(noise.inputSigns, x)), deviation);
  return tf.add(mean, tf.mul(flipped, signs(noise.outputSigns, flipped)));
}

/** ±1 of normals [n, c], the same at all positions of an example, to multiply `like` by: [n, c] or [n, 1, 1, c]. */
function signs(normals: tf.Tensor, like: tf.Tensor): tf.Tensor {
  const [n, c] = normals.shape;
  const plusMinus = tf.sub(tf.mul(tf.step(normals), 2), 1);
  return tf.reshape(plusMinus, like.rank === 4 ? [n, 1, 1, c] : [n, c]);
}
