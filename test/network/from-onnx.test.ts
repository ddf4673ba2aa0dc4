// Networks from ONNX classifiers: with the graph's own weights they make onnxruntime's logits; a new number of classes; and
// what is refused, with the node.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Attribute, encodeOnnx, Graph, type Tensors, tf, type Value } from '../../src/engine/index.js';
import {
  applyWeights,
  describedArchitecture,
  forward,
  graphArrays,
  weightLayers,
  weightShape,
} from '../../src/network/index.js';
import { readOnnxNetwork } from '../../src/problems/onnx-network.js';
import { engines, normal, runOn } from '../engine/reference.js';
import { runOnnx } from './run-onnx.js';

const CLASSES = 5;
const INPUT = { height: 16, width: 12, channels: 3 };
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dwp-from-onnx-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Nodes of a graph with random weights; shapes of images are not looked at by the file's readers. */
class Builder {
  private seed = 1700;
  readonly g = new Graph();
  readonly images = this.g.input('images', [-1, INPUT.channels, INPUT.height, INPUT.width], 'float32');

  op = (type: string, inputs: Value[], attributes: Record<string, Attribute> = {}): Value =>
    this.g.emit1(type, inputs, [-1, 1, 1, 1], attributes);

  weights(shape: number[], positive = false): Value {
    const scale = 1 / Math.sqrt(shape.slice(1).reduce((a, b) => a * b, 1));
    const { data } = normal(this.seed++, ...shape);
    return this.g.constant(
      Float32Array.from(data, (x) => (positive ? Math.exp(x / 2) : scale * x)),
      shape,
      'float32',
    );
  }

  conv = (x: Value, shape: number[], attributes: Record<string, Attribute> = {}, bias = false): Value =>
    this.op('Conv', [x, this.weights(shape), ...(bias ? [this.weights([shape[0]])] : [])], {
      kernel_shape: shape.slice(2),
      ...attributes,
    });

  norm = (x: Value, channels: number): Value =>
    this.op('BatchNormalization', [
      x,
      ...[true, false, false, true].map((positive) => this.weights([channels], positive)),
    ]);
}

/** As torchvision's ResNet-18, with one block that keeps the size and one that halves it. */
function residual(b: Builder): Value {
  const block = (x: Value, from: number, to: number, stride: number) => {
    const pads = { pads: [1, 1, 1, 1] };
    const inner = b.op('Relu', [
      b.norm(b.conv(x, [to, from, 3, 3], { ...pads, strides: [stride, stride] }), to),
    ]);
    const outer = b.norm(b.conv(inner, [to, to, 3, 3], pads), to);
    const shortcut = stride > 1 ? b.norm(b.conv(x, [to, from, 1, 1], { strides: [stride, stride] }), to) : x;
    return b.op('Relu', [b.op('Add', [outer, shortcut])]);
  };
  const stem = b.norm(b.conv(b.images, [4, 3, 7, 7], { pads: [3, 3, 3, 3], strides: [2, 2] }), 4);
  const pooled = b.op('MaxPool', [b.op('Relu', [stem])], {
    kernel_shape: [3, 3],
    pads: [1, 1, 1, 1],
    strides: [2, 2],
  });
  const features = b.op('GlobalAveragePool', [block(block(pooled, 4, 4, 1), 4, 6, 2)]);
  return b.op('Gemm', [b.op('Flatten', [features]), b.weights([CLASSES, 6]), b.weights([CLASSES])], {
    transB: 1,
  });
}

/** Dense layers behind flattened images: features lie in the order [c, h, w]. */
function plain(b: Builder): Value {
  const x = b.op('LeakyRelu', [b.conv(b.images, [4, 3, 3, 2], {}, true)], { alpha: { float: 0.2 } });
  const pooled = b.op('AveragePool', [x], { kernel_shape: [2, 3], strides: [2, 3] }); // [4, 7, 3]
  const flat = b.op('Elu', [b.op('Identity', [b.op('Reshape', [pooled, b.g.int64([0, -1])])])]);
  const hidden = b.op('Tanh', [b.op('Gemm', [b.norm(flat, 84), b.weights([84, 7]), b.weights([7])])]);
  return b.op('Add', [b.weights([CLASSES]), b.op('MatMul', [hidden, b.weights([7, CLASSES])])]);
}

/** Depthwise convolutions, gates, groups, joins and a mean over positions. */
function mobile(b: Builder): Value {
  const gated = (x: Value, gate: Value) => b.op('Mul', [x, gate]);
  const first = b.conv(b.images, [6, 3, 3, 3], { auto_pad: 'SAME_UPPER', strides: [2, 2] }, true);
  const silu = gated(b.op('Sigmoid', [first]), first);
  const depthwise = b.conv(silu, [12, 1, 3, 3], { group: 6, pads: [1, 1, 1, 1] });
  const hard = gated(
    depthwise,
    b.op('HardSigmoid', [depthwise], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } }),
  );
  const grouped = b.conv(hard, [4, 6, 3, 3], { group: 2, pads: [2, 2, 2, 2], dilations: [2, 2] });
  const clipped = b.op('Clip', [
    grouped,
    b.g.constant(Float32Array.of(0), [], 'float32'),
    b.g.constant(Float32Array.of(6), [], 'float32'),
  ]);
  const joined = b.op('Concat', [clipped, b.op('Softplus', [hard])], { axis: 1 });
  const mean = b.op('ReduceMean', [b.op('Selu', [joined]), b.g.int64([-1, 2])], { keepdims: 0 });
  return b.op('Gemm', [mean, b.weights([16, CLASSES])]);
}

/** As mobile networks of other exporters: gates from means over positions, functions in parts, biases that are added. */
function gates(b: Builder): Value {
  const scalar = (x: number) => b.g.constant(Float32Array.of(x), [], 'float32');
  const clipped = (x: Value) => b.op('Clip', [b.op('Add', [x, scalar(3)]), scalar(0), scalar(6)]);
  const scaled = b.op('Div', [b.op('Sub', [b.images, b.weights([3, 1, 1])]), b.weights([1, 3, 1, 1], true)]);
  const first = b.op('Add', [b.conv(scaled, [6, 3, 3, 3], { pads: [1, 1, 1, 1] }), b.weights([1, 6, 1, 1])]);
  const swish = b.op('Div', [b.op('Mul', [first, clipped(first)]), scalar(6)]);
  const norm = b.op('Add', [b.op('Mul', [b.norm(swish, 6), b.weights([6, 1, 1])]), b.weights([6, 1, 1])]);
  const mean = b.op('GlobalAveragePool', [norm]);
  const squeezed = b.op('Relu', [b.op('Add', [b.conv(mean, [3, 6, 1, 1]), b.weights([1, 3, 1, 1])])]);
  const gate = b.op('Mul', [clipped(b.conv(squeezed, [6, 3, 1, 1], {}, true)), scalar(1 / 6)]);
  const gated = b.op('Mul', [gate, norm]);
  const half = b.op('HardSigmoid', [b.op('Mul', [scalar(0.5), gated])], { alpha: { float: 0.25 } });
  const pooled = b.op('GlobalAveragePool', [b.op('Mul', [half, norm])]);
  return b.op('Flatten', [b.conv(pooled, [CLASSES, 6, 1, 1], {}, true)]);
}

/** Channels to the end and back, as networks that were made with [n, h, w, c] have it, and flattened in this order. */
function channelsLast(b: Builder): Value {
  const perm = (...order: number[]) => ({ perm: order });
  const x = b.op('Transpose', [b.conv(b.images, [4, 3, 3, 3])], perm(0, 2, 3, 1));
  const shifted = b.op('Relu', [b.op('Add', [x, b.weights([4])])]);
  const pooled = b.op('MaxPool', [b.op('Transpose', [shifted], perm(0, 3, 1, 2))], {
    kernel_shape: [2, 2],
    strides: [2, 2],
  });
  const flat = b.op('Reshape', [b.op('Transpose', [pooled], perm(0, 2, 3, 1)), b.g.int64([-1, 140])]);
  return b.op('Gemm', [flat, b.weights([140, CLASSES])]);
}

function write(name: string, build: (b: Builder) => Value): { path: string; bytes: Uint8Array } {
  const b = new Builder();
  const logits = build(b);
  const bytes = encodeOnnx(b.g, [['logits', Object.assign(logits, { shape: [-1, CLASSES] })]], name);
  const path = join(folder, `${name}.onnx`);
  writeFileSync(path, bytes);
  return { path, bytes };
}

test.each([
  ['residual', residual],
  ['plain', plain],
  ['mobile', mobile],
  ['gates', gates],
  ['channelsLast', channelsLast],
])('%s: logits of onnxruntime with the weights of the file', async (name, build) => {
  const { path, bytes } = write(name, build);
  const read = readOnnxNetwork(path);
  const { network } = read;
  expect(network.classes).toBe(CLASSES);
  const architecture = describedArchitecture(network, INPUT, CLASSES);
  const parameters = graphArrays(architecture, read);
  for (const layer of weightLayers(architecture))
    expect(parameters[`${layer.name}.weights`].shape).toEqual([...weightShape(layer)]);
  const images = normal(1690, 3, INPUT.height, INPUT.width, INPUT.channels);
  const random = {
    ...architecture,
    layers: architecture.layers.map((layer) => ({ ...layer, random: true })),
  };
  const step = ({ images, parameters }: { images: tf.Tensor4D; parameters: Tensors }) => ({
    logits: tf.clone(
      forward(random, images, {
        parameters,
        random: (layer, x) => applyWeights(layer, x, parameters[`${layer.name}.weights`]),
      }).outputs,
    ),
  });
  const { native } = await engines();
  const ours = (await runOn(native, step as never, { images, parameters })) as {
    logits: { data: Float32Array };
  };
  const theirs = await runOnnx(bytes, images);
  const furthest = Array.from(theirs.data).reduce(
    (most, x, i) => Math.max(most, Math.abs(x - ours.logits.data[i])),
    0,
  );
  expect(Math.max(...theirs.data) - Math.min(...theirs.data)).toBeGreaterThan(0.1);
  expect(furthest).toBeLessThan(1e-4);
});

test('another number of classes has a new classifier, and widths scale', () => {
  const { network } = readOnnxNetwork(write('residual', residual).path);
  const architecture = describedArchitecture(network, { ...INPUT, channels: 1 }, 3, 2);
  expect(architecture.layers.at(-1)!.outputShape).toEqual([3]);
  expect(weightShape(architecture.layers[0])).toEqual([8, 1, 7, 7]);
});

test.each<[string, (b: Builder) => Value, RegExp]>([
  [
    'an operator that is not known',
    (b) => b.op('LRN', [b.images], { size: 3 }),
    /node \S+ \(LRN\): this operator is not known/,
  ],
  [
    'constants that are of no channels',
    (b) => b.op('Mul', [b.images, b.weights([12])]),
    /\(Mul\): a constant \[12\], which is no number for each channel/,
  ],
  ['what is no classifier', (b) => b.op('Relu', [b.images]), /it does not end in a classifier/],
  [
    'weights that are computed',
    (b) => b.op('Conv', [b.images, b.op('Relu', [b.images])]),
    /\(Conv\): its input \S+ is not stored/,
  ],
  [
    'six times a HardSwish',
    (b) => {
      const six = b.g.constant(Float32Array.of(6), [], 'float32');
      const sum = b.op('Add', [b.images, b.g.constant(Float32Array.of(3), [], 'float32')]);
      const clipped = b.op('Clip', [sum, b.g.constant(Float32Array.of(0), [], 'float32'), six]);
      return b.op('Relu', [b.op('Mul', [b.images, clipped])]);
    },
    /\(Relu\): it reads 6 times a HardSwish/,
  ],
  [
    'means that count padding',
    (b) =>
      b.op('AveragePool', [b.images], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 }),
    /\(AveragePool\): a mean that counts padding/,
  ],
])('refuses %s', (_, build, message) => {
  const { path } = write('refused', build);
  expect(() => readOnnxNetwork(path)).toThrow(message);
});
