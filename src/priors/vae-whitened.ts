// p(w|z) of a kernel VAE whose decoder speaks of whitened coordinates: a mixture of t's, fitted before, whose weights,
// scales, shift and widths z moves (53). A decoder that says nothing leaves the mixture, its components wider by the
// factor 1 + e⁻⁴ that the floor of log σ makes of 0, and with it a nearly tight bound. The VAE starts near there, and what
// is kept is only what is better on validation kernels.
import { type Key, tf } from '../engine/index.js';
import { stack, stackParameters } from './dense-stack.js';
import {
  componentCount,
  componentLogDensities,
  coordinates,
  drawComponents,
  drawNoise,
} from './mixture/components.js';
import { bend, RADIAL, straighten } from './mixture/radial.js';
import { type Arrays, kernelLength } from './prior.js';
import type { VaeConfig } from './vae-networks.js';
import type { ObservationModel } from './vae-observation.js';

/** z → changes of the components' log weights and log scales. */
export const gateParameters = ({ latent, hidden }: VaeConfig, prepared: Arrays, key: Key): Arrays =>
  stackParameters('gate', [latent, hidden, 2 * componentCount(prepared)], key);

/** The encoder sees no values beyond this, in units of the data's scale: outliers would send it anywhere. */
const FAR = 20;

export const whitened: ObservationModel = {
  noise: (n, size, { tails }) => drawNoise(n, kernelLength(size), tails),
  of(parameters, size, { tails }, decode) {
    const d = kernelLength(size);
    const knots = parameters[RADIAL];
    const gate = (z: tf.Tensor) => {
      const rows = tf.reshape(z, [-1, z.shape.at(-1)!]) as tf.Tensor2D;
      const out = stack(parameters, 'gate', rows);
      const [logWeight, logScale] = tf.split(out, 2, 1);
      const unflatten = (x: tf.Tensor) => tf.reshape(x, [...z.shape.slice(0, -1), x.shape[1]!]);
      return { logWeight: unflatten(logWeight), logScale: unflatten(logScale) };
    };
    return {
      seen: (w) => tf.clipByValue(tf.div(straighten(w, knots).x, parameters.scale), -FAR, FAR),
      // (53) Σ_c π_c(z) t_ν( y_c | t(z), e^{2 a_c(z)} diag σ²(z) ) · |det ∂y_c/∂w|, the squared distances as one product
      logLikelihood(w, z) {
        const n = w.shape[0];
        const samples = tf.reshape(z, [-1, n, z.shape.at(-1)!]); // [K, n, l]
        const first = (x: tf.Tensor) => tf.transpose(x, [1, 0, 2]); // [K, n, ·] → [n, K, ·]
        const { mean, logStd } = decode(samples);
        const [t, logStds] = [first(mean), first(tf.add(logStd, tf.zerosLike(mean)))];
        const precision = tf.exp(tf.mul(logStds, -2)); // [n, K, d]
        const weighted = tf.mul(t, precision);
        const { x, logVolume } = straighten(w, knots);
        const y = coordinates(parameters, x); // [n, C, d]
        const products = tf.matMul(
          tf.concat([precision, tf.mul(weighted, -2)], 2),
          tf.concat([tf.square(y), y], 2),
          false,
          true,
        ); // [n, K, C]
        const squares = tf.relu(tf.add(products, tf.sum(tf.mul(weighted, t), 2, true)));
        const { logWeight, logScale } = gate(samples);
        const scale = first(logScale);
        const fittedLogWeight = parameters['mixture.logWeight'];
        const weights = tf.sub(tf.logSoftmax(tf.add(first(logWeight), fittedLogWeight)), fittedLogWeight);
        const logs = tf.sub(
          tf.add(
            componentLogDensities(parameters, tf.mul(squares, tf.exp(tf.mul(scale, -2))), tails, d),
            weights,
          ),
          tf.mul(scale, d),
        );
        const total = tf.sub(tf.logSumExp(logs, 2), tf.sum(logStds, 2)); // [n, K]
        const value = tf.transpose(tf.add(total, tf.expandDims(logVolume, 1)), [1, 0]);
        return tf.reshape(value, z.shape.slice(0, -1));
      },
      sample: (z, noise) => bend(drawComponents(parameters, noise, { ...gate(z), ...decode(z) }), knots),
    };
  },
};
