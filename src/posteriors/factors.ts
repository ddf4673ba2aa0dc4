// (31) A group of D weights that share l factors: w = m + s ⊙ (f(ζ) A + ε), ζ and ε standard normal. Given w all that is
// known of ζ is in u Aᵀ with u = (w − m)/s, l numbers: densities of many ζ cost no more than that, whatever D is.
import { LOG_2PI, logStandardDensity, reparameterise } from '../distributions/normal.js';
import { tf } from '../engine/index.js';
import { network } from './networks.js';
import { AUXILIARY_POSTERIOR, type JointDensity, type Tensors } from './posterior.js';

/** A as the linear map that it is, one for each of g groups. */
export interface Loadings {
  /** f A: [g, l] → [g, D] */
  apply(factors: tf.Tensor): tf.Tensor;
  /** u Aᵀ: [g, D] → [g, l] */
  adjoint(u: tf.Tensor): tf.Tensor;
  /** Squared lengths of the rows of A, [g, l]. */
  squares: tf.Tensor;
  /** ‖f A‖²: [.., g, l] → [.., g] */
  squaredLength(factors: tf.Tensor): tf.Tensor;
}

/**
 * The density of w and its ζ. s(ζ|w) is a diagonal normal around û = u Aᵀ / (1 + squares), whose variance is
 * 1 / (1 + squares), plus the answer of a network to û that starts at 0: with orthogonal rows and f(ζ) = ζ it starts at
 * q(ζ|w) itself (math.md, 3b).
 *
 * @param mean, logStd [g, D]
 * @param parameters with those of the network `auxiliary-posterior`, l → 2l
 * @param factors f: [.., l] → [.., l]
 */
export function factorDensity(
  { mean, logStd }: { mean: tf.Tensor; logStd: tf.Tensor },
  loadings: Loadings,
  parameters: Tensors,
  factors: (latent: tf.Tensor) => tf.Tensor,
): JointDensity {
  const size = loadings.squares.shape.at(-1)!;
  const precision = tf.add(loadings.squares, 1); // [g, l]
  const standardised = (w: tf.Tensor) => tf.mul(tf.sub(w, mean), tf.exp(tf.neg(logStd)));
  const estimated = (u: tf.Tensor) => tf.div(loadings.adjoint(u), precision); // û
  return {
    density: {
      latentSize: size,
      encode(w) {
        const estimate = estimated(standardised(w));
        const [shift, logFactor] = tf.split(
          network(parameters, AUXILIARY_POSTERIOR, estimate),
          [size, size],
          -1,
        );
        return {
          mean: tf.add(estimate, shift),
          logStd: tf.add(tf.mul(tf.log(precision), -0.5), logFactor),
        };
      },
      // (32) ‖u − f A‖² = ‖r‖² − 2 δ·(r Aᵀ) + ‖δ A‖² with r = u − û A and δ = f − û, both small: no digits are lost
      logLikelihood(w, latent) {
        const u = standardised(w);
        const estimate = estimated(u);
        const residual = tf.sub(u, loadings.apply(estimate)); // [g, D]
        const apart = tf.sub(factors(latent), estimate); // [.., g, l]
        const cross = tf.sum(tf.mul(apart, loadings.adjoint(residual)), -1);
        const squared = tf.add(
          tf.sum(tf.square(residual), -1),
          tf.sub(loadings.squaredLength(apart), tf.mul(cross, 2)),
        );
        return tf.sub(tf.mul(squared, -0.5), tf.sum(tf.add(logStd, 0.5 * LOG_2PI), -1));
      },
      logLatent: logStandardDensity,
    },
    draw({ kernels, latent }) {
      const shift = tf.add(loadings.apply(factors(latent)), kernels); // f(ζ) A + ε
      return { w: reparameterise({ mean, logStd }, shift), latent };
    },
  };
}
