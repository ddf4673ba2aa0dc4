// Exported networks: the ONNX model predicts what the network predicts, and both formats give back its kernels.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { afterAll, expect, test } from 'vitest';
import { createEngine, f32, foldIn, seedKey } from '../../src/engine/index.js';
import { predictions } from '../../src/evaluate/index.js';
import { networkToKeras } from '../../src/experiment/export-keras.js';
import { networkToOnnx } from '../../src/experiment/export-onnx.js';
import { plainWeights } from '../../src/experiment/plain-weights.js';
import { architectures, convLayers } from '../../src/nn/index.js';
import { posteriors } from '../../src/posteriors/index.js';
import { initialState, xavier } from '../../src/train/train-network.js';
import { loadModel } from '../importers/loaded.js';

const folder = mkdtempSync(join(tmpdir(), 'dwp-export-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const key = seedKey(3);
const architecture = architectures.lenet.build({ height: 28, width: 28, channels: 1 }, 10, [3, 5]);
const weights = Object.fromEntries(convLayers(architecture).map((layer) => [layer.name, xavier(layer, key)]));
const { parameters } = initialState(architecture, posteriors.point, weights, -5, foldIn(key, 'initial'));
const network = { architecture, posterior: posteriors.point };
const engine = await createEngine('native', 1);
const plain = await plainWeights(network, parameters, engine);
const count = 4;
const images = Uint8Array.from({ length: count * 28 * 28 }, (_, i) => (i * 37) % 256);

test('ONNX: onnxruntime predicts what the network predicts, for any batch size', async () => {
  const set = {
    images,
    labels: new Uint8Array(count),
    count,
    height: 28,
    width: 28,
    channels: 1,
    classes: 10,
  };
  const { value } = await predictions(network, parameters, set, 1, engine, key).next();
  const session = await ort.InferenceSession.create(networkToOnnx(architecture, plain));
  const { logits } = await session.run({
    images: new ort.Tensor(
      'float32',
      Float32Array.from(images, (x) => x / 255),
      [count, 1, 28, 28],
    ),
  });
  for (let i = 0; i < count; i++) {
    const row = Array.from(logits.data as Float32Array).slice(i * 10, i * 10 + 10);
    const total = row.reduce((sum, x) => sum + Math.exp(x), 0);
    for (let c = 0; c < 10; c++)
      expect(Math.exp(row[c]) / total).toBeCloseTo((value as Float32Array)[i * 10 + c], 5);
  }
});

test.each([
  ['onnx', async () => networkToOnnx(architecture, plain)],
  ['h5', async () => networkToKeras(architecture, plain)],
])('%s gives back every kernel', async (extension, encode) => {
  const path = join(folder, `net.${extension}`);
  writeFileSync(path, await encode());
  const { layers } = await loadModel(path);
  expect(layers.map(({ shape }) => shape)).toEqual(convLayers(architecture).map(({ shape }) => [...shape]));
  for (const [i, { name, shape }] of convLayers(architecture).entries())
    expect(f32(shape, layers[i].data)).toEqual({ shape, data: weights[name].data });
});
