// Gradients of gradients of every operator: on both engines, and against finite differences of the gradient.
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type Engine,
  f32,
  type NdArray,
  stopGradient,
  tf,
  valueAndGradients,
} from '../../src/engine/index.js';
import { type Case, cases, x as normalInput, type Tensors } from './operator-cases.js';
import { engines, largestRelativeError, runOn } from './reference.js';

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

const waves = (value: tf.Tensor, frequency: number) =>
  tf.tensor(
    Array.from({ length: value.size }, (_, i) => Math.cos(frequency * (i + 1))),
    value.shape,
  );

/** ∂/∂x Σ c f(x)², whose derivative passes through f and through its gradient. */
const inner = (f: Case['f']) => (x: Tensors) =>
  valueAndGradients((x: Tensors) => {
    const value = f(x);
    return { objective: tf.sum(tf.mul(tf.square(value), waves(value, 1))) as tf.Scalar, aux: {} };
  }, x).gradients;

/** Σ of the gradients with fixed coefficients, a scalar, and its own gradients. */
const along = (gradients: Tensors) =>
  Object.values(gradients)
    .map((g) => tf.sum(tf.mul(g, waves(g, 0.7))))
    .reduce((a, b) => tf.add(a, b)) as tf.Scalar;
const outer = (f: Case['f']) => (x: Tensors) =>
  valueAndGradients((x: Tensors) => ({ objective: along(inner(f)(x)), aux: {} }), x).gradients;

const REFUSED = /^maxPool/;
const smooth = Object.entries(cases).filter(([, { noGradient }]) => !noGradient);

describe.each(smooth.filter(([name]) => !REFUSED.test(name)))('%s', (_, { inputs, f }) => {
  test('gradient of the gradient', async () => {
    const both = (x: Tensors) => {
      const { objective: first, gradients } = valueAndGradients(
        (x: Tensors) => ({ objective: along(inner(f)(x)), aux: {} }),
        x,
      );
      return { first, gradients };
    };
    const step = await native.compile(both, { inputs });
    const run = async (x: Record<string, NdArray>) =>
      (await step.run(x as never)) as unknown as { first: NdArray; gradients: Record<string, NdArray> };
    const actual = await run(inputs);
    const { path, error } = largestRelativeError(actual, await runOn(cpu, both, inputs));
    expect(error, path).toBeLessThan(1e-4);

    const h = 4e-3; // as for gradients
    for (const [name, array] of Object.entries(inputs)) {
      const second = actual.gradients[name].data;
      const scale = Math.max(...Array.from(second, Math.abs), 1);
      for (let i = 0; i < array.data.length; i += Math.ceil(array.data.length / 4)) {
        const at = async (d: number) => {
          const moved = f32(array.shape, Float32Array.from(array.data));
          moved.data[i] += d;
          return (await run({ ...inputs, [name]: moved })).first.data[0];
        };
        const slope = ((await at(h)) - (await at(-h))) / (2 * h);
        expect(Math.abs(slope - second[i]) / scale, `${name}[${i}]: ${slope} vs ${second[i]}`).toBeLessThan(
          0.02,
        );
      }
    }
    await step.release();
  });
});

describe.each(smooth.filter(([name]) => REFUSED.test(name)))('%s', (_, { inputs, f }) => {
  test('is refused by name and line, but not where the inner gradient is held fixed', async () => {
    const fixed = (x: Tensors) =>
      valueAndGradients((x: Tensors) => {
        const gradients = inner(f)(x);
        const terms = Object.entries(gradients).map(([name, g]) => tf.sum(tf.mul(x[name], stopGradient(g))));
        return { objective: terms.reduce((a, b) => tf.add(a, b)) as tf.Scalar, aux: {} };
      }, x).gradients;
    for (const engine of [native, cpu]) {
      await expect(engine.compile(outer(f), { inputs })).rejects.toThrow(
        /the gradient of the gradient of MaxPool is not known.*operator-cases\.ts:\d+/,
      );
      await (await engine.compile(fixed, { inputs })).release();
    }
  });
});

test('a custom gradient that keeps a tensor from within is refused where that matters', async () => {
  const inputs = { x: normalInput };
  const slowSquare = tf.customGrad((...given) => {
    const [x, save] = given as [tf.Tensor, tf.GradSaveFunc];
    const twice = tf.mul(x, 2);
    save([twice]);
    return { value: tf.square(x), gradFunc: (dy: tf.Tensor, [twice]: tf.Tensor[]) => tf.mul(dy, twice) };
  });
  const f = ({ x }: Tensors) => slowSquare(x);
  for (const engine of [native, cpu]) {
    await expect(engine.compile(outer(f), { inputs })).rejects.toThrow(/a tensor from within it/);
    const gradient = (await runOn(engine, inner(f), inputs)) as unknown as { x: NdArray };
    normalInput.data.forEach((x, i) => {
      expect(gradient.x.data[i]).toBeCloseTo(4 * x ** 3 * Math.cos(i + 1), 3);
    });
  }
});
