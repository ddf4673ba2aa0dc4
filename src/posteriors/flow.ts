// A flow of RealNVP steps (Dinh et al. 2017) over small vectors: in each step one half of the elements scales and shifts
// the other by a small network. It starts at the identity, and both directions cost the same.
import { foldIn, type Key, tf } from '../engine/index.js';
import { network, networkParameters } from './networks.js';
import type { Arrays, Tensors } from './posterior.js';

const STEPS = 2;
const HIDDEN = 32;
/** Log scales lie within ± this. */
const MOST = 2;

export const flowParameters = (name: string, size: number, key: Key): Arrays =>
  Object.assign(
    {},
    ...Array.from({ length: STEPS }, (_, i) => {
      const shape = { inputs: size, hidden: HIDDEN, outputs: 2 * size, linear: false };
      return networkParameters(`${name}.${i}`, shape, 0, foldIn(key, i));
    }),
  );

/** What step i does to the elements that it changes, 0 for those that it keeps: [.., l] each. */
function coupling(parameters: Tensors, name: string, i: number, x: tf.Tensor) {
  const size = x.shape.at(-1)!;
  const changed = tf.tensor1d(Array.from({ length: size }, (_, j) => (j % 2 === i % 2 ? 0 : 1)));
  const kept = tf.mul(x, tf.sub(1, changed));
  const [scale, shift] = tf.split(network(parameters, `${name}.${i}`, kept), [size, size], -1);
  return {
    logScale: tf.mul(changed, tf.mul(tf.tanh(tf.div(scale, MOST)), MOST)),
    shift: tf.mul(changed, shift),
  };
}

/** y = x ⊙ e^a + b step by step: [.., l] → [.., l]. */
export function flow(parameters: Tensors, name: string, x: tf.Tensor): tf.Tensor {
  let y = x;
  for (let i = 0; i < STEPS; i++) {
    const { logScale, shift } = coupling(parameters, name, i, y);
    y = tf.add(tf.mul(y, tf.exp(logScale)), shift);
  }
  return y;
}

/** The x that {@link flow} makes y of, and log |det ∂x/∂y|: [.., l] → [.., l] and [..]. */
export function inverseFlow(
  parameters: Tensors,
  name: string,
  y: tf.Tensor,
): { x: tf.Tensor; logDeterminant: tf.Tensor } {
  let x = y;
  let logDeterminant: tf.Tensor = tf.zeros(y.shape.slice(0, -1));
  for (let i = STEPS - 1; i >= 0; i--) {
    const { logScale, shift } = coupling(parameters, name, i, x); // of the elements that are kept: the same
    x = tf.mul(tf.sub(x, shift), tf.exp(tf.neg(logScale)));
    logDeterminant = tf.sub(logDeterminant, tf.sum(logScale, -1));
  }
  return { x, logDeterminant };
}
