// One small network as TensorFlow's own converters store it (scripts/write-tensorflow-fixtures.py): the kernels are
// the same in every form, or within a step of its quantisation, and a convolution with them gives TensorFlow's output.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type LoadedLayer, loadModel } from './loaded.js';

interface Tensor {
  shape: number[];
  data: number[];
}

const folder = fileURLToPath(new URL('../fixtures/tensorflow/', import.meta.url));
const expected: { input: Tensor; output: Tensor; kernels: Record<string, Tensor> } = JSON.parse(
  readFileSync(`${folder}expected.json`, 'utf8'),
);
const net = ['conv', 'depthwise', 'separable/depthwise', 'separable/pointwise', 'transposed'];
const kinds = ['conv', 'depthwise', 'depthwise', 'conv', 'transposed'];

/** Layers of the network by the names of expected.json: every shape occurs once. */
async function kernels(file: string, names = net): Promise<LoadedLayer[]> {
  const { layers, skipped } = await loadModel(folder + file);
  expect(skipped).toEqual([]);
  expect(layers).toHaveLength(names.length);
  return names.map((name) => {
    const found = layers.filter(({ shape }) => `${shape}` === `${expected.kernels[name].shape}`);
    expect(found, name).toHaveLength(1);
    return found[0];
  });
}

const largest = (data: ArrayLike<number>) => Array.from(data, Math.abs).reduce((a, b) => Math.max(a, b), 0);

/** @param steps for each weight of `data`, how far it may be from the original */
function expectClose(layer: LoadedLayer, name: string, steps: (index: number) => number): void {
  expect(layer.data).toHaveLength(expected.kernels[name].data.length);
  expected.kernels[name].data.forEach((original, i) => {
    expect(Math.abs(layer.data[i] - original), `${name}[${i}]`).toBeLessThanOrEqual(steps(i));
  });
}

describe.each([
  ['saved-by-tfjs/model.json', 'tfjs', 'TensorFlow.js tfjs-layers v4.22.0'],
  ['layers-float32/model.json', 'tfjs', 'keras v2.21.0, TensorFlow.js Converter v4.22.0'],
  ['graph-float32/model.json', 'tfjs', 'TensorFlow 2.21.0, TensorFlow.js Converter v4.22.0'],
  ['float32.tflite', 'tflite', 'TensorFlow 2.21.0'],
])('%s', (file, format, producer) => {
  test('bit for bit the original kernels', async () => {
    expect(await loadModel(folder + file)).toMatchObject({ format, producer });
    const layers = await kernels(file);
    expect(layers.map(({ kind }) => kind)).toEqual(kinds);
    layers.forEach((layer, i) => {
      expect(layer.dtype).toBe('float32');
      expect([...layer.data]).toEqual(expected.kernels[net[i]].data.map(Math.fround));
    });
  });

  test("a convolution with them gives TensorFlow's output", async () => {
    const [conv, depthwise, separable, pointwise, transposed] = await kernels(file);
    const activated = (x: Image) => ({ ...x, data: x.data.map((value) => Math.max(0, value + 0.1)) });
    const hidden = activated(convolve(activated(convolve(toImage(expected.input), conv)), depthwise));
    const output = paint(convolve(convolve(hidden, separable), pointwise), transposed, 2);
    const reference = toImage(expected.output);
    expect(output.data).toHaveLength(reference.data.length);
    // sums of up to 18 float32 products in five layers, of values up to 10²
    output.data.forEach((value, i) => {
      expect(value).toBeCloseTo(reference.data[i], 4);
    });
  });
});

test.each(['layers', 'graph'])('%s-model, quantised', async (form) => {
  for (const dtype of ['uint8', 'uint16', 'float16']) {
    const layers = await kernels(`${form}-${dtype}/model.json`);
    layers.forEach((layer, i) => {
      expect(layer.dtype).toBe(dtype);
      const { data } = expected.kernels[net[i]];
      const range = Math.max(...data) - Math.min(...data);
      const levels = dtype === 'uint8' ? 255 : 65535;
      // a range that is moved so that zero is a level: up to a whole step
      expectClose(layer, net[i], (at) => (dtype === 'float16' ? halfStep(data[at]) : range / levels + 1e-6));
    });
  }
});

test('TensorFlow Lite float16, behind DEQUANTIZE operators', async () => {
  (await kernels('float16.tflite')).forEach((layer, i) => {
    expect(layer.dtype).toBe('float16');
    expectClose(layer, net[i], (at) => halfStep(expected.kernels[net[i]].data[at]));
  });
});

test.each([
  ['int8.tflite', 'channel', net],
  ['per-tensor.tflite', 'tensor', net],
  ['dynamic.tflite', 'channel', ['wide']],
])('TensorFlow Lite int8: %s, a scale per %s', async (file, per, names) => {
  (await kernels(file, names)).forEach((layer, i) => {
    expect(layer.dtype).toBe('int8');
    const { data, shape } = expected.kernels[names[i]];
    const each = data.length / shape[0];
    const step = (at: number) => {
      const channel = Math.floor(at / each) * each;
      return largest(per === 'channel' ? data.slice(channel, channel + each) : data) / 127;
    };
    expectClose(layer, names[i], (at) => step(at) * 0.5001);
  });
});

/** Half a unit in the last place of float16. */
const halfStep = (value: number) => 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(value)))) - 11);

/** [channels, h, w] */
interface Image {
  channels: number;
  h: number;
  w: number;
  data: number[];
}

/** From [h, w, channels]. */
function toImage({ shape: [h, w, channels], data }: Tensor): Image {
  const at = (c: number, pixel: number) => data[pixel * channels + c];
  return {
    ...{ channels, h, w },
    data: Array.from({ length: channels * h * w }, (_, i) => at(Math.floor(i / (h * w)), i % (h * w))),
  };
}

/** Cross-correlation without padding; fewer inputs per filter than channels are groups. */
function convolve(image: Image, { shape: [out, inputs, kh, kw], data }: LoadedLayer): Image {
  const h = image.h - kh + 1;
  const w = image.w - kw + 1;
  const perGroup = out / (image.channels / inputs);
  const result: number[] = [];
  for (let o = 0; o < out; o++)
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) {
        let sum = 0;
        for (let i = 0; i < inputs; i++) {
          const channel = Math.floor(o / perGroup) * inputs + i;
          for (let ky = 0; ky < kh; ky++)
            for (let kx = 0; kx < kw; kx++)
              sum +=
                image.data[(channel * image.h + y + ky) * image.w + x + kx] *
                data[((o * inputs + i) * kh + ky) * kw + kx];
        }
        result.push(sum);
      }
  return { channels: out, h, w, data: result };
}

/** Transposed convolution: every pixel paints the kernel, as ConvTranspose of ONNX does. */
function paint(image: Image, { shape: [out, inputs, kh, kw], data }: LoadedLayer, stride: number): Image {
  const h = (image.h - 1) * stride + kh;
  const w = (image.w - 1) * stride + kw;
  const result = new Array<number>(out * h * w).fill(0);
  for (let o = 0; o < out; o++)
    for (let i = 0; i < inputs; i++)
      for (let y = 0; y < image.h; y++)
        for (let x = 0; x < image.w; x++)
          for (let ky = 0; ky < kh; ky++)
            for (let kx = 0; kx < kw; kx++)
              result[(o * h + y * stride + ky) * w + x * stride + kx] +=
                image.data[(i * image.h + y) * image.w + x] * data[((o * inputs + i) * kh + ky) * kw + kx];
  return { channels: out, h, w, data: result };
}
