// q(w) = ∫ q(w|ζ) N(ζ | 0, I) dζ, kernel by kernel (Yin & Zhou 2018): given ζ, w is normal with mean m + s ⊙ g(ζ) and
// standard deviation s. m and s belong to each weight; g, a small network, and s_ξ(ζ|w), the auxiliary network that
// bounds the entropy, are shared by the kernels of a layer. With g = 0 it is the mean field.
import {
  type DiagonalNormal,
  logDensity,
  logStandardDensity,
  reparameterise,
} from '../distributions/normal.js';
import { foldIn, tf } from '../engine/index.js';
import { kernelLayout } from '../network/index.js';
import { givenLatent } from './given-latent.js';
import { normalParameters } from './mean-field.js';
import { network, networkParameters } from './networks.js';
import { AUXILIARY_POSTERIOR, kernelRows } from './posterior.js';

/** Dimension of ζ, and width of both networks' hidden layer. */
const LATENT = 4;
const HIDDEN = 32;

export const semiImplicit = givenLatent({
  name: 'semi-implicit',
  latent: () => ({ shared: 'kernel', size: LATENT }),
  initial(layer, weights, logStd, key) {
    const { length: d } = kernelLayout(layer);
    const mixing = { inputs: LATENT, hidden: HIDDEN, outputs: d, linear: true };
    const auxiliary = { inputs: d, hidden: HIDDEN, outputs: 2 * LATENT, linear: true };
    return {
      ...normalParameters(layer, weights, logStd, key),
      ...networkParameters('mixing', mixing, 0.1, foldIn(key, 'mixing')),
      // s_ξ starts at the prior of ζ: mean 0, log standard deviation 0
      ...networkParameters(AUXILIARY_POSTERIOR, auxiliary, 0, foldIn(key, 'auxiliary')),
    };
  },
  given(_, parameters, latent) {
    const { mean, logStd } = parameters;
    const shift = tf.reshape(network(parameters, 'mixing', latent), mean.shape);
    return { mean: tf.add(mean, tf.mul(tf.exp(logStd), shift)), logStd };
  },
  kernels(layer, parameters, rows) {
    const mean = kernelRows(layer, parameters.mean, rows); // [n, d]
    const logStd = kernelRows(layer, parameters.logStd, rows);
    const given = (latent: tf.Tensor): DiagonalNormal => ({
      mean: tf.add(mean, tf.mul(tf.exp(logStd), network(parameters, 'mixing', latent))),
      logStd,
    });
    return {
      kind: 'semi-implicit',
      density: {
        latentSize: LATENT,
        encode(w) {
          const standardised = tf.mul(tf.sub(w, mean), tf.exp(tf.neg(logStd)));
          const s = network(parameters, AUXILIARY_POSTERIOR, standardised);
          const [m, logS] = tf.split(s, [LATENT, LATENT], -1);
          return { mean: m, logStd: logS };
        },
        logLikelihood: (w, latent) => logDensity(w, given(latent)),
        logLatent: logStandardDensity,
      },
      draw: ({ kernels, latent }) => ({ w: reparameterise(given(latent), kernels), latent }),
    };
  },
});
