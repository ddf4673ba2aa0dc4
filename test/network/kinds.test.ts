// Every kind of layer: its shape is the one that comes out, both engines agree on values and gradients, and onnxruntime
// gives the same logits from the exported graph.
import { expect, test } from 'vitest';
import {
  type Arrays,
  f32,
  type NdArray,
  noiseFor,
  RandomStream,
  seedKey,
  type Tensors,
  tf,
  valueAndGradients,
} from '../../src/engine/index.js';
import { networkToOnnx } from '../../src/interchange/export-onnx.js';
import { plainWeights } from '../../src/interchange/plain-weights.js';
import {
  type Architecture,
  applyWeights,
  buildArchitecture,
  forward,
  layerKinds,
  layerNoise,
  randomLayers,
  weightShape,
} from '../../src/network/index.js';
import { posteriors } from '../../src/posteriors/index.js';
import { initialState } from '../../src/train/train-network.js';
import { engines, largestRelativeError, normal, runOn } from '../engine/reference.js';
import { examples, INPUT, type KindExample } from './examples.js';
import { runOnnx } from './run-onnx.js';

interface Inputs {
  images: tf.Tensor4D;
  parameters: Tensors;
  averages: Tensors;
  noise: Tensors;
}

const CLASSES = 3;
const BATCH = 4;
const key = seedKey(1500);

function networkOf({ title, layers, input = INPUT }: KindExample): Architecture {
  const ends = [
    { kind: 'flatten', name: 'to-vector' },
    { kind: 'dense', name: 'classifier', units: CLASSES },
  ];
  return buildArchitecture(title, input, CLASSES, [...layers, ...ends]);
}

/** Every array random, so that none hides behind a 0 or a 1; variances and scales are positive. */
function arraysOf(architecture: Architecture): { parameters: Arrays; averages: Arrays } {
  const weights = Object.fromEntries(
    architecture.layers
      .filter((layer) => layer.random)
      .map((layer, i) => [layer.name, normal(1510 + i, ...weightShape(layer))]),
  );
  const { parameters, averages } = initialState({
    architecture,
    posterior: posteriors.point,
    weights,
    logStd: -5,
    key,
  });
  const drawn = (arrays: Arrays) =>
    Object.fromEntries(
      Object.entries(arrays).map(([name, { shape, data }], i) => {
        const positive = /\.(variance|scale)$/.test(name);
        const values = new RandomStream(seedKey(1530 + i)).fillNormal(new Float32Array(data.length));
        return [
          name,
          f32(
            shape,
            values.map((x) => (positive ? Math.exp(0.5 * x) : 0.5 * x)),
          ),
        ];
      }),
    );
  return { parameters: drawn(parameters), averages: drawn(averages) };
}

test('every kind has an example', () => {
  const shown = new Set(examples.flatMap(({ layers }) => layers.map(({ kind }) => kind)));
  expect([...layerKinds.keys()].filter((kind) => !shown.has(kind))).toEqual([]);
});

test.each(examples)('$title: shapes, both engines, gradients', async (example) => {
  const architecture = networkOf(example);
  const { parameters, averages } = arraysOf(architecture);
  const images = normal(1501, BATCH, INPUT.height, INPUT.width, INPUT.channels);
  const noiseSpecs = layerNoise(architecture, BATCH);
  const noise = noiseFor(noiseSpecs, key);
  const step = (inputs: Inputs) => {
    const run = (parameters: Tensors, training: boolean) =>
      forward(architecture, inputs.images, {
        parameters,
        state: inputs.averages,
        ...(training && { mode: 'training', noise: inputs.noise }),
        random: (layer, x) => applyWeights(layer, x, parameters[`${layer.name}.mean`]),
      });
    const { gradients } = valueAndGradients(
      (parameters) => ({ objective: tf.sum(tf.square(run(parameters, true).outputs)) as tf.Scalar, aux: {} }),
      inputs.parameters,
    );
    const trained = run(inputs.parameters, true);
    return {
      logits: tf.clone(run(inputs.parameters, false).outputs),
      trained: tf.clone(trained.outputs),
      averages: trained.averages,
      gradients,
    };
  };
  const { native, cpu } = await engines();
  const inputs = { images, parameters, averages, noise };
  const [a, b] = await Promise.all([native, cpu].map((engine) => runOn(engine, step as never, inputs)));
  expect((a as { logits: NdArray }).logits.shape).toEqual([BATCH, CLASSES]);
  expect(largestRelativeError(a, b).error).toBeLessThan(2e-5);
});

test.each(examples)('$title: as ONNX', async (example) => {
  const architecture = networkOf(example);
  const { parameters, averages } = arraysOf(architecture);
  const images = normal(1502, BATCH, INPUT.height, INPUT.width, INPUT.channels);
  const { native } = await engines();
  const all = { ...parameters, ...averages };
  const logitsOf = (inputs: { images: tf.Tensor4D; all: Tensors }) => ({
    logits: tf.clone(
      forward(architecture, inputs.images, {
        parameters: inputs.all,
        random: (layer, x) => applyWeights(layer, x, inputs.all[`${layer.name}.mean`]),
      }).outputs,
    ),
  });
  const { logits } = (await runOn(native, logitsOf as never, { images, all })) as { logits: NdArray };
  const plain = await plainWeights({ architecture, posterior: posteriors.point }, all, native);
  const exported = await runOnnx(networkToOnnx(architecture, [plain]), images);
  expect(largestRelativeError({ logits }, { logits: exported }).error).toBeLessThan(1e-4);
  expect(randomLayers(architecture).every((layer) => layer.random)).toBe(true);
});
