// Random features: what the network's last layer sees, and a classifier of it that is at its optimum.
import { beforeAll, expect, test } from 'vitest';
import type { ImageSet } from '../../src/data/index.js';
import { createEngine, type Engine, f32, RandomStream, seedKey } from '../../src/engine/index.js';
import { predictions } from '../../src/evaluate/index.js';
import { buildArchitecture, convLayers, namedArchitecture, xavier } from '../../src/network/index.js';
import { posteriors } from '../../src/posteriors/index.js';
import {
  classify,
  featureMap,
  fittedClassifier,
  labelsOf,
  linearClassifier,
} from '../../src/train/random-features.js';
import { hiddenDenseStart, initialState } from '../../src/train/train-network.js';

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine('native', 1);
});

const squares = (values: Float32Array) => values.reduce((sum, x) => sum + x * x, 0);
const random = (seed: number, n: number) => {
  const values = new Float32Array(n);
  new RandomStream(seedKey(seed)).fillNormal(values);
  return values;
};

test('the classifier is where the gradient of its objective is 0, and shrinks with the decay', async () => {
  const [n, f, classes] = [40, 6, 3];
  const values = f32([n, f], random(1, n * f));
  const labels = Int32Array.from({ length: n }, (_, i) => (values.data[i * f] > 0.5 ? 2 : i % 2));
  const norms: number[] = [];
  for (const decay of [1, 10]) {
    const classifier = await linearClassifier(values, labels, classes, decay, engine);
    const p = classify({ values }, classifier);
    for (let c = 0; c < classes; c++) {
      const residual = (i: number) => Number(labels[i] === c) - p[i * classes + c];
      const sum = (g: (i: number) => number) => labels.reduce((total, _, i) => total + g(i), 0);
      expect(Math.abs(sum(residual))).toBeLessThan(1e-2); // of the bias, which nothing shrinks
      for (
        let k = 0;
        k < f;
        k++ // λ W = Xᵀ (Y − P)
      )
        expect(
          Math.abs(
            sum((i) => values.data[i * f + k] * residual(i)) -
              decay * classifier.weights.data[k * classes + c],
          ),
        ).toBeLessThan(0.2); // the gradient at 0 is some 20
    }
    norms.push(squares(classifier.weights.data as Float32Array));
  }
  expect(norms[1]).toBeLessThan(0.5 * norms[0]);
});

test('probabilities are those of the softmax, however large the logits', () => {
  const classifier = {
    weights: f32([1, 2], Float32Array.of(1000, 0)),
    bias: f32([2], Float32Array.of(0, Math.log(3))),
  };
  const p = classify({ values: f32([2, 1], Float32Array.of(0, 1)) }, classifier);
  expect(p[0]).toBeCloseTo(1 / 4, 6);
  expect(p[2]).toBe(1);
  expect(p[3]).toBe(0);
});

test('features: the same on both engines, with a root mean square of 1, of rows in their order', async () => {
  const shape = { height: 20, width: 20, channels: 1 };
  const images: ImageSet = {
    ...shape,
    count: 7,
    classes: 2,
    images: Uint8Array.from({ length: 7 * 400 }, (_, i) => (i * i) % 251),
    labels: new Uint8Array(7),
  };
  const network = namedArchitecture('lenet', shape, 2, [2, 3]);
  const weights = Object.fromEntries(
    convLayers(network).map((layer) => [layer.name, xavier(layer, seedKey(3))]),
  );
  const rows = Int32Array.of(5, 0, 3);
  const native = await featureMap(network, images, engine);
  const cpu = await featureMap(network, images, await createEngine('cpu'));
  const { values, scale } = await native.features(weights, images, rows);
  const other = await cpu.features(weights, images, rows);
  expect(values.shape).toEqual([3, 3 * 1 * 1]); // 20 → 14 → 7 → 3 → 1
  for (const [i, x] of values.data.entries()) expect(x).toBeCloseTo(other.values.data[i], 4);
  expect(squares(values.data as Float32Array) / values.data.length).toBeCloseTo(1, 5);
  const one = await native.features(weights, images, Int32Array.of(0), { scale, statistics: {} });
  expect(one.values.data).toEqual(values.data.subarray(3, 6));
  await native.release();
  await cpu.release();
});

test('a fitted classifier is at the optimum for features as they are, whatever the scale of the convolutions', async () => {
  const classes = 3;
  const count = 30;
  const images: ImageSet = {
    ...{ height: 20, width: 20, channels: 1, count, classes },
    images: Uint8Array.from(
      random(5, count * 400),
      (x, p) => 60 + 40 * x + 20 * (Math.floor(p / 400) % classes),
    ),
    labels: Uint8Array.from({ length: count }, (_, i) => i % classes),
  };
  const rows = Int32Array.from({ length: count }, (_, i) => i);
  const architecture = namedArchitecture('lenet', images, classes, [2, 3]);
  const labels = labelsOf(images, rows);
  for (const [factor, decay] of [
    [1, 0.5],
    [4, 2],
  ]) {
    const weights = Object.fromEntries(
      convLayers(architecture).map((layer) => {
        const { shape, data } = xavier(layer, seedKey(6));
        return [
          layer.name,
          f32(
            shape,
            Float32Array.from(data, (x) => factor * x),
          ),
        ];
      }),
    );
    const fit = await fittedClassifier({ architecture, weights, images, rows, decay, engine });
    const map = await featureMap(architecture, images, engine);
    const features = await map.features(weights, images, rows, { scale: 1, statistics: {} }); // as the network has them
    await map.release();
    const p = classify(features, fit);
    const [, f] = features.values.shape;
    for (let c = 0; c < classes; c++)
      for (let k = 0; k < f; k++) {
        const steep = rows.reduce((sum, i) => sum + Math.abs(features.values.data[i * f + k]), 0);
        const slope = rows.reduce(
          (sum, i) => sum + features.values.data[i * f + k] * (Number(labels[i] === c) - p[i * classes + c]),
          -decay * fit.weights.data[k * classes + c], // λ W = Xᵀ (Y − P)
        );
        expect(Math.abs(slope)).toBeLessThan(0.02 * steep + 1e-3);
      }
  }
});

test('with hidden dense layers and batch normalisation, features are those of the network that training starts with', async () => {
  const count = 30;
  const images: ImageSet = {
    ...{ height: 12, width: 12, channels: 1, count, classes: 3 },
    images: Uint8Array.from(random(7, count * 144), (x, p) => 60 + 40 * x + 20 * (Math.floor(p / 144) % 3)),
    labels: Uint8Array.from({ length: count }, (_, i) => i % 3),
  };
  const rows = Int32Array.from({ length: count }, (_, i) => i);
  const architecture = buildArchitecture('hidden', images, 3, [
    { kind: 'conv', name: 'conv', channels: 3, kernel: 5, stride: 2, bias: false },
    { kind: 'batch-norm' },
    { kind: 'relu' },
    { kind: 'flatten' },
    { kind: 'dense', name: 'hidden', units: 7 },
    { kind: 'relu' },
    { kind: 'dense', name: 'logits', units: 3 },
  ]);
  const key = seedKey(8);
  const weights = { conv: xavier(architecture.layers[0], key) };
  const before = { ...weights, ...hiddenDenseStart(architecture, key) };
  const fit = await fittedClassifier({ architecture, weights: before, images, rows, decay: 0.1, engine });
  const { parameters, averages } = initialState({
    architecture,
    posterior: posteriors.point,
    weights,
    logStd: -5,
    key,
    denseStart: fit,
  });
  const network = { architecture, posterior: posteriors.point };
  const source = { images, rows };
  const all = { ...parameters, ...averages };
  const { value: p } = await predictions({
    network,
    parameters: all,
    images,
    samples: 1,
    engine,
    key,
    statistics: source,
  }).next();
  const map = await featureMap(architecture, images, engine);
  const { values, statistics } = await map.features(before, images, rows);
  const features = await map.features(before, images, rows, { scale: 1, statistics });
  await map.release();
  expect(values.shape).toEqual([count, 7]);
  const expected = classify(features, fit);
  for (const [i, x] of expected.entries()) expect(Math.abs(p![i] - x)).toBeLessThan(1e-5);
  expect(expected.some((x) => x > 0.6)).toBe(true); // the classifier says something
});
