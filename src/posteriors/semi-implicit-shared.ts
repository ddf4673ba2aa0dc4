// Semi-implicit posteriors whose ζ is shared by the kernels of a filter, or by all weights of a layer, so that these are
// correlated: w = m + s ⊙ (f(ζ) A + ε), f(ζ) = ζ + a small network that starts at 0. With A = 0 it is the mean field; with
// f(ζ) = ζ a normal of low-rank plus diagonal covariance, and the network bends that.
import { f32, foldIn, RandomStream, tf } from '../engine/index.js';
import { type Layer, weightShape } from '../network/index.js';
import { factorDensity, type Loadings } from './factors.js';
import { givenLatent } from './given-latent.js';
import { normalParameters } from './mean-field.js';
import { network, networkParameters } from './networks.js';
import { AUXILIARY_POSTERIOR, groupCount, type Sharing, type Tensors } from './posterior.js';

/** Dimension l of ζ. */
const LATENT = { filter: 4, layer: 8 };
const HIDDEN = 32;
/** Standard deviation of A's elements at the start, in units of s. */
const LOADING = 0.1;

const factorsOf = (parameters: Tensors) => (latent: tf.Tensor) =>
  tf.add(latent, network(parameters, 'mixing', latent));

/** @param a [g, l, D] */
export function denseLoadings(a: tf.Tensor3D): Loadings {
  const [g, l, d] = a.shape;
  const gram = tf.matMul(a, a, false, true); // [g, l, l]
  const one = (x: tf.Tensor) => tf.reshape(x, [g, 1, -1]) as tf.Tensor3D;
  return {
    apply: (factors) => tf.reshape(tf.matMul(one(factors), a), [g, d]),
    adjoint: (u) => tf.reshape(tf.matMul(one(u), a, false, true), [g, l]),
    squares: tf.sum(tf.square(a), -1),
    squaredLength(factors) {
      const byGroup = tf.transpose(tf.reshape(factors, [-1, g, l]) as tf.Tensor3D, [1, 0, 2]); // [g, K, l]
      const lengths = tf.sum(tf.mul(byGroup, tf.matMul(byGroup, gram)), -1); // [g, K]
      return tf.reshape(tf.transpose(lengths), factors.shape.slice(0, -1));
    },
  };
}

const shared = (name: string, shared: Exclude<Sharing, 'kernel'>) =>
  givenLatent({
    name,
    latent: () => ({ shared, size: LATENT[shared] }),
    initial(layer, weights, logStd, key) {
      const size = LATENT[shared];
      const groups = groupCount(layer, shared);
      const loadings = f32([groups, size, weights.data.length / groups]);
      new RandomStream(foldIn(key, 'loadings')).fillNormal(loadings.data);
      for (let i = 0; i < loadings.data.length; i++) loadings.data[i] *= LOADING;
      const networks = { inputs: size, hidden: HIDDEN, linear: true };
      return {
        ...normalParameters(layer, weights, logStd, key),
        loadings,
        ...networkParameters('mixing', { ...networks, outputs: size }, 0, foldIn(key, 'mixing')),
        ...networkParameters(
          AUXILIARY_POSTERIOR,
          { ...networks, outputs: 2 * size },
          0,
          foldIn(key, 'auxiliary'),
        ),
      };
    },
    given(layer, parameters, latent) {
      const { mean, logStd, loadings } = parameters;
      const shift = denseLoadings(loadings as tf.Tensor3D).apply(factorsOf(parameters)(latent));
      return {
        mean: tf.add(mean, tf.mul(tf.exp(logStd), tf.reshape(shift, [...weightShape(layer)]))),
        logStd,
      };
    },
    kernels(layer: Layer, parameters) {
      const grouped = (x: tf.Tensor) => tf.reshape(x, [groupCount(layer, shared), -1]); // [g, D]
      return {
        kind: 'semi-implicit',
        ...factorDensity(
          { mean: grouped(parameters.mean), logStd: grouped(parameters.logStd) },
          denseLoadings(parameters.loadings as tf.Tensor3D),
          parameters,
          factorsOf(parameters),
        ),
      };
    },
  });

export const semiImplicitFilter = shared('semi-implicit-filter', 'filter');
export const semiImplicitLayer = shared('semi-implicit-layer', 'layer');
