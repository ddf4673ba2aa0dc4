// Resident memory stays where it is while steps run and while steps are compiled and released, and the eager engine
// leaves no tensors behind. Short runs here; `npm run test:memory` takes 5,000 steps and prints what it saw.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Model } from '../../src/bounds/elbo.js';
import {
  createEngine,
  type Engine,
  f32,
  foldIn,
  layoutOf,
  type NdArray,
  RandomStream,
  seedKey,
  spec,
  tf,
  unpack,
  valueAndGradients,
} from '../../src/engine/index.js';
import { convLayers, namedArchitecture, weightShape, xavier } from '../../src/network/index.js';
import { posteriors } from '../../src/posteriors/index.js';
import { isotropicNormal } from '../../src/priors/index.js';
import { type AdamVectors, adam, initialAdam, packAdam } from '../../src/train/adam.js';
import { initialState, trainNetwork } from '../../src/train/train-network.js';
import { allRows, tinyImages, tinyModel, tinyOptions, tinyState } from '../train/tiny.js';

const FULL = Number(process.env.DWP_MEMORY_STEPS ?? 0);
const TOLERANCE = FULL ? 0.1 : 0.2; // a short run has less time to settle
const key = seedKey(60);

type Arrays = Record<string, NdArray>;
const normals = (shape: readonly number[], name: string, std = 1) =>
  f32(
    shape,
    new RandomStream(foldIn(key, name)).fillNormal(f32(shape).data).map((x) => std * x),
  );

/** Collects resident memory, one number per step after the warm-up; `expectFlat` compares ten parts of the run. */
function residentMemory(warmUp: number) {
  const samples: number[] = [];
  let step = 0;
  return {
    sample() {
      if (++step > warmUp) samples.push(process.memoryUsage.rss() / 2 ** 20);
    },
    expectFlat(name: string) {
      const length = Math.floor(samples.length / 10);
      const parts = Array.from({ length: 10 }, (_, i) => {
        const part = samples.slice(i * length, (i + 1) * length).sort((a, b) => a - b);
        return part[length >> 1];
      });
      // the largest rise from a part to a later one; memory of earlier tests, given back meanwhile, is none
      const rise = Math.max(...parts.map((part, i) => Math.max(...parts.slice(i)) / part - 1));
      const seen = `${name}: ${parts.map((x) => x.toFixed(0)).join(' ')} MiB, risen by ${(100 * rise).toFixed(1)} %`;
      if (FULL) console.info(seen);
      expect(rise, seen).toBeLessThan(TOLERANCE);
    },
  };
}

let native: Engine;
beforeAll(async () => {
  native = await createEngine('native', 1);
});

describe('resident memory is flat', { timeout: FULL ? 7_200_000 : 600_000 }, () => {
  it('over steps of LeNet', async () => {
    const [steps, warmUp] = FULL ? [FULL, 500] : [300, 150];
    const architecture = namedArchitecture('lenet', { height: 28, width: 28, channels: 1 }, 10, [32, 128]);
    const count = 100;
    const pixels = new RandomStream(foldIn(key, 'images'));
    const images = {
      images: Uint8Array.from({ length: count * 784 }, () => pixels.integer(256)),
      labels: Int32Array.from({ length: count }, (_, i) => i % 10),
      ...{ count, height: 28, width: 28, channels: 1, classes: 10 },
    };
    const layers = convLayers(architecture);
    const model: Model = {
      architecture,
      posterior: posteriors['mean-field'],
      estimator: 'local-reparameterisation',
      priors: Object.fromEntries(
        layers.map((layer) => {
          const [, , h, w] = weightShape(layer);
          return [layer.name, isotropicNormal({ h, w }, {}, 0.1)];
        }),
      ),
      examples: count,
      kernelSubsample: 100,
    };
    const weights = Object.fromEntries(layers.map((layer) => [layer.name, xavier(layer, key)]));
    const memory = residentMemory(warmUp);
    await trainNetwork(
      {
        model,
        images,
        rows: Int32Array.from({ length: count }, (_, i) => i),
        options: { ...tinyOptions, steps, batch: 2, learningRate: 1e-4, logEvery: 100 },
        engine: native,
        key,
        state: initialState({ architecture, posterior: model.posterior, weights, logStd: -3, key }),
      },
      { stepped: memory.sample },
    );
    memory.expectFlat('LeNet');
  });

  it.each([
    { results: 'new arrays every time', reuse: false },
    { results: 'the same arrays in turn', reuse: true },
  ])('over steps of a net of 5 million parameters, results in $results', async ({ results, reuse }) => {
    const [steps, warmUp] = FULL ? [FULL, 500] : [40, 20];
    const batch = 4;
    const parameters: Arrays = {
      filter: normals([5, 5, 1, 32], 'filter', 0.2),
      dense1: normals([12 * 12 * 32, 1000], 'dense1', 0.01),
      dense2: normals([1000, 400], 'dense2', 0.03),
      dense3: normals([400, 10], 'dense3', 0.05),
    };
    const layout = layoutOf(parameters);
    type Vectors = AdamVectors<NdArray>;
    let state: Vectors = packAdam(layout, initialAdam(parameters)).vectors;
    const step = await native.compile(
      (inputs: AdamVectors<tf.Tensor> & { images: tf.Tensor4D; labels: tf.Tensor2D; rate: tf.Tensor }) => {
        const { objective, gradients } = valueAndGradients(
          ({ vector }) => {
            const p = unpack(vector, layout) as Record<string, tf.Tensor2D>;
            const filter = p.filter as tf.Tensor as tf.Tensor4D;
            const convolved = tf.relu(tf.conv2d(inputs.images, filter, 1, 'valid'));
            const pooled = tf.reshape(tf.maxPool(convolved, 2, 2, 'valid'), [batch, -1]) as tf.Tensor2D;
            const hidden = tf.relu(tf.matMul(tf.relu(tf.matMul(pooled, p.dense1)), p.dense2));
            const logProbabilities = tf.logSoftmax(tf.matMul(hidden, p.dense3));
            const objective = tf.neg(tf.sum(tf.mul(logProbabilities, inputs.labels)));
            return { objective: objective as tf.Scalar, aux: {} };
          },
          { vector: inputs.parameters },
        );
        return {
          objective,
          ...adam().update(gradients.vector, inputs.moments, inputs.parameters, inputs.rate),
        };
      },
      {
        inputs: {
          ...state,
          images: spec([batch, 28, 28, 1]),
          labels: spec([batch, 10]),
          rate: spec([]),
        } as never,
      },
    );
    const labels = f32([batch, 10]);
    for (let i = 0; i < batch; i++) labels.data[10 * i + i] = 1;
    const images = normals([batch, 28, 28, 1], 'images');
    const objective = f32([]);
    let next: Vectors | undefined = reuse ? packAdam(layout).vectors : undefined;
    const memory = residentMemory(warmUp);
    let [first, last] = [0, 0];
    for (let t = 1; t <= steps; t++) {
      const rate = f32([], Float32Array.of(adam().rate(1e-5, t)));
      const inputs = { ...state, images, labels, rate };
      const out = (await step.run(inputs as never, (next && { objective, ...next }) as never)) as unknown as {
        objective: NdArray;
      } & Vectors;
      if (next) next = state;
      state = { parameters: out.parameters, moments: out.moments };
      last = out.objective.data[0];
      if (t === 1) first = last;
      memory.sample();
    }
    await step.release();
    expect(last).toBeLessThan(first);
    memory.expectFlat(`5 million parameters, results in ${results}`);
  });

  it('over compiling, running and releasing', async () => {
    const [times, warmUp] = FULL ? [200, 50] : [40, 15];
    const memory = residentMemory(warmUp);
    const frozen = normals([256, 256], 'frozen'); // an initializer of a quarter of a MiB in each session
    for (let i = 0; i < times; i++) {
      const step = await native.compile(
        ({ x }: { x: tf.Tensor2D }, { w }: { w: tf.Tensor2D }) =>
          valueAndGradients(
            (p: { x: tf.Tensor2D }) => {
              const y = tf.tanh(tf.matMul(p.x, w));
              return { objective: tf.sum(tf.square(y)) as tf.Scalar, aux: { y } };
            },
            { x },
          ),
        { inputs: { x: spec([64, 256]) } as never, constants: { w: frozen } as never },
      );
      await step.run({ x: normals([64, 256], 'x') } as never);
      await step.release();
      memory.sample();
    }
    memory.expectFlat('compile, run, release');
  });
});

describe('tensors are released', () => {
  it('by the eager engine: as many before as after', async () => {
    const cpu = await createEngine('cpu');
    const before = tf.memory();
    const step = await cpu.compile(
      ({ x }: { x: tf.Tensor1D }, { w }: { w: tf.Tensor1D }) => ({ y: tf.sum(tf.exp(tf.mul(x, w))), x, w }),
      { inputs: { x: spec([3]) } as never, constants: { w: f32([3]) } as never },
    );
    const compiled = tf.memory();
    for (let i = 0; i < 3; i++) {
      await step.run({ x: f32([3]) } as never);
      expect(tf.memory().numTensors).toBe(compiled.numTensors);
      expect(tf.memory().numDataBuffers).toBe(compiled.numDataBuffers);
    }
    await step.release();
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numBytes).toBe(before.numBytes);
  });

  it('by the eager engine when a step fails', async () => {
    const cpu = await createEngine('cpu');
    const before = tf.memory().numTensors;
    const step = await cpu.compile(
      ({ x }: { x: tf.Tensor1D }) => {
        const y = tf.exp(x);
        return tf.log(tf.neg(y)); // NaN: refused
      },
      { inputs: { x: spec([3]) } as never },
    );
    await expect(step.run({ x: f32([3]) } as never)).rejects.toThrow();
    await step.release();
    expect(tf.memory().numTensors).toBe(before);
  });

  it.each(['cpu', 'native'] as const)('by training on %s', async (name) => {
    const engine = name === 'cpu' ? await createEngine('cpu') : native;
    const model = tinyModel();
    const train = () =>
      trainNetwork({
        model,
        images: tinyImages,
        rows: allRows,
        options: tinyOptions,
        engine,
        key,
        state: tinyState(model),
      });
    await train();
    const before = tf.memory().numTensors;
    await train();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('by tracing, also when it is refused', async () => {
    const before = tf.memory().numTensors;
    const step = await native.compile(({ x }: { x: tf.Tensor1D }) => ({ y: tf.exp(x) }), {
      inputs: { x: spec([3]) } as never,
    });
    await step.release();
    await expect(
      native.compile(({ x }: { x: tf.Tensor1D }) => ({ y: tf.mul(tf.exp(x), x.dataSync()[0]) }), {
        inputs: { x: spec([3]) } as never,
      }),
    ).rejects.toThrow();
    expect(tf.memory().numTensors).toBe(before);
  });
});
