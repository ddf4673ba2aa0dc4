// The contract of a step: each breach is refused, with the operation and the line of the code that did it.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  createEngine,
  type Engine,
  f32,
  StepError,
  spec,
  tf,
  valueAndGradients,
} from '../../src/engine/index.js';
import { PRESENT } from './backends.js';

const HERE = fileURLToPath(import.meta.url);
const lineWith = (text: string): number =>
  readFileSync(HERE, 'utf8')
    .split('\n')
    .findIndex((line) => line.includes(text) && !line.includes('lineWith(')) + 1;

const engines: Record<string, Engine> = {};
beforeAll(async () => {
  for (const name of PRESENT) engines[name] = await createEngine(name, 1);
});

const x = f32([4], Float32Array.of(1, 2, 3, 4));
type X = { x: tf.Tensor };

async function failure(promise: Promise<unknown>): Promise<StepError> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(StepError);
  return error as StepError;
}

describe.each(PRESENT)('engine %s refuses, with operation and line', (name) => {
  const compile = (f: (inputs: X) => unknown) =>
    engines[name].compile(f as (inputs: X) => tf.Tensor, { inputs: { x } });
  const captured = () => tf.tensor([1, 2, 3, 4]);

  test('a value read', async () => {
    const error = await failure(
      compile(({ x }) => {
        const y = tf.exp(x);
        return tf.mul(y, y.dataSync()[0]); // read here
      }),
    );
    expect(error.message).toMatch(/the value of the result of Exp was read inside a step function/);
    expect(error.at).toContain(`${HERE}:${lineWith('// read here')}:`);
  });

  test('a value read asynchronously', async () => {
    const error = await failure(
      compile(({ x }) => {
        x.data();
        return x;
      }),
    );
    expect(error.message).toMatch(/the value of the input x was read/);
    const async = await failure(compile(async ({ x }) => x));
    expect(async.message).toMatch(/must not be async/);
  });

  test('Math.random and crypto', async () => {
    const error = await failure(compile(({ x }) => tf.mul(x, Math.random()))); // dice here
    expect(error.message).toMatch(/Math\.random was called inside a step function/);
    expect(error.at).toContain(`${HERE}:${lineWith('// dice here')}:`);
    const other = await failure(compile(({ x }) => tf.mul(x, crypto.getRandomValues(new Uint8Array(1))[0])));
    expect(other.message).toMatch(/crypto\.getRandomValues/);
    expect(Math.random()).toBeLessThan(1);
    expect(crypto.getRandomValues(new Uint8Array(3))).toHaveLength(3);
  });

  test.each([
    ['randomNormal', () => tf.randomNormal([4], 0, 1, 'float32', 7)],
    ['randomUniform', () => tf.randomUniform([4], 0, 1, 'float32', 7)],
    ['truncatedNormal', () => tf.truncatedNormal([4], 0, 1, 'float32', 7)],
    ['randomGamma', () => tf.randomGamma([4], 2, 1, 'float32', 7)],
    ['randomUniform', () => tf.dropout(tf.ones([4]), 0.5, undefined, 7)],
  ])('tf.%s, seeded too', async (operation, noise) => {
    const error = await failure(compile(({ x }) => tf.add(x, noise())));
    expect(error.message).toMatch(/inside a step function/);
    expect(error.operation).toBe(operation);
  });

  test('a captured tensor', async () => {
    await tf.setBackend('cpu');
    const outside = captured();
    const error = await failure(compile(({ x }) => tf.mul(x, outside))); // captured here
    expect(error.message).toMatch(
      /Multiply uses a tensor of shape \[4\] that was made outside the step function/,
    );
    expect(error.at).toContain(`${HERE}:${lineWith('// captured here')}:`);
  });

  test('a captured tensor as result', async () => {
    await tf.setBackend('cpu');
    const outside = captured();
    const error = await failure(compile(() => ({ y: outside })));
    expect(error.message).toMatch(/the result y uses a tensor/);
  });

  test('a tensor kept from another trace', async () => {
    let kept: tf.Tensor | undefined;
    const leak = await compile(({ x }) => {
      kept ??= tf.keep(tf.exp(x));
      return x;
    });
    await leak.release();
    expect((await failure(compile(({ x }) => tf.add(x, kept!)))).message).toMatch(/made outside/);
  });

  test('other shapes, types, missing and unknown inputs', async () => {
    const step = await engines[name].compile(({ x }: X) => tf.neg(x), { inputs: { x } }); // compiled here
    const run = (inputs: unknown) => failure(step.run(inputs as never));
    const error = await run({ x: f32([2, 2]) });
    expect(error.message).toMatch(/input x has shape \[2,2\], the step was compiled for \[4\]/);
    expect(error.message).toContain(`compiled at ${HERE}:${lineWith('// compiled here')}:`);
    expect((await run({ x: { shape: [4], data: new Float32Array(3) } })).message).toMatch(/but 3 elements/);
    expect((await run({ x: { shape: [4], data: new Int32Array(4) } })).message).toMatch(
      /x is int32, .* float32/,
    );
    expect((await run({})).message).toMatch(/input x is missing/);
    expect((await run({ x, y: x })).message).toMatch(/input y is not one that the step has/);
    await step.release();
  });

  test('NaN, named by the operation where it began', async () => {
    const step = await engines[name].compile(
      ({ x }: X) => {
        const y = tf.log(x); // log here
        return { sum: tf.sum(tf.mul(tf.sub(y, y), 2)) };
      },
      { inputs: { x } },
    );
    expect((await step.run({ x })).sum.data[0]).toBe(0);
    const error = await failure(step.run({ x: f32([4], Float32Array.of(1, 2, 0, 4)) }));
    expect(error.message).toMatch(/NaN in the result sum: Log gave -Infinity in 1 of 4 elements/);
    expect(error.at).toContain(`${HERE}:${lineWith('// log here')}:`);
    const input = await failure(step.run({ x: f32([4], Float32Array.of(1, Number.NaN, 0, 4)) }));
    expect(input.message).toMatch(/the input x holds NaN in 1 of 4 elements/);
    expect((await step.run({ x })).sum.data[0]).toBe(0);
    await step.release();
  });

  test('NaN where it is allowed is a value', async () => {
    const step = await engines[name].compile(({ x }: X) => tf.sqrt(x), { inputs: { x }, allowNaN: true });
    const out = await step.run({ x: f32([4], Float32Array.of(-1, 4, -2, 9)) });
    expect([...out.data]).toEqual([Number.NaN, 2, Number.NaN, 3]);
    await step.release();
  });

  test('results go where they are told to', async () => {
    const step = await engines[name].compile(({ x }: X) => ({ y: tf.mul(x, 2), z: tf.sum(x) }), {
      inputs: { x },
    });
    const into = await step.run({ x });
    const again = await step.run({ x: f32([4], Float32Array.of(5, 6, 7, 8)) }, into);
    expect(again).toBe(into);
    expect([...into.y.data]).toEqual([10, 12, 14, 16]);
    expect([...into.z.data]).toEqual([26]);
    const wrong = await failure(step.run({ x }, { ...into, y: f32([3]) }));
    expect(wrong.message).toMatch(
      /the place of the result y has shape \[3\], the step was compiled for \[4\]/,
    );
    await step.release();
  });
});

test('NaN in a gradient names the operation whose gradient it is, and its line', async () => {
  const step = await engines.native.compile(
    ({ x }: X) => {
      const { objective, gradients } = valueAndGradients(
        (p: X) => ({
          objective: tf.sum(tf.sqrt(p.x)) as tf.Scalar, // root here
          aux: {},
        }),
        { x: tf.sub(x, x) },
      );
      return { objective, g: tf.mul(gradients.x, tf.sub(x, x)) };
    },
    { inputs: { x } },
  );
  const error = await failure(step.run({ x }));
  expect(error.message).toMatch(/NaN in the result g: the gradient of Sqrt \(its RealDiv\) gave Infinity/);
  expect(error.at).toContain(`${HERE}:${lineWith('// root here')}:`);
  await step.release();
});

test('an operator without a lowering is named, with the line', async () => {
  const error = await failure(
    engines.native.compile(({ x }: X) => tf.real(tf.fft(tf.complex(x, x))), { inputs: { x } }), // fft here
  );
  expect(error.message).toMatch(/Complex/);
  expect(error.at).toContain(`${HERE}:${lineWith('// fft here')}:`);
});

test('an int32 input that a float32 step gets is refused, a bool output is bytes', async () => {
  const step = await engines.native.compile(({ x }: { x: tf.Tensor }) => tf.greater(x, 1), {
    inputs: { x: spec([2], 'int32') },
  });
  const out = await step.run({ x: { shape: [2], data: Int32Array.of(1, 2) } });
  expect([...out.data]).toEqual([0, 1]);
  await step.release();
});
