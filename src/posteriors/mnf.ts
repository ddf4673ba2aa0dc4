// Multiplicative normalising flows (Louizos & Welling 2017): every weight is normal with mean z_c · m and standard
// deviation s, z_c being shared by all weights of output c of a convolution, or of input c of a dense layer, and z the
// answer of a flow: z = 1 + σ ⊙ f(ζ). The auxiliary density of z given W has a flow of its own, h: a normal of h(ζ).
import { f32, foldIn, tf } from '../engine/index.js';
import { isConvolution, type Layer, weightShape } from '../network/index.js';
import { factorDensity, type Loadings } from './factors.js';
import { flow, flowParameters, inverseFlow } from './flow.js';
import { givenLatent } from './given-latent.js';
import { normalParameters } from './mean-field.js';
import { networkParameters } from './networks.js';
import { AUXILIARY_POSTERIOR, type JointDensity, type Tensors } from './posterior.js';

const HIDDEN = 32;
/** log σ at the start. */
const LOG_SCALE = Math.log(0.1);
const FLOW = 'flow';
const AUXILIARY_FLOW = `${AUXILIARY_POSTERIOR}.flow`;

/** Axis of [out, in, h, w] whose elements have a z each. */
const axisOf = (layer: Layer) => (isConvolution(layer) ? 0 : 1);
const sizeOf = (layer: Layer) => weightShape(layer)[axisOf(layer)];
/** [1, c] or [c] → a shape that multiplies weights [out, in, h, w]. */
const spread = (layer: Layer, x: tf.Tensor) =>
  tf.reshape(
    x,
    [0, 1, 2, 3].map((axis) => (axis === axisOf(layer) ? -1 : 1)),
  );

/** Row c of A is σ_c m/s on the weights of c, and 0 elsewhere: rows are orthogonal. */
function multipliers(layer: Layer, { mean, logStd, logScale }: Tensors): Loadings {
  const a = tf.mul(tf.mul(mean, tf.exp(tf.neg(logStd))), spread(layer, tf.exp(logScale))); // [out, in, h, w]
  const others = [0, 1, 2, 3].filter((axis) => axis !== axisOf(layer));
  const perElement = (x: tf.Tensor) => tf.reshape(tf.sum(x, others), [1, -1]); // [out, in, h, w] → [1, c]
  const squares = perElement(tf.square(a));
  return {
    apply: (factors) => tf.reshape(tf.mul(a, spread(layer, factors)), [1, -1]),
    adjoint: (u) => perElement(tf.mul(a, tf.reshape(u, a.shape))),
    squares,
    squaredLength: (factors) => tf.sum(tf.mul(tf.square(factors), squares), -1),
  };
}

export const mnf = givenLatent({
  name: 'mnf',
  latent: (layer) => ({ shared: 'layer', size: sizeOf(layer) }),
  initial(layer, weights, logStd, key) {
    const size = sizeOf(layer);
    const auxiliary = { inputs: size, hidden: HIDDEN, outputs: 2 * size, linear: false };
    return {
      ...normalParameters(layer, weights, logStd, key),
      logScale: f32([size], new Float32Array(size).fill(LOG_SCALE)),
      ...flowParameters(FLOW, size, foldIn(key, 'flow')),
      ...networkParameters(AUXILIARY_POSTERIOR, auxiliary, 0, foldIn(key, 'auxiliary')),
      ...flowParameters(AUXILIARY_FLOW, size, foldIn(key, 'auxiliary flow')),
    };
  },
  given(layer, { mean, logStd, logScale, ...parameters }, latent) {
    const z = tf.add(1, tf.mul(tf.exp(logScale), flow(parameters, FLOW, latent)));
    return { mean: tf.mul(mean, spread(layer, z)), logStd };
  },
  kernels(layer, parameters) {
    const row = (x: tf.Tensor) => tf.reshape(x, [1, -1]);
    const standard = factorDensity(
      { mean: row(parameters.mean), logStd: row(parameters.logStd) },
      multipliers(layer, parameters),
      parameters,
      (latent) => flow(parameters, FLOW, latent),
    );
    return { kind: 'semi-implicit', standard, ...bent(standard, parameters) };
  },
});

/** (33) The same density with v = h(ζ) for its latent, of which s is a diagonal normal. */
function bent({ density, draw }: JointDensity, parameters: Tensors): JointDensity {
  const back = (v: tf.Tensor) => inverseFlow(parameters, AUXILIARY_FLOW, v);
  return {
    density: {
      ...density,
      logLikelihood: (w, v) => density.logLikelihood(w, back(v).x),
      logLatent(v) {
        const { x, logDeterminant } = back(v);
        return tf.add(density.logLatent(x), logDeterminant);
      },
    },
    draw(noise) {
      const { w, latent } = draw(noise);
      return { w, latent: flow(parameters, AUXILIARY_FLOW, latent) };
    },
  };
}
