// Gradients of matrix products, summed over batch axes that were broadcast.
import * as tf from '#tfjs';
import { gradient, unbroadcast } from './shared.js';

export const linearGradients: tf.GradConfig[] = [
  gradient('BatchMatMul', ['a', 'b'], (dy, [a, b], { transposeA, transposeB }) => {
    const [ta, tb] = [Boolean(transposeA), Boolean(transposeB)];
    // With A and B as they enter the product: ∂/∂A = dy Bᵀ, ∂/∂B = Aᵀ dy.
    const da = () => (ta ? tf.matMul(b, dy, tb, true) : tf.matMul(dy, b, false, !tb));
    const db = () => (tb ? tf.matMul(dy, a, true, ta) : tf.matMul(a, dy, !ta, false));
    return { a: () => unbroadcast(da(), a.shape), b: () => unbroadcast(db(), b.shape) };
  }),
];
