// TensorFlow.js and TensorFlow Lite models that were trained and exported by others.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fetchPackage } from '../../scripts/fetch-models.mjs';
import { type LoadedLayer, loadModel } from '../importers/loaded.js';
import { summary } from './summary.js';

test('face-api (manifests alone, uint8)', async () => {
  const folder = join(fetchPackage('face-api'), 'model');
  const model = (name: string) => summary(join(folder, `${name}_model-weights_manifest.json`));
  expect(await model('tiny_face_detector')).toEqual({
    'conv 3x3': { layers: 1, slices: 48 },
    'depthwise 3x3': { layers: 5, slices: 496 },
  });
  expect(await model('ssd_mobilenetv1')).toEqual({
    'conv 3x3': { layers: 5, slices: 204896 },
    'depthwise 3x3': { layers: 13, slices: 4960 }, // those of MobileNet v1
  });
  expect(await model('face_recognition')).toEqual({
    'conv 7x7': { layers: 1, slices: 96 },
    'conv 3x3': { layers: 28, slices: 618496 },
  });
});

test('human (graph-models, float32, float16 and uint8)', async () => {
  const folder = join(fetchPackage('human'), 'models');
  expect(await summary(join(folder, 'iris.json'))).toEqual({
    'conv 3x3': { layers: 1, slices: 192 },
    'conv 2x2': { layers: 8, slices: 74240 },
    'depthwise 3x3': { layers: 26, slices: 1536 },
  });
  expect(await summary(join(folder, 'movenet-lightning.json'))).toEqual({
    'conv 3x3': { layers: 1, slices: 96 },
    'depthwise 3x3': { layers: 24, slices: 7352 },
  });
  expect(await summary(join(folder, 'handtrack.json'))).toEqual({
    'conv 3x3': { layers: 1, slices: 96 },
    'depthwise 3x3': { layers: 51, slices: 11488 },
  });
});

test('ESRGAN slim (a layers-model by Keras 2.10)', async () => {
  expect(await summary(join(fetchPackage('esrgan'), 'models', 'x4', 'model.json'))).toEqual({
    'conv 3x3': { layers: 8, slices: 12624 },
    'conv 5x5': { layers: 1, slices: 4096 },
  });
});

test('MediaPipe (TensorFlow Lite, float16 behind DEQUANTIZE, transposed convolutions of its own)', async () => {
  const detection = fetchPackage('face-detection');
  expect(await summary(join(detection, 'face_detection_short_range.tflite'))).toEqual({
    'conv 5x5': { layers: 1, slices: 72 },
    'depthwise 3x3': { layers: 16, slices: 978 },
  });
  expect(await summary(join(detection, 'face_detection_full_range_sparse.tflite'), 46)).toEqual({
    'conv 3x3': { layers: 1, slices: 96 },
    'depthwise 3x3': { layers: 42, slices: 3708 },
  });
  expect(await summary(join(fetchPackage('segmentation'), 'selfie_segmentation.tflite'))).toEqual({
    'conv 3x3': { layers: 1, slices: 48 },
    'depthwise 3x3': { layers: 6, slices: 232 },
    'depthwise 5x5': { layers: 5, slices: 544 },
    'transposed 2x2': { layers: 1, slices: 16 },
  });
});

test('microWakeWord (TensorFlow Lite, int8, several subgraphs)', async () => {
  const folder = join(fetchPackage('wake-word'), 'pymicro_wakeword', 'models');
  const model = await loadModel(join(folder, 'hey_jarvis.tflite'));
  expect(new Set(model.layers.map(({ dtype }) => dtype))).toEqual(new Set(['int8']));
  expect(await summary(join(folder, 'hey_jarvis.tflite'))).toEqual({
    'conv 5x1': { layers: 1, slices: 1200 },
    'depthwise 5x1': { layers: 1, slices: 30 },
    'depthwise 9x1': { layers: 1, slices: 60 },
    'depthwise 13x1': { layers: 1, slices: 60 },
    'depthwise 21x1': { layers: 1, slices: 60 },
  });
});

/** For every layer of `some`, how far it is from the layer of `others` that is nearest to it. */
function distances(some: LoadedLayer[], others: LoadedLayer[]): number[] {
  return some.map(({ shape, data }) => {
    const candidates = others.filter((other) => `${other.shape}` === `${shape}`);
    const gaps = candidates.map((other) => Math.max(...data.map((x, i) => Math.abs(x - other.data[i]))));
    return Math.min(Number.POSITIVE_INFINITY, ...gaps);
  });
}

test('Basic Pitch, published as TensorFlow.js, TensorFlow Lite and ONNX: the same kernels', async () => {
  const saved = join(fetchPackage('basic-pitch'), 'basic_pitch', 'saved_models', 'icassp_2022');
  const script = await loadModel(join(fetchPackage('basic-pitch-js'), 'model', 'model.json'));
  const lite = await loadModel(join(saved, 'nmp.tflite'));
  const onnx = await loadModel(join(saved, 'nmp.onnx'));
  expect([script, lite, onnx].map(({ format }) => format)).toEqual(['tfjs', 'tflite', 'onnx']);
  // the graph of TensorFlow.js repeats the filters of the spectrogram for every octave
  expect([script, lite, onnx].map(({ layers }) => layers.length)).toEqual([32, 9, 9]);
  // batch normalisation was folded into two of them by each converter for itself
  for (const gap of [...distances(script.layers, lite.layers), ...distances(lite.layers, onnx.layers)])
    expect(gap).toBeLessThan(1e-6);
});

test('BlazeFace, published as TensorFlow Lite, TensorFlow.js and ONNX: the same kernels', async () => {
  const onnx = join(fetchPackage('blazeface'), 'ONNX');
  const front = await loadModel(join(onnx, 'face_detection_front_128x128_barracuda.onnx'));
  const lite = await loadModel(join(fetchPackage('face-detection'), 'face_detection_short_range.tflite'));
  expect(distances(front.layers, lite.layers)).toEqual(Array(37).fill(0));
  const back = await loadModel(join(onnx, 'face_detection_back_256x256_barracuda.onnx'));
  const script = await loadModel(join(fetchPackage('human'), 'models', 'blazeface.json'));
  expect(distances(back.layers, script.layers)).toEqual(Array(69).fill(0));
});
