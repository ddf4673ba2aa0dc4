// p(z) moved: z = m + s ⊙ u with u ~ p, where a network has learned m and log s along (--adapt-prior latent).
import { negativeEntropy } from '../../distributions/normal.js';
import { f32, tf } from '../../engine/index.js';
import type { Arrays, Tensors } from '../prior.js';
import type { LatentMarginal } from './latent-prior.js';

const SHIFT = 'latent.shift'; // [l]
const LOG_SCALE = 'latent.logScale'; // [l]

/** The arrays that change nothing. */
export const unmoved = (latentSize: number): Arrays => ({
  [SHIFT]: f32([latentSize]),
  [LOG_SCALE]: f32([latentSize]),
});

/** Whether the arrays are there. */
export const isMoved = (given: Arrays): boolean => Object.hasOwn(given, SHIFT);

/** Shapes of the arrays where they are there. */
export const movedShapes = (given: Arrays, latentSize: number): Record<string, readonly number[]> =>
  isMoved(given) ? { [SHIFT]: [latentSize], [LOG_SCALE]: [latentSize] } : {};

/** `latent` itself where the parameters do not move it. */
export function movable(latent: LatentMarginal, parameters: Tensors): LatentMarginal {
  const { [SHIFT]: shift, [LOG_SCALE]: logScale } = parameters;
  if (!shift) return latent;
  // (82) log p(z) = log p_u((z − m)/s) − Σ log s
  const logDensity = (z: tf.Tensor) =>
    tf.sub(latent.logDensity(tf.mul(tf.sub(z, shift), tf.exp(tf.neg(logScale)))), tf.sum(logScale));
  return {
    logDensity,
    negativeDivergence: (r, z) => tf.sub(logDensity(z), negativeEntropy(r)),
    sample: (noise) => tf.add(tf.mul(latent.sample(noise), tf.exp(logScale)), shift),
  };
}
