// Density-ratio (adversarial) estimation: a classifier tells draws of q from draws of a reference whose density is
// known, and its logit is log q − log reference (Mescheder, Nowozin & Geiger 2017, with their adaptive contrast).
import { logStandardDensity } from '../distributions/normal.js';
import { spec, stopGradient, tf } from '../engine/index.js';
import { network, networkParameters } from '../posteriors/networks.js';
import type { Tensors } from '../priors/index.js';
import { divergence, type Estimator } from './estimator.js';

const HIDDEN = 64;

/** The classifier's logit T(u): u [.., d] → [..]. */
export const logRatio = (auxiliary: Tensors, u: tf.Tensor): tf.Tensor => {
  const out = network(auxiliary, 'classifier', u);
  return tf.reshape(out, out.shape.slice(0, -1));
};

/**
 * (43) Logistic loss of telling draws of q from the reference, with equally many of each; at its least,
 * T = log q − log reference. u and reference [n, d] → scalar, nats.
 */
export const classifierLoss = (auxiliary: Tensors, u: tf.Tensor, reference: tf.Tensor): tf.Scalar =>
  tf.add(
    tf.mean(tf.softplus(tf.neg(logRatio(auxiliary, u)))),
    tf.mean(tf.softplus(logRatio(auxiliary, reference))),
  ) as tf.Scalar;

export const densityRatio: Estimator = {
  name: 'density-ratio',
  summary:
    'a classifier of draws of q and of a normal of the same moments gives log q (Mescheder et al. 2017)',
  family: 'implicit',
  valued: true,
  auxiliary: (d, key) =>
    networkParameters('classifier', { inputs: d, hidden: HIDDEN, outputs: 1, linear: true }, 0, key),
  noise: (q, n) => ({ reference: spec([n, q.dimensions]) }),
  objective({ logTarget }, { auxiliary }, { w }, { noise }) {
    // the reference N(mean, diag std²) has the draws' own moments; in u = (w − mean)/std it is N(0, I)
    const mean = stopGradient(tf.mean(w, 0, true));
    const std = stopGradient(tf.sqrt(tf.add(tf.mean(tf.square(tf.sub(w, mean)), 0, true), 1e-8)));
    const u = tf.div(tf.sub(w, mean), std);
    const still = Object.fromEntries(Object.entries(auxiliary).map(([name, x]) => [name, stopGradient(x)]));
    const logReference = tf.sub(logStandardDensity(u), tf.sum(tf.log(std))); // of w: du = dw / Π std
    const value = divergence(tf.add(logRatio(still, u), logReference), w, logTarget);
    return {
      descend: tf.add(value, classifierLoss(auxiliary, stopGradient(u), noise.reference)) as tf.Scalar,
      value,
    };
  },
};
