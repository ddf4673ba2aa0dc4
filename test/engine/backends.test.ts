// Each engine that is here: what a step gives and leaves behind, several engines in one process, and what loading
// libtensorflow must not change. `operators.test.ts` and its like compare single operations.
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type ArraysOf,
  createEngine,
  ENGINES,
  type Engine,
  f32,
  type NdArray,
  spec,
  type TensorsOf,
  tf,
  valueAndGradients,
} from '../../src/engine/index.js';
import { MISSING_IN_TENSORFLOW, NO_TENSORFLOW, PRESENT } from './backends.js';
import { largestRelativeError, normal } from './reference.js';

const engines: Partial<Record<string, Engine>> = {};
/** Our kernels and gradients before libtensorflow is loaded. */
let ours: { kernel: tf.KernelConfig; gradient: tf.GradConfig };
const registered = () => ({ kernel: tf.getKernel('Conv2D', 'cpu'), gradient: tf.getGradient('Conv2D') });

beforeAll(async () => {
  ours = registered();
  for (const name of PRESENT) engines[name] = await createEngine(name, 1);
});

// --- A classifier with one of each: convolution, pool, activation, dense layer, cross entropy, momentum -----------

const inputs = {
  weights: { conv: normal(1, 3, 3, 1, 4), dense: normal(2, 36, 3) },
  velocity: { conv: f32([3, 3, 1, 4]), dense: f32([36, 3]) },
  images: normal(3, 5, 6, 6, 1),
  rate: f32([], Float32Array.of(0.02)),
};
type Inputs = typeof inputs;
const constants = {
  labels: { shape: [5], data: Int32Array.of(0, 2, 1, 1, 0) },
  scale: f32([], Float32Array.of(0.5)),
};

function step(
  { weights, velocity, images, rate }: TensorsOf<Inputs>,
  { labels, scale }: TensorsOf<typeof constants>,
) {
  const { objective, gradients, aux } = valueAndGradients((w: typeof weights) => {
    const features = tf.conv2d(images as tf.Tensor4D, w.conv as tf.Tensor4D, 1, 'same');
    const pooled = tf.maxPool(tf.leakyRelu(features, 0.1), 2, 2, 'valid');
    const logits = tf.mul(tf.matMul(tf.reshape(pooled, [5, 36]), w.dense), scale);
    const logLikelihood = tf.sum(tf.mul(tf.logSoftmax(logits), tf.oneHot(labels as tf.Tensor1D, 3)));
    return { objective: logLikelihood as tf.Scalar, aux: { logits } };
  }, weights);
  const moved = (name: 'conv' | 'dense') => tf.add(tf.mul(velocity[name], 0.9), gradients[name]);
  const next = { conv: moved('conv'), dense: moved('dense') };
  return {
    objective,
    weights: {
      conv: tf.add(weights.conv, tf.mul(rate, next.conv)),
      dense: tf.add(weights.dense, tf.mul(rate, next.dense)),
    },
    velocity: next,
    predicted: tf.argMax(aux.logits, 1),
    sure: tf.greater(tf.max(tf.softmax(aux.logits), 1), 0.5),
  };
}

const compile = (engine: Engine) => engine.compile(step, { inputs, constants });

/** Ten steps: objectives in nats, and the state after the last. */
async function train(engine: Engine) {
  const compiled = await compile(engine);
  const objectives: number[] = [];
  let state = inputs as unknown as ArraysOf<Inputs>;
  for (let i = 0; i < 10; i++) {
    const { objective, weights, velocity } = await compiled.run(state);
    objectives.push(objective.data[0]);
    state = { ...state, weights, velocity };
  }
  await compiled.release();
  return { objectives: f32([10], Float32Array.from(objectives)), weights: state.weights };
}

for (const name of ENGINES.filter((name) => !PRESENT.includes(name)))
  test.skip(`engine ${name}: ${NO_TENSORFLOW}`, () => {});

describe.each(PRESENT)('engine %s', (name) => {
  const engine = () => engines[name]!;

  test('ten steps of training are those of cpu', async () => {
    const expected = await train(engines.cpu!);
    const [first, last] = [expected.objectives.data[0], expected.objectives.data[9]];
    expect(last).toBeGreaterThan(first + 1); // it learns
    const { error, path } = largestRelativeError(await train(engine()), expected);
    expect(error, path).toBeLessThan(1e-5);
  });

  test('results have the element types of their tensors', async () => {
    const compiled = await compile(engine());
    const { predicted, sure, objective } = await compiled.run(inputs as unknown as ArraysOf<Inputs>);
    await compiled.release();
    expect(objective.data).toBeInstanceOf(Float32Array);
    expect(objective.shape).toEqual([]);
    expect(predicted.data).toBeInstanceOf(Int32Array);
    expect(sure.data).toBeInstanceOf(Uint8Array);
    const reference = await compile(engines.cpu!);
    const expected = await reference.run(inputs as unknown as ArraysOf<Inputs>);
    await reference.release();
    expect([...predicted.data]).toEqual([...expected.predicted.data]);
    expect([...sure.data]).toEqual([...expected.sure.data]);
  });

  test('inputs of another shape, and missing ones, are refused', async () => {
    const compiled = await engine().compile(({ a, b }: { a: tf.Tensor; b: tf.Tensor }) => tf.add(a, b), {
      inputs: { a: spec([2]), b: spec([2]) },
    });
    const [two, three] = [f32([2]), f32([3])];
    await expect(compiled.run({ a: two, b: three })).rejects.toThrow(/input b has shape \[3\]/);
    await expect(compiled.run({ a: two } as never)).rejects.toThrow(/input b is missing/);
    await compiled.release();
  });

  test('runs leave no tensors, and a released step leaves none', async () => {
    const before = tf.memory().numTensors;
    const compiled = await compile(engine());
    await compiled.run(inputs as unknown as ArraysOf<Inputs>);
    const running = tf.memory().numTensors;
    for (let i = 0; i < 5; i++) await compiled.run(inputs as unknown as ArraysOf<Inputs>);
    expect(tf.memory().numTensors).toBe(running);
    await compiled.release();
    expect(tf.memory().numTensors).toBe(before);
  });
});

test('steps of all engines at once do not disturb each other', async () => {
  const [expected, ...others] = await Promise.all(
    [engines.cpu!, ...Object.values(engines as Record<string, Engine>), engines.cpu!].map(train),
  );
  for (const actual of others) {
    const { error, path } = largestRelativeError(actual, expected);
    expect(error, path).toBeLessThan(1e-5);
  }
});

describe.skipIf(!PRESENT.includes('tensorflow'))('libtensorflow', () => {
  test('leaves our own kernels and gradients in their place', () => {
    const { kernel, gradient } = registered();
    expect(kernel).toBe(ours.kernel);
    expect(gradient).toBe(ours.gradient);
  });

  test('has the kernels that a compiled step may use, but a few', () => {
    const kernels = (backend: string) => tf.getKernelsForBackend(backend).map(({ kernelName }) => kernelName);
    const [compiled, plain, there] = ['dwp-trace', 'cpu', 'tensorflow'].map(kernels);
    const missing = compiled.filter((name) => plain.includes(name) && !there.includes(name));
    expect(missing.sort()).toEqual(MISSING_IN_TENSORFLOW);
  });

  test('computes its own steps, and cpu its own, when they run at once', async () => {
    const used: Record<string, string[]> = { cpu: [], tensorflow: [] };
    const compiled = await Promise.all(
      Object.keys(used).map((name) =>
        engines[name]!.compile(
          ({ x }: { x: tf.Tensor }) => {
            used[name].push(tf.getBackend());
            return tf.square(x);
          },
          { inputs: { x: spec([1]) } },
        ),
      ),
    );
    for (const name of Object.keys(used)) used[name] = []; // compiling records what the step does
    const three = { x: f32([1], Float32Array.of(3)) };
    const results = await Promise.all([...compiled, ...compiled].map((step) => step.run(three)));
    for (const step of compiled) await step.release();
    expect(used).toEqual({ cpu: ['cpu', 'cpu'], tensorflow: ['tensorflow', 'tensorflow'] });
    for (const { data } of results as unknown as NdArray[]) expect(data[0]).toBe(9);
  });
});
