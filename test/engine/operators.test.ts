// Every compiled operator: value and gradient against tfjs cpu, gradient against finite differences.
import { beforeAll, describe, expect, test } from 'vitest';
import { type Engine, f32, type NdArray, tf, valueAndGradients } from '../../src/engine/index.js';
import { cases, objective, row, type Tensors, x } from './operator-cases.js';
import { engines, largestRelativeError, runOn } from './reference.js';

let native: Engine;
let cpu: Engine;
beforeAll(async () => {
  ({ native, cpu } = await engines());
});

describe.each(Object.entries(cases))('%s', (_, { inputs, f, noGradient }) => {
  test('value equals tfjs cpu', async () => {
    const fn = (x: Tensors) => ({ value: f(x) });
    expect(
      largestRelativeError(await runOn(native, fn, inputs), await runOn(cpu, fn, inputs)).error,
    ).toBeLessThan(1e-5);
  });

  test.skipIf(noGradient)('gradient equals tfjs cpu and finite differences', async () => {
    const fn = (x: Tensors) => {
      const { objective: value, gradients } = valueAndGradients(objective(f), x);
      return { value, gradients };
    };
    const actual = await runOn(native, fn, inputs);
    const { path, error } = largestRelativeError(actual, await runOn(cpu, fn, inputs));
    expect(error, path).toBeLessThan(1e-5);

    // Central differences in float32: truncation h² and rounding 1e-7/h balance near h = 4e-3.
    const h = 4e-3;
    const value = await native.compile((x: Tensors) => objective(f)(x).objective, { inputs });
    for (const [name, array] of Object.entries(inputs)) {
      const gradient = (actual as unknown as { gradients: Record<string, NdArray> }).gradients[name].data;
      const scale = Math.max(...Array.from(gradient, Math.abs), 0.1);
      for (let i = 0; i < array.data.length; i += Math.ceil(array.data.length / 7)) {
        const at = async (d: number) => {
          const moved = f32(array.shape, Float32Array.from(array.data));
          moved.data[i] += d;
          return ((await value.run({ ...inputs, [name]: moved } as never)) as unknown as NdArray).data[0];
        };
        const slope = ((await at(h)) - (await at(-h))) / (2 * h);
        expect(
          Math.abs(slope - gradient[i]) / scale,
          `${name}[${i}]: ${slope} vs ${gradient[i]}`,
        ).toBeLessThan(0.02);
      }
    }
    await value.release();
  });
});

describe('the contract of a step', () => {
  const inputs = { x };
  test.each([
    ['reading a value', ({ x }: Tensors) => tf.scalar(x.dataSync()[0]), /read inside a step/],
    ['Math.random', ({ x }: Tensors) => tf.mul(x, Math.random()), /Math\.random/],
    ['unseeded noise', ({ x }: Tensors) => tf.add(x, tf.randomNormal([3, 4])), /Math\.random/],
  ])('%s is refused', async (_, f, message) => {
    await expect(native.compile(f, { inputs })).rejects.toThrow(message);
  });

  test('a captured tensor is refused', async () => {
    await cpu.compile(({ x }: Tensors) => x, { inputs });
    const captured = tf.tensor([1, 2, 3, 4]);
    await expect(native.compile(({ x }: Tensors) => tf.mul(x, captured), { inputs })).rejects.toThrow(
      /made outside/,
    );
  });

  test('another shape is refused, and tracing leaves Math.random alone', async () => {
    const step = await native.compile(({ x }: Tensors) => tf.neg(x), { inputs });
    await expect(step.run({ x: row } as never)).rejects.toThrow(/compiled for \[3,4\]/);
    await step.release();
    expect(Math.random()).toBeLessThan(1);
  });
});
