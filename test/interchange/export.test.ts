// Exported networks: the ONNX model predicts what the network predicts, and both formats give back its kernels.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createEngine, f32, foldIn, seedKey } from '../../src/engine/index.js';
import { onnxruntime } from '../../src/engine/onnxruntime.js';
import { predictions } from '../../src/evaluate/index.js';
import { kerasLayout, networkToKeras } from '../../src/interchange/export-keras.js';
import { networkToOnnx } from '../../src/interchange/export-onnx.js';
import { plainWeights } from '../../src/interchange/plain-weights.js';
import { convLayers, namedArchitecture, weightShape, xavier } from '../../src/network/index.js';
import { posteriors } from '../../src/posteriors/index.js';
import { initialState } from '../../src/train/train-network.js';
import { loadModel } from '../importers/loaded.js';

const ort = await onnxruntime();

const folder = mkdtempSync(join(tmpdir(), 'dwp-export-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const key = seedKey(3);
const architecture = namedArchitecture('lenet', { height: 28, width: 28, channels: 1 }, 10, [3, 5]);
const weights = Object.fromEntries(convLayers(architecture).map((layer) => [layer.name, xavier(layer, key)]));
const { parameters } = initialState({
  architecture,
  posterior: posteriors.point,
  weights,
  logStd: -5,
  key: foldIn(key, 'initial'),
});
const network = { architecture, posterior: posteriors.point };
const engine = await createEngine('native', 1);
const plain = await plainWeights(network, parameters, engine);
const others = initialState({
  architecture,
  posterior: posteriors.point,
  weights: Object.fromEntries(
    convLayers(architecture).map((layer) => [layer.name, xavier(layer, foldIn(key, 'other'))]),
  ),
  logStd: -5,
  key: foldIn(key, 'other'),
}).parameters;
const count = 4;
const images = Uint8Array.from({ length: count * 28 * 28 }, (_, i) => (i * 37) % 256);

const set = { images, labels: new Uint8Array(count), count, height: 28, width: 28, channels: 1, classes: 10 };

/** @returns class probabilities [count, 10] by dwp */
const predicted = async (of: typeof parameters) =>
  (await predictions({ network, parameters: of, images: set, samples: 1, engine, key }).next())
    .value as Float32Array;

/** @returns softmax of an exported model's logits, [count, 10] */
async function exported(model: Uint8Array): Promise<number[]> {
  const session = await ort.InferenceSession.create(model);
  const x = Float32Array.from(images, (value) => value / 255);
  const { logits } = await session.run({ images: new ort.Tensor('float32', x, [count, 1, 28, 28]) });
  const odds = Array.from(logits.data as Float32Array, Math.exp);
  return odds.map((value, i) => {
    const first = i - (i % 10);
    return value / odds.slice(first, first + 10).reduce((sum, x) => sum + x, 0);
  });
}

test('ONNX: onnxruntime predicts what the network predicts, for any batch size', async () => {
  const own = await predicted(parameters);
  for (const [i, p] of (await exported(networkToOnnx(architecture, [plain]))).entries())
    expect(p).toBeCloseTo(own[i], 5);
});

test('ONNX: components predict with the mean of their probabilities', async () => {
  const [first, second] = [await predicted(parameters), await predicted(others)];
  const model = networkToOnnx(architecture, [plain, await plainWeights(network, others, engine)]);
  for (const [i, p] of (await exported(model)).entries())
    expect(p).toBeCloseTo((first[i] + second[i]) / 2, 5);
});

test.each([
  ['onnx', async () => networkToOnnx(architecture, [plain])],
  ['h5', async () => networkToKeras(architecture, plain)],
  ['weights.h5', async () => networkToKeras(architecture, plain, 'keras3')],
])('%s gives back every kernel', async (extension, encode) => {
  const path = join(folder, `net.${extension}`);
  writeFileSync(path, await encode());
  const { layers } = await loadModel(path);
  expect(layers.map(({ shape }) => shape)).toEqual(
    convLayers(architecture).map((layer) => [...weightShape(layer)]),
  );
  for (const [i, layer] of convLayers(architecture).entries()) {
    const shape = weightShape(layer);
    expect(f32(shape, layers[i].data)).toEqual({ shape, data: weights[layer.name].data });
  }
});

test('the name of a Keras file tells its layout', () => {
  expect([kerasLayout('a.weights.h5'), kerasLayout('a.H5'), kerasLayout('a.hdf5')]).toEqual([
    'keras3',
    'keras2',
    'keras2',
  ]);
  for (const name of ['a.keras', 'a.npz', 'h5']) expect(() => kerasLayout(name)).toThrow('name');
});
