// --fold-bn in graphs: FusedBatchNorm of TensorFlow.js graph models, MUL and ADD of TensorFlow Lite.
import { expect, test } from 'vitest';
import { tfjs } from '../../src/importers/tfjs.js';
import { tflite } from '../../src/importers/tflite.js';
import { loadBytes } from './loaded.js';
import { ramp } from './write-models.js';
import { bytesOf, type TestOperator, type TestTensor, writeTflite } from './write-tflite.js';

const [ADD, CONV, DEPTHWISE, MAX_POOL, MUL, RELU, BATCH_TO_SPACE, SUB] = [0, 3, 4, 17, 18, 19, 37, 41];
const [FACTORS, SHIFT, KERNEL, IMAGE] = [0, 1, 2, 3];
const factors = Float32Array.of(2, -3, 0.5);

/** Tensors 0 to 3 are the factors, a shift, the kernels and the image; those from 4 are computed. */
const lite = (operators: TestOperator[], { kernel = [3, 2, 2, 1], shape = [3], outputs = [7] } = {}) => {
  const tensors: TestTensor[] = [
    { name: 'factors', shape, data: bytesOf(factors) },
    { name: 'shift', shape: [3], data: bytesOf(Float32Array.of(9, 9, 9)) },
    { name: 'kernels', shape: kernel, data: bytesOf(ramp(kernel)) },
    { name: 'image', shape: [1, 8, 8, kernel[3]] },
    ...[4, 5, 6, 7].map((i) => ({ name: `t${i}`, shape: [1, 8, 8, 3] })),
  ];
  const bytes = writeTflite([{ tensors, operators, outputs }]);
  const read = (foldBatchNorm: boolean) => loadBytes(tflite, bytes, 'm.tflite', { foldBatchNorm });
  return Promise.all([read(true), read(false)]);
};

const op = (code: number, inputs: number[], output: number, activation?: [number, number]): TestOperator => ({
  ...{ code, inputs, outputs: [output] },
  ...(activation && { activation }),
});

const scaled = (data: Float32Array, by: ArrayLike<number>) =>
  data.map((x, i) => x * by[Math.floor((i * by.length) / data.length)]);

test.each<[string, TestOperator[], { kernel?: number[]; shape?: number[] }]>([
  ['MUL and ADD', [op(CONV, [3, 2], 4), op(MUL, [4, 0], 5), op(ADD, [5, 1], 6)], {}],
  [
    'the constant first, SUB, [1, 1, 1, c]',
    [op(CONV, [3, 2], 4), op(MUL, [0, 4], 5), op(SUB, [5, 1], 6)],
    { shape: [1, 1, 1, 3] },
  ],
  ['an activation of the MUL', [op(CONV, [3, 2], 4), op(MUL, [4, 0], 5, [0, 1])], {}],
  [
    'a bias and the end of a dilated convolution between',
    [op(CONV, [3, 2], 4), op(BATCH_TO_SPACE, [4], 5), op(ADD, [5, 1], 6), op(MUL, [6, 0], 7)],
    {},
  ],
  ['depthwise', [op(DEPTHWISE, [3, 2], 4), op(MUL, [4, 0], 5), op(ADD, [5, 1], 6)], { kernel: [1, 2, 2, 3] }],
])('TensorFlow Lite: %s', async (_, operators, options) => {
  const [folded, raw] = await lite(operators, options);
  expect(folded.batchNorms).toEqual({ folded: 1, notFolded: [] });
  expect(folded.layers[0].data).toEqual(scaled(raw.layers[0].data, factors));
  expect(raw.batchNorms).toBeUndefined();
});

test.each<[string, TestOperator[], number[]?]>([
  [
    'the convolution before it has an activation',
    [op(CONV, [3, 2], 4, [3, 1]), op(MUL, [4, 0], 5), op(ADD, [5, 1], 6)],
  ],
  [
    'what it follows is read elsewhere too',
    [op(CONV, [3, 2], 4), op(MUL, [4, 0], 5), op(ADD, [5, 1], 6), op(RELU, [4], 7)],
  ],
  [
    'what it follows is read elsewhere too',
    [op(CONV, [3, 2], 4), op(MUL, [4, 0], 5), op(ADD, [5, 1], 6)],
    [4, 6],
  ],
  [
    'it follows MAX_POOL_2D, no convolution',
    [op(CONV, [3, 2], 4), op(MAX_POOL, [4], 5), op(MUL, [5, 0], 6), op(ADD, [6, 1], 7)],
  ],
  [
    'it follows an input of the graph, no convolution',
    [op(MUL, [3, 0], 5), op(ADD, [5, 1], 6), op(CONV, [6, 2], 7)],
  ],
  [
    'the convolution before it shares its weights with another',
    [op(CONV, [3, 2], 4), op(MUL, [4, 0], 5), op(ADD, [5, 1], 6), op(CONV, [6, 2], 7)],
  ],
])('TensorFlow Lite: not folded, %s', async (reason, operators, outputs) => {
  const [folded, raw] = await lite(operators, { outputs });
  expect(folded.batchNorms).toEqual({
    folded: 0,
    notFolded: [
      { batchNorm: 't'.concat(String(operators.find(({ code }) => code === MUL)?.outputs[0])), reason },
    ],
  });
  expect(folded.layers[0].data).toEqual(raw.layers[0].data);
});

test('TensorFlow Lite: a MUL by a computed gate, or of no convolution, is no batch norm', async () => {
  const gates = await lite([op(CONV, [IMAGE, KERNEL], 4), op(MUL, [4, 3], 5)]);
  const pooled = await lite([
    op(CONV, [IMAGE, KERNEL], 4),
    op(RELU, [4], 5),
    op(MUL, [5, FACTORS], 6),
    op(RELU, [6, SHIFT], 7),
  ]);
  for (const [folded] of [gates, pooled]) expect(folded.batchNorms).toEqual({ folded: 0, notFolded: [] });
});

interface Node {
  name: string;
  op: string;
  input: string[];
  attr?: object;
}
const node = (name: string, op: string, input: string[] = [], attr?: object): Node => ({
  name,
  op,
  input,
  attr,
});
const conv = node('conv', 'Conv2D', ['x', 'k']);
const norm = (input = 'conv', attr: object = { epsilon: { f: 0.25 }, is_training: { b: false } }) =>
  node('bn', 'FusedBatchNormV3', [input, 'gamma', 'beta', 'mean', 'variance'], attr);

const graph = (nodes: Node[], kernel = [2, 2, 1, 3]) => {
  const values: [string, number[], Float32Array][] = [
    ['k', kernel, ramp(kernel)],
    ['gamma', [3], Float32Array.of(2, 4, -6)],
    ['beta', [3], Float32Array.of(1, 1, 1)],
    ['mean', [3], Float32Array.of(1, 1, 1)],
    ['variance', [3], Float32Array.of(3.75, 15.75, 3.75)],
  ];
  const constants = values.map(([name]) => node(name, 'Const'));
  const json = {
    modelTopology: { node: [node('x', 'Placeholder'), ...constants, ...nodes] },
    weightsManifest: [
      { paths: ['w'], weights: values.map(([name, shape]) => ({ name, shape, dtype: 'float32' })) },
    ],
  };
  const w = bytesOf(Float32Array.from(values.flatMap(([, , data]) => [...data])));
  const read = (foldBatchNorm: boolean) =>
    loadBytes(tfjs, new TextEncoder().encode(JSON.stringify(json)), 'model.json', { foldBatchNorm }, { w });
  return Promise.all([read(true), read(false)]);
};

const fused = (...names: string[]) => ({ fused_ops: { list: { s: names.map((name) => btoa(name)) } } });

test.each<[string, Node[], number[]?]>([
  ['right after it', [conv, norm()]],
  [
    'after a bias and an Identity',
    [conv, node('b', 'BiasAdd', ['conv', 'beta']), node('i', 'Identity', ['b']), norm('i')],
  ],
  ['after a fused bias', [node('conv', '_FusedConv2D', ['x', 'k', 'beta'], fused('BiasAdd')), norm()]],
  ['depthwise', [node('conv', 'DepthwiseConv2dNative', ['x', 'k']), norm()], [2, 2, 3, 1]],
])('TensorFlow.js graphs: γ / √(σ² + ε), ε of the node, %s', async (_, nodes, kernel) => {
  const [folded, raw] = await graph(nodes, kernel);
  expect(folded.batchNorms).toEqual({ folded: 1, notFolded: [] });
  expect(folded.layers[0].data).toEqual(scaled(raw.layers[0].data, [1, 1, -3]));
});

test('TensorFlow.js graphs: without ε the default, with a note; a Mul by a constant for each channel', async () => {
  const [assumed, raw] = await graph([conv, norm('conv', {})]);
  expect(assumed.notes).toEqual([
    'the file does not give ε of its batch normalisation: 0.001 is taken, the default',
  ]);
  const by = [2 / Math.sqrt(3.751), 4 / Math.sqrt(15.751), -6 / Math.sqrt(3.751)];
  expect(assumed.layers[0].data).toEqual(scaled(raw.layers[0].data, by));
  const [multiplied] = await graph([
    conv,
    node('m', 'Mul', ['conv', 'gamma']),
    node('a', 'AddV2', ['m', 'beta']),
  ]);
  expect(multiplied.layers[0].data).toEqual(scaled(raw.layers[0].data, [2, 4, -6]));
});

test.each<[string, Node[]]>([
  [
    'the convolution before it has an activation',
    [node('conv', 'FusedConv2D', ['x', 'k', 'beta'], fused('BiasAdd', 'Relu')), norm()],
  ],
  ['what it follows is read elsewhere too', [conv, norm(), node('r', 'Relu', ['conv'])]],
  ['it follows Relu, no convolution', [conv, node('r', 'Relu', ['conv']), norm('r')]],
  ['it takes the statistics of each batch (is_training)', [conv, norm('conv', { is_training: { b: true } })]],
  [
    'its γ or its variance is not constant',
    [conv, node('bn', 'FusedBatchNorm', ['conv', 'x', 'beta', 'mean', 'x'])],
  ],
  [
    'the convolution before it shares its weights with another',
    [conv, norm(), node('second', 'Conv2D', ['bn', 'k'])],
  ],
])('TensorFlow.js graphs: not folded, %s', async (reason, nodes) => {
  const [folded, raw] = await graph(nodes);
  expect(folded.batchNorms).toEqual({ folded: 0, notFolded: [{ batchNorm: 'bn', reason }] });
  expect(folded.layers[0].data).toEqual(raw.layers[0].data);
});

test('a file without a 2-D convolution: its largest tensors, and what to do', async () => {
  const [{ advice }] = await graph([node('conv', 'Conv3D', ['x', 'k'])]);
  expect(advice).toMatch(
    /^the file holds 5 tensors, the largest: "k" \[2,2,1,3\], .*; none is the weights of a 2-D/,
  );
  const [computed] = await lite([op(CONV, [IMAGE, 5], 4), op(MUL, [KERNEL, KERNEL], 5)]);
  expect(computed.skipped).toEqual([{ layer: 't4', reason: 'its weights are computed ("MUL")' }]);
  expect(computed.advice).toMatch(
    /^the file holds 3 tensors: "kernels" \[3,2,2,1\], .*; convert the model again/,
  );
});
