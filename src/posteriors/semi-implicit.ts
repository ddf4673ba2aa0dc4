// q(w) = ∫ q(w|ζ) N(ζ | 0, I) dζ, kernel by kernel (Yin & Zhou 2018): given ζ, w is normal with mean m + s ⊙ g(ζ) and
// standard deviation s. m and s belong to each weight; g, a small network, and s_ξ(ζ|w), the auxiliary network that
// bounds the entropy, are shared by the kernels of a layer. With g = 0 it is the mean field.
import {
  type DiagonalNormal,
  logDensity,
  logStandardDensity,
  reparameterise,
} from '../distributions/normal.js';
import { f32, foldIn, type Key, RandomStream, spec, tf } from '../engine/index.js';
import { convolve } from '../nn/index.js';
import {
  type Arrays,
  AUXILIARY_POSTERIOR,
  kernelRows,
  type Posterior,
  type Specs,
  type Tensors,
} from './posterior.js';

/** Dimension of ζ, and width of both networks' hidden layer. */
const LATENT = 4;
const HIDDEN = 32;

/** A hidden layer of tanh beside a linear path, so that a linear map is found at once. */
function network(parameters: Tensors, name: string, x: tf.Tensor): tf.Tensor {
  const of = (part: string) => parameters[`${name}.${part}`];
  const rows = tf.reshape(x, [-1, x.shape.at(-1)!]) as tf.Tensor2D; // [.., i] → [m, i]
  const hidden = tf.tanh(tf.add(tf.matMul(rows, of('in') as tf.Tensor2D), of('bias')));
  const out = tf.add(
    tf.matMul(hidden as tf.Tensor2D, of('out') as tf.Tensor2D),
    tf.matMul(rows, of('linear') as tf.Tensor2D),
  );
  return tf.reshape(out, [...x.shape.slice(0, -1), out.shape[1]!]);
}

function networkParameters(name: string, inputs: number, outputs: number, scale: number, key: Key): Arrays {
  const drawn = (part: string, shape: number[], std: number) => {
    const array = f32(shape);
    new RandomStream(foldIn(key, part)).fillNormal(array.data);
    for (let i = 0; i < array.data.length; i++) array.data[i] *= std;
    return array;
  };
  return {
    [`${name}.in`]: drawn('in', [inputs, HIDDEN], 1 / Math.sqrt(inputs)),
    [`${name}.bias`]: drawn('bias', [HIDDEN], 0.5),
    [`${name}.out`]: drawn('out', [HIDDEN, outputs], scale / Math.sqrt(HIDDEN)),
    [`${name}.linear`]: drawn('linear', [inputs, outputs], scale),
  };
}

export const semiImplicit: Posterior = {
  name: 'semi-implicit',
  latentSize: LATENT,
  initial(weights, logStd, key) {
    const [, , h, w] = weights.shape;
    return {
      mean: f32(weights.shape, Float32Array.from(weights.data)),
      logStd: f32(weights.shape, new Float32Array(weights.data.length).fill(logStd)),
      ...networkParameters('mixing', LATENT, h * w, 0.1, foldIn(key, 'mixing')),
      // s_ξ starts at the prior of ζ: mean 0, log standard deviation 0
      ...networkParameters(AUXILIARY_POSTERIOR, h * w, 2 * LATENT, 0, foldIn(key, 'auxiliary')),
    };
  },
  // weights are drawn as a whole: given ζ local reparameterisation would be possible, but ζ is shared by no output
  noise: ({ shape }): Specs => ({ weights: spec(shape), latent: spec([shape[0] * shape[1], LATENT]) }),
  convolve(layer, parameters, x, noise) {
    return convolve(layer, x, this.sample(parameters, noise));
  },
  sampleNoise: ({ shape }) => ({ weights: spec(shape), latent: spec([shape[0] * shape[1], LATENT]) }),
  sample(parameters, { weights, latent }) {
    const shifted = tf.add(weights, tf.reshape(network(parameters, 'mixing', latent), weights.shape));
    return reparameterise({ mean: parameters.mean, logStd: parameters.logStd }, shifted);
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
          const [m, s] = tf.split(
            network(parameters, AUXILIARY_POSTERIOR, standardised),
            [LATENT, LATENT],
            -1,
          );
          return { mean: m, logStd: s };
        },
        logLikelihood: (w, latent) => logDensity(w, given(latent)),
        logLatent: logStandardDensity,
      },
      draw: ({ kernels, latent }) => ({ w: reparameterise(given(latent), kernels), latent }),
    };
  },
};
