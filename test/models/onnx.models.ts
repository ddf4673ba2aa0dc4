// ONNX models that were trained, exported and quantised by others, and the ONNX project's own, with their results.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, type NodeProto, type TensorProto, TensorProtoSchema } from 'onnx-buf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fetchPackage } from '../../scripts/fetch-models.mjs';
import { onnxruntime } from '../../src/engine/onnxruntime.js';
import { type LoadedLayer, loadModel } from '../importers/loaded.js';
import { summary } from './summary.js';

const ort = await onnxruntime();

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-onnx-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('PP-OCR 2 text direction (Paddle2ONNX, opset 11, weights in Constant nodes, batch normalisations)', async () => {
  const models = join(fetchPackage('rapid-ocr'), 'rapidocr_onnxruntime', 'models');
  const path = join(models, 'ch_ppocr_mobile_v2.0_cls_infer.onnx');
  expect(await summary(path)).toEqual({
    'conv 3x3': { layers: 1, slices: 24 },
    'depthwise 3x3': { layers: 3, slices: 64 },
    'depthwise 5x5': { layers: 8, slices: 800 },
  });
  const plain = await loadModel(path);
  const folded = await loadModel(path, { foldBatchNorm: true });
  expect(plain.producer).toBe('PaddlePaddle');
  expect(plain.layers).toHaveLength(53);
  expect(folded.layers.map(({ name, shape }) => ({ name, shape }))).toEqual(
    plain.layers.map(({ name, shape }) => ({ name, shape })),
  );
  const differing = folded.layers.filter(({ data }, i) => data.some((x, j) => x !== plain.layers[i].data[j]));
  expect(differing).toHaveLength(35); // each of the BatchNormalizations follows a convolution

  // onnxruntime folds them, too, and can write what it made of the model
  const optimised = join(folder, 'optimised.onnx');
  await ort.InferenceSession.create(path, {
    optimizedModelFilePath: optimised,
    graphOptimizationLevel: 'basic',
    logSeverityLevel: 3,
  });
  const { layers } = await loadModel(optimised);
  expect(layers.map(({ shape }) => shape)).toEqual(folded.layers.map(({ shape }) => shape));
  for (const [i, { data }] of layers.entries()) {
    const ours = folded.layers[i].data;
    const largest = ours.reduce((a, x) => Math.max(a, Math.abs(x)), 0);
    const furthest = data.reduce((a, x, j) => Math.max(a, Math.abs(x - ours[j])), 0);
    expect(furthest).toBeLessThan(1e-6 * largest);
  }
});

describe('ddddocr', () => {
  const file = (name: string) => join(fetchPackage('dddd-ocr'), 'ddddocr', name);

  test('float32 by PyTorch 1.9', async () => {
    expect(await summary(file('common.onnx'))).toEqual({ 'conv 3x3': { layers: 11, slices: 89496 } });
    expect(await summary(file('common_det.onnx'))).toEqual({ 'conv 3x3': { layers: 31, slices: 384480 } });
    expect((await loadModel(file('common.onnx'))).producer).toBe('pytorch 1.9');
  });

  test('uint8 by an early onnxruntime: ConvInteger, whose scale stands behind the addition of a bias', async () => {
    expect(await summary(file('common_old.onnx'))).toEqual({ 'conv 3x3': { layers: 11, slices: 89496 } });
    const { layers } = await loadModel(file('common_old.onnx'));
    expect(layers).toHaveLength(21);
    expect(layers.every(({ dtype }) => dtype === 'uint8')).toBe(true);
    // (w - zero point) * scale by NumPy: the first kernel, and the largest weight of each of the first layers
    expect([...layers[0].data.subarray(0, 9)]).toEqual(
      [
        -0.52862304, 1.903043, -2.960289, 0.052862305, 5.2862306, -4.2818465, -1.1101084, 4.493296,
        -2.6431153,
      ].map(Math.fround),
    );
    expect(layers.slice(0, 5).map(({ data }) => data.reduce((a, x) => Math.max(a, Math.abs(x)), 0))).toEqual(
      [7.083549, 0.93892795, 4.342826, 0.55414873, 1.2204154].map(Math.fround),
    );
  });
});

test('Silero VAD (spox and PyTorch, weights inside branches of If): convolutions of sound are skipped', async () => {
  const data = join(fetchPackage('silero-vad'), 'silero_vad', 'data');
  const files = readdirSync(data).filter((name) => name.endsWith('.onnx'));
  expect(files).toHaveLength(6);
  for (const name of files) {
    const { layers, skipped } = await loadModel(join(data, name));
    expect(layers).toEqual([]);
    // one network for each of two sampling rates
    const count = ['silero_vad.onnx', 'silero_vad_op18_ifless.onnx'].includes(name) ? 12 : 6;
    expect([name, ...skipped.map(({ reason }) => reason)]).toEqual([
      name,
      ...new Array(count).fill('a 1-D convolution'),
    ]);
  }
});

describe('the ONNX project: models of its own tests', () => {
  const data = () => join(fetchPackage('onnx'), 'onnx', 'backend', 'test', 'data');

  test('networks whose weights are only a shape and one number are skipped, and take no memory', async () => {
    const convolutions: Record<string, number> = {
      bvlc_alexnet: 5,
      densenet121: 121,
      inception_v1: 57,
      inception_v2: 69,
      resnet50: 53,
      shufflenet: 49,
      squeezenet: 26,
      vgg19: 16,
      zfnet512: 5,
    };
    for (const [name, count] of Object.entries(convolutions)) {
      const { layers, skipped } = await loadModel(join(data(), 'light', `light_${name}.onnx`));
      expect(layers).toEqual([]);
      expect([name, skipped.length]).toEqual([name, count]);
      for (const { reason } of skipped) expect(reason).toMatch(/computed.*ConstantOfShape/);
    }
  });

  test('PyTorch 0.3 computed what its exported convolutions do with the kernels read', async () => {
    const seen = { planar: 0, other: 0 };
    for (const group of ['pytorch-converted', 'pytorch-operator'])
      for (const name of readdirSync(join(data(), group)).filter((name) =>
        /conv(transpose)?([123]d|$|_)/i.test(name),
      )) {
        const place = join(data(), group, name);
        const { graph } = fromBinary(ModelProtoSchema, readFileSync(join(place, 'model.onnx')));
        const nodes = graph!.node.filter(({ opType }) => /^Conv/.test(opType));
        if (nodes.length === 0) continue;
        const { layers, skipped } = await loadModel(join(place, 'model.onnx'));
        if (skipped.length > 0) {
          expect(skipped[0].reason).toMatch(/^a [13]-D convolution$/);
          seen.other++;
          continue;
        }
        expect([name, layers.length, nodes.length, graph!.node.length]).toEqual([name, 1, 1, 1]);
        const tensor = (file: string) =>
          fromBinary(TensorProtoSchema, readFileSync(join(place, 'test_data_set_0', file)));
        const bias = graph!.initializer.find((tensor) => tensor.name === nodes[0].input[2]);
        const wanted = image(tensor('output_0.pb'));
        const ours = convolved(image(tensor('input_0.pb')), layers[0], nodes[0], wanted.shape);
        const { data: theirs, shape } = wanted;
        const shift = bias && image(bias).data;
        const area = shape[2] * shape[3];
        const furthest = theirs.reduce((a, x, i) => {
          const biased = ours[i] + (shift?.[Math.floor(i / area) % shape[1]] ?? 0);
          return Math.max(a, Math.abs(biased - x));
        }, 0);
        expect(furthest, name).toBeLessThan(1e-5);
        seen.planar++;
      }
    expect(seen).toEqual({ planar: 15, other: 15 });
  });
});

interface Image {
  /** [n, channels, h, w] */
  shape: number[];
  data: Float32Array;
}

function image({ dims, rawData, floatData }: TensorProto): Image {
  const data =
    rawData.length > 0 ? new Float32Array(new Uint8Array(rawData).buffer) : Float32Array.from(floatData);
  return { shape: dims.map(Number), data };
}

/** Every kernel value moves one input value to one output value, in either direction. */
function convolved(input: Image, layer: LoadedLayer, node: NodeProto, to: readonly number[]): Float64Array {
  const ints = (name: string, otherwise: number[]) => {
    const found = node.attribute.find((attribute) => attribute.name === name);
    return found?.ints.map(Number) ?? otherwise;
  };
  const groups = Number(node.attribute.find(({ name }) => name === 'group')?.i ?? 1);
  const [sy, sx] = ints('strides', [1, 1]);
  const [dy, dx] = ints('dilations', [1, 1]);
  const [top, left] = ints('pads', [0, 0, 0, 0]);
  const [out, inputs, kh, kw] = layer.shape;
  const [n, channels, h, w] = input.shape;
  const result = new Float64Array(to.reduce((a, b) => a * b));
  // a transposed convolution goes from what is its output's place in a convolution to what is the input's
  const back = layer.kind === 'transposed';
  const [small, large] = back ? [input.shape, to] : [to, input.shape];
  for (let b = 0; b < n; b++)
    for (let o = 0; o < out; o++)
      for (let i = 0; i < inputs; i++)
        for (let ky = 0; ky < kh; ky++)
          for (let kx = 0; kx < kw; kx++)
            for (let y = 0; y < small[2]; y++)
              for (let x = 0; x < small[3]; x++) {
                const [ly, lx] = [y * sy + ky * dy - top, x * sx + kx * dx - left];
                if (ly < 0 || lx < 0 || ly >= large[2] || lx >= large[3]) continue;
                const channel = Math.floor(o / (out / groups)) * inputs + i;
                const [fy, fx, ty, tx] = back ? [y, x, ly, lx] : [ly, lx, y, x];
                result[((b * out + o) * to[2] + ty) * to[3] + tx] +=
                  input.data[((b * channels + channel) * h + fy) * w + fx] *
                  layer.data[((o * inputs + i) * kh + ky) * kw + kx];
              }
  return result;
}
