// Operator variational inference (Ranganath, Altosaar, Tran & Blei 2016) with the Langevin–Stein operator: q is judged
// by how far a test function f can take E_q [ ∇log p·f + ∇·f ] from zero, its value for q = p. Neither log q nor a
// constant of p is needed; but what is made small is a Fisher divergence, not KL(q ‖ p).
import { type Key, scaleGradient, tf } from '../engine/index.js';
import { denseParameters } from '../priors/dense-stack.js';
import type { Arrays, Tensors } from '../priors/index.js';
import type { Estimator } from './estimator.js';

const HIDDEN = 100;

/**
 * f(w) = tanh(wU + b) V + c: one hidden layer, so that its divergence has a short formula, and bounded, since a q that
 * runs away would find −‖f‖² falling without end otherwise.
 */
export function testFunction(auxiliary: Tensors, w: tf.Tensor): { f: tf.Tensor; divergence: tf.Tensor } {
  const [u, v] = ['in', 'out'].map((layer) => auxiliary[`test.${layer}.kernel`] as tf.Tensor2D);
  const t = tf.tanh(tf.add(tf.matMul(w as tf.Tensor2D, u), auxiliary['test.in.bias'])); // [n, h]
  const f = tf.add(tf.matMul(t as tf.Tensor2D, v), auxiliary['test.out.bias']); // [n, d]
  // ∇·f = Σ_h (1 − t_h²) Σ_j U_jh V_hj
  const turns = tf.sum(tf.mul(tf.transpose(u), v), 1); // [h]
  return { f, divergence: tf.sum(tf.mul(tf.sub(1, tf.square(t)), turns), 1) };
}

/**
 * (44) 2 E_q [ ∇log p·f + ∇·f ] − E_q ‖f‖². Its largest value over f is E_q ‖∇log p − ∇log q‖², at their difference.
 * @returns [n], one summand for each draw w [n, d]
 */
export function steinDiscrepancy(
  auxiliary: Tensors,
  w: tf.Tensor,
  score: (w: tf.Tensor) => tf.Tensor,
): tf.Tensor {
  const { f, divergence } = testFunction(auxiliary, w);
  const operator = tf.add(tf.sum(tf.mul(score(w), f), 1), divergence);
  return tf.sub(tf.mul(operator, 2), tf.sum(tf.square(f), 1));
}

export const testFunctionParameters = (d: number, key: Key): Arrays => ({
  ...denseParameters('test.in', d, HIDDEN, key),
  ...denseParameters('test.out', HIDDEN, d, key, 0.1),
});

export const operator: Estimator = {
  name: 'operator',
  summary: 'Langevin–Stein operator with a test function that is trained against q (Ranganath et al. 2016)',
  family: 'implicit',
  valued: false,
  auxiliary: testFunctionParameters,
  objective({ score }, { auxiliary }, { w }) {
    // q goes down, f goes up: f's gradient is turned round
    const against = Object.fromEntries(
      Object.entries(auxiliary).map(([name, x]) => [name, scaleGradient(x, -1)]),
    );
    return { descend: tf.mean(steinDiscrepancy(against, w, score)) as tf.Scalar };
  },
};
