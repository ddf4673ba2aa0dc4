// Batch normalisation in predictions: statistics are those of the training images with the weights of each draw, and no
// prediction depends on the images beside it.
import { expect, test } from 'vitest';
import type { ImageSet } from '../../src/data/index.js';
import { createEngine, foldIn, noiseFor, seedKey } from '../../src/engine/index.js';
import { onnxruntime } from '../../src/engine/onnxruntime.js';
import { predictions, sampledStatistics, weightNoise } from '../../src/evaluate/index.js';
import { networkToOnnx } from '../../src/interchange/export-onnx.js';
import { plainWeights } from '../../src/interchange/plain-weights.js';
import { buildArchitecture, convLayers, xavier } from '../../src/network/index.js';
import { posteriors } from '../../src/posteriors/index.js';
import type { Arrays } from '../../src/priors/index.js';
import { logLikelihoods } from '../../src/train/log-likelihood.js';
import { samplePosterior } from '../../src/train/sample-posterior.js';
import { initialState } from '../../src/train/train-network.js';
import { allRows, CLASSES, tinyImages } from '../train/tiny.js';

const engine = await createEngine('native', 1);
const key = seedKey(940);
const architecture = buildArchitecture('small', { height: 20, width: 20, channels: 1 }, CLASSES, [
  { kind: 'conv', name: 'conv1', channels: 3, kernel: 5, stride: 3, bias: false },
  { kind: 'batch-norm', name: 'norm1' },
  { kind: 'relu' },
  { kind: 'dropout' },
  { kind: 'conv', name: 'conv2', channels: 4, kernel: 3, bias: false },
  { kind: 'batch-norm', name: 'norm2' },
  { kind: 'relu' },
  { kind: 'global-average-pool' },
  { kind: 'dense', units: CLASSES },
]);
const startOf = (posterior: keyof typeof posteriors): Arrays => {
  const weights = Object.fromEntries(
    convLayers(architecture).map((layer) => [layer.name, xavier(layer, key)]),
  );
  const state = initialState({
    architecture,
    posterior: posteriors[posterior],
    weights,
    logStd: -1,
    key,
    denseStart: 3,
  });
  return { ...state.parameters, ...state.averages };
};
const network = { architecture, posterior: posteriors['mean-field'] };
const parameters = startOf('mean-field');
const source = { images: tinyImages, rows: allRows };

async function draws(images: ImageSet, samples: number, perDraw = true) {
  const all: Float32Array[] = [];
  for await (const draw of predictions({
    network,
    parameters,
    images,
    samples,
    engine,
    key,
    statistics: perDraw ? source : undefined,
  }))
    all.push(draw.slice());
  return all;
}

/** Images `rows` of the tiny ones, in that order. */
function some(rows: readonly number[]): ImageSet {
  const images = new Uint8Array(rows.length * 400);
  for (const [i, row] of rows.entries())
    images.set(tinyImages.images.subarray(row * 400, (row + 1) * 400), i * 400);
  return {
    ...tinyImages,
    count: rows.length,
    images,
    labels: Int32Array.from(rows, (r) => tinyImages.labels[r]),
  };
}

/** Means and variances of the first convolution's outputs, by definition, in double precision. */
function direct(weights: ArrayLike<number>, rows: Int32Array) {
  const channels = [0, 1, 2].map((channel) => {
    const values: number[] = [];
    for (const row of rows)
      for (let y = 0; y <= 15; y += 3)
        for (let x = 0; x <= 15; x += 3) {
          let sum = 0;
          for (let i = 0; i < 25; i++) {
            const pixel = tinyImages.images[row * 400 + (y + Math.floor(i / 5)) * 20 + x + (i % 5)] / 255;
            sum += weights[channel * 25 + i] * pixel;
          }
          values.push(sum);
        }
    const mean = values.reduce((a, b) => a + b) / values.length;
    return { mean, variance: values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length };
  });
  return { mean: channels.map(({ mean }) => mean), variance: channels.map(({ variance }) => variance) };
}

test.each([
  ['one batch', allRows],
  ['two batches', Int32Array.from({ length: 160 }, (_, i) => (i * i) % 18)],
])('(127) statistics of a draw are those of the training images with its weights: %s', async (_, rows) => {
  const measured = await sampledStatistics(network, parameters, { images: tinyImages, rows }, engine);
  for (const m of [0, 1]) {
    const drawn = await samplePosterior(network, parameters, engine, foldIn(key, m));
    const statistics = await measured.of(noiseFor(weightNoise(network), foldIn(key, m)));
    const expected = direct(drawn.conv1.data, rows);
    expect(Object.keys(statistics).sort()).toEqual([
      'norm1.mean',
      'norm1.variance',
      'norm2.mean',
      'norm2.variance',
    ]);
    for (const part of ['mean', 'variance'] as const)
      for (const [c, value] of expected[part].entries())
        expect(Math.abs(statistics[`norm1.${part}`].data[c] - value)).toBeLessThan(
          1e-5 * (1 + Math.abs(value)),
        );
  }
  await measured.release();
});

test('an image has the same probabilities alone, among others and in another order', async () => {
  const order = [7, 3, 0, 16, 11];
  const together = await draws(some(order), 3);
  const reversed = await draws(some([...order].reverse()), 3);
  for (const [i, row] of order.entries()) {
    const alone = await draws(some([row]), 3);
    for (let m = 0; m < 3; m++)
      for (let c = 0; c < CLASSES; c++) {
        const p = alone[m][c];
        expect(Math.abs(together[m][i * CLASSES + c] - p)).toBeLessThan(1e-6);
        expect(Math.abs(reversed[m][(4 - i) * CLASSES + c] - p)).toBeLessThan(1e-6);
      }
  }
  expect(together[0]).not.toEqual(together[1]);
});

test('draws are the same in runs of any size; running averages give others', async () => {
  const five = await draws(tinyImages, 5);
  const two = await draws(tinyImages, 2);
  for (const [m, draw] of two.entries()) expect(draw).toEqual(five[m]);
  const [running] = await draws(tinyImages, 1, false);
  const [none] = await draws(tinyImages, 1, false);
  expect(none).toEqual(running);
  expect(Math.max(...running.map((p, i) => Math.abs(p - five[0][i])))).toBeGreaterThan(0.01);
});

test('log p(𝒟 | W) is that of the predictions on the training images', async () => {
  const model = {
    architecture,
    posterior: posteriors.point,
    estimator: 'weight-samples' as const,
    priors: {},
    examples: 18,
    kernelSubsample: 1,
  };
  const at = startOf('point');
  const data = { images: tinyImages, rows: allRows, statistics: source };
  const [value] = await logLikelihoods({ ...data, model, parameters: at, draws: 1, engine, key });
  const { value: p } = await predictions({
    network: model,
    parameters: at,
    images: tinyImages,
    samples: 1,
    engine,
    key,
    statistics: source,
  }).next();
  const expected = Array.from(tinyImages.labels).reduce(
    (sum, label, i) => sum + Math.log(p![i * CLASSES + label]),
    0,
  );
  expect(Math.abs(value - expected)).toBeLessThan(1e-4);
});

test('an exported point network predicts what we predict, with statistics of its weights', async () => {
  const point = { architecture, posterior: posteriors.point };
  const at = startOf('point');
  const { value: p } = await predictions({
    network: point,
    parameters: at,
    images: tinyImages,
    samples: 1,
    engine,
    key,
    statistics: source,
  }).next();
  const ort = await onnxruntime();
  const model = networkToOnnx(architecture, [await plainWeights(point, at, engine, source)]);
  const session = await ort.InferenceSession.create(model);
  const pixels = Float32Array.from(tinyImages.images, (x) => x / 255);
  const { logits } = await session.run({ images: new ort.Tensor('float32', pixels, [18, 1, 20, 20]) });
  for (let i = 0; i < 18; i++) {
    const odds = Array.from(logits.data.slice(i * CLASSES, (i + 1) * CLASSES) as Float32Array, Math.exp);
    const total = odds.reduce((a, b) => a + b);
    for (const [c, x] of odds.entries()) expect(Math.abs(x / total - p![i * CLASSES + c])).toBeLessThan(1e-4);
  }
});

test('each of several draws predicts as a point network of its weights, with statistics of these weights', async () => {
  const point = { architecture, posterior: posteriors.point };
  for (const [m, draw] of (await draws(tinyImages, 2)).entries()) {
    const drawn = await samplePosterior(network, parameters, engine, foldIn(key, m));
    const at = { ...parameters, 'conv1.mean': drawn.conv1, 'conv2.mean': drawn.conv2 };
    const { value: p } = await predictions({
      network: point,
      parameters: at,
      images: tinyImages,
      samples: 1,
      engine,
      key,
      statistics: source,
    }).next();
    for (const [i, x] of draw.entries()) expect(Math.abs(p![i] - x)).toBeLessThan(1e-5);
  }
});
