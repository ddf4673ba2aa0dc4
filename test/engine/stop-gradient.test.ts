// A tensor that no gradient passes through, as part of functions that are differentiated.
import { beforeAll, expect, test } from 'vitest';
import { type Engine, stopGradient, tf, valueAndGradients } from '../../src/engine/index.js';
import { engines, normal, runOn } from './reference.js';

let both: Engine[];
beforeAll(async () => {
  both = Object.values(await engines());
});

test('the value is the same, the gradient is that of a constant', async () => {
  const x = normal(1, 5);
  for (const engine of both) {
    const { value, gradient } = await runOn(
      engine,
      ({ x }: { x: tf.Tensor }) => {
        const { aux, gradients } = valueAndGradients(
          ({ x }) => {
            // a gradient within, of something that was computed from x
            const inner = tf.grad((y) => tf.sum(tf.mul(tf.square(y), stopGradient(tf.mul(y, 3)))))(tf.exp(x));
            const value = tf.mul(tf.square(x), stopGradient(inner));
            return { objective: tf.sum(value) as tf.Scalar, aux: { value } };
          },
          { x },
        );
        return { value: aux.value, gradient: gradients.x };
      },
      { x },
    );
    x.data.forEach((v, i) => {
      const inner = 2 * Math.exp(v) * 3 * Math.exp(v);
      expect(value.data[i] / (v * v * inner)).toBeCloseTo(1, 4);
      expect(gradient.data[i] / (2 * v * inner)).toBeCloseTo(1, 4);
    });
  }
});
