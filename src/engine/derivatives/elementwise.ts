// Gradients of elementwise functions: those that TensorFlow.js does not sum over broadcast axes, those that it has for
// another function, and those with a shorter form.
import * as tf from '#tfjs';
import { nested } from '../tape.js';
import { gradient, run, tracing, unbroadcast } from './shared.js';

/** For f(a, b) with ∂f/∂a and ∂f/∂b given elementwise, in the shape of f. */
const binary = (
  kernelName: string,
  partial: (dy: tf.Tensor, a: tf.Tensor, b: tf.Tensor) => { a: () => tf.Tensor; b: () => tf.Tensor },
): tf.GradConfig =>
  gradient(kernelName, ['a', 'b'], (dy, [a, b]) => {
    const partials = partial(dy, a, b);
    return { a: () => unbroadcast(partials.a(), a.shape), b: () => unbroadcast(partials.b(), b.shape) };
  });

/** Constant but for steps. TensorFlow.js has no gradient for them, so that tf.where(tf.less(x, 1), x, y) has none. */
const STEPS = [
  'Equal',
  'NotEqual',
  'Less',
  'LessEqual',
  'Greater',
  'GreaterEqual',
  'LogicalAnd',
  'LogicalOr',
  'LogicalXor',
  'FloorDiv',
];

const where = (mask: tf.Tensor, dy: tf.Tensor) => tf.mul(dy, tf.cast(mask, 'float32'));

export const elementwiseGradients: tf.GradConfig[] = [
  binary('Maximum', (dy, a, b) => ({
    a: () => where(tf.greaterEqual(a, b), dy),
    b: () => where(tf.less(a, b), dy),
  })),
  binary('Minimum', (dy, a, b) => ({
    a: () => where(tf.lessEqual(a, b), dy),
    b: () => where(tf.greater(a, b), dy),
  })),
  binary('SquaredDifference', (dy, a, b) => {
    const slope = () => tf.mul(dy, tf.mul(2, tf.sub(a, b)));
    return { a: slope, b: () => tf.neg(slope()) };
  }),
  ...STEPS.map((kernel) =>
    gradient(kernel, ['a', 'b'], (_, [a, b]) => ({
      a: () => tf.zeros(a.shape),
      b: () => tf.zeros(b.shape),
    })),
  ),
  gradient('LogicalNot', ['x'], (_, [x]) => ({ x: () => tf.zeros(x.shape) })),
  // 0 at 0, where TensorFlow.js has −1.
  gradient('Abs', ['x'], (dy, [x]) => ({ x: () => tf.mul(dy, tf.sign(tf.cast(x, 'float32'))) })),
  // d/dx x^(−1/2) = −y³/2
  gradient('Rsqrt', [], (dy, [y]) => ({ x: () => tf.mul(dy, tf.mul(-0.5, tf.mul(y, tf.square(y)))) }), [
    true,
  ]),
  // sigmoid(x) = exp(x − softplus(x)), which keeps its digits where x is very negative.
  gradient('Softplus', ['x'], (dy, [x, y]) => ({ x: () => tf.mul(dy, tf.exp(tf.sub(x, y))) }), [true]),
  // Inside the limits, and on them, x is what it was.
  gradient('ClipByValue', ['x'], (dy, [x, y]) => ({ x: () => where(tf.equal(x, y), dy) }), [true]),
  // y + 1 = eˣ below 0
  gradient(
    'Elu',
    [],
    (dy, [y]) => ({
      x: () =>
        nested()
          ? tf.mul(dy, tf.where(tf.greater(y, 0), tf.onesLike(y), tf.add(y, 1)))
          : run('EluGrad', { dy, y }),
    }),
    [true],
  ),
  gradient('LeakyRelu', ['x'], (dy, [x], attrs) => {
    const alpha = attrs.alpha as number;
    return {
      x: () =>
        tracing() && !nested() && alpha >= 0 && alpha <= 1
          ? run('LeakyReluGrad', { dy, x }, { alpha })
          : tf.where(tf.greater(x, 0), dy, tf.mul(dy, alpha)),
    };
  }),
];
