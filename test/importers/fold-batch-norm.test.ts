// --fold-bn without an ONNX graph: by connections of Keras, by names of state dicts; what is not certain stays.
import { describe, expect, test } from 'vitest';
import { foldNamedBatchNorms } from '../../src/importers/fold-state-dict.js';
import { kerasHdf5 } from '../../src/importers/keras-hdf5.js';
import { pairByName } from '../../src/importers/pair-by-name.js';
import { convolutionsOf } from '../../src/importers/state-dict.js';
import { tfjs } from '../../src/importers/tfjs.js';
import { loadBytes } from './loaded.js';
import { hdf5File, ramp, writeWeight } from './write-models.js';

/** `c NAME out in` and `n NAME channels`, in the order of the file. */
const paired = (list: string[], ordered = true) => {
  const parts = list.map((line) => {
    const [kind, name, channels, inputs] = line.split(' ');
    return {
      ...{ name, channels: Number(channels), inputs: Number(inputs) },
      kind: kind === 'c' ? ('conv' as const) : ('norm' as const),
    };
  });
  return pairByName(parts, ordered).pairs.map(({ conv, norm }) => `${conv.name} ${norm.name}`);
};

describe('pairs by name', () => {
  test.each([
    ['ResNet', ['c conv1 4 3', 'n bn1 4', 'c conv2 4 4', 'n bn2 4'], ['conv1 bn1', 'conv2 bn2']],
    [
      'all convolutions first',
      ['c conv1 4 3', 'c conv2 4 4', 'n bn1 4', 'n bn2 4'],
      ['conv1 bn1', 'conv2 bn2'],
    ],
    [
      'lists',
      ['c convs.0 4 3', 'c convs.1 4 4', 'n bns.0 4', 'n bns.1 4'],
      ['convs.0 bns.0', 'convs.1 bns.1'],
    ],
    ['a sequence', ['c f.0 4 3', 'n f.1 4', 'c f.3 4 4', 'n f.4 4'], ['f.0 f.1', 'f.3 f.4']],
    ['a short cut', ['c l.downsample.0 8 4', 'n l.downsample.1 8'], ['l.downsample.0 l.downsample.1']],
    ['modules', ['c a.convolution 4 3', 'n a.normalization 4'], ['a.convolution a.normalization']],
    [
      'EfficientNet of Keras',
      ['c b_dwconv 4 1', 'n b_bn 4', 'c b_project_conv 2 4', 'n b_project_bn 2'],
      ['b_dwconv b_bn', 'b_project_conv b_project_bn'],
    ],
    ['ResNet of Caffe', ['c res2a_branch2a 4 3', 'n bn2a_branch2a 4'], ['res2a_branch2a bn2a_branch2a']],
    [
      'MobileNet of timm',
      ['c b.conv_pw 8 4', 'n b.bn1 8', 'c b.conv_dw 8 1', 'n b.bn2 8', 'c b.conv_pwl 4 8', 'n b.bn3 4'],
      ['b.conv_pw b.bn1', 'b.conv_dw b.bn2', 'b.conv_pwl b.bn3'],
    ],
    [
      'by order',
      ['c _expand_conv 8 4', 'n _bn0 8', 'c _depthwise_conv 8 1', 'n _bn1 8', 'c _se_reduce 2 8'],
      ['_expand_conv _bn0', '_depthwise_conv _bn1'],
    ],
    ['Flax', ['c Conv_0 4 3', 'n BatchNorm_0 4'], ['Conv_0 BatchNorm_0']],
  ])('%s', (_, parts, pairs) => {
    expect(paired(parts)).toEqual(pairs);
  });

  test('sorted names do', () => {
    expect(paired(['n bn1 4', 'n bn2 4', 'c conv1 4 3', 'c conv2 4 4'], false)).toEqual([
      'conv1 bn1',
      'conv2 bn2',
    ]);
    expect(paired(['n b.bn1 8', 'n b.bn2 4', 'c b.conv_dw 8 1', 'c b.conv_pw 4 8'], false)).toEqual([
      'b.conv_dw b.bn1',
      'b.conv_pw b.bn2',
    ]);
  });

  test.each([
    ['before the convolution', ['n bn1 4', 'c conv1 4 4', 'n bn2 4', 'c conv2 4 4'], true],
    ['before it, by the channels', ['n b.bn1 4', 'c b.conv1 8 4', 'n c.bn1 8', 'c c.conv1 8 8'], false],
    ['a transition of a DenseNet', ['n t.norm 8', 'c t.conv 4 8'], true],
    ['an activation between', ['c f.0 4 3', 'n f.2 4'], true],
    ['a sequence that begins with it', ['n f.0 4', 'c f.2 4 4'], true],
    ['other channels', ['c conv1 8 3', 'n bn1 4'], true],
    [
      'blocks between',
      ['c conv1 4 3', 'c layer.conv 4 4', 'n layer.bn 4', 'n bn1 4'].filter((p) => !p.includes('layer.bn')),
      true,
    ],
    ['counted by Keras', ['c conv2d_1 4 3', 'n batch_normalization_1 4'], false],
    ['nothing alike', ['n head 4', 'c stem 4 3'], true],
  ])('none: %s', (_, parts, ordered) => {
    expect(paired(parts, ordered)).toEqual([]);
  });
});

/** γ, σ² whose factor with ε is 6 for the first channel, 7 for the second, … */
const gammas = (n: number) => Float32Array.from({ length: n }, (_, o) => (6 + o) / 2);
const variances = (n: number, epsilon: number) => new Float32Array(n).fill(0.25 - epsilon);

function expectScaled(data: Float32Array, raw: Float32Array, factors: readonly number[]): void {
  const size = raw.length / factors.length;
  for (let i = 0; i < raw.length; i++) {
    const expected = raw[i] * factors[Math.floor(i / size)];
    expect(Math.abs(data[i] - expected)).toBeLessThanOrEqual(1e-6 * Math.abs(expected));
  }
}

describe('named tensors', () => {
  const tensor = (name: string, shape: number[], data = ramp(shape)) => ({
    ...{ name, shape, dtype: 'float32' },
    values: () => data,
  });
  const fold = (tensors: ReturnType<typeof tensor>[], order: 'oihw' | 'hwio' = 'oihw') =>
    foldNamedBatchNorms(convolutionsOf(tensors, { order }), tensors, true);

  test.each([
    ['PyTorch', 'conv1.weight', 'bn1.', ['weight', 'running_mean', 'running_var'], 1e-5, 'oihw'],
    ['TensorFlow', 'c/conv1/kernel', 'c/bn1/', ['gamma', 'moving_mean', 'moving_variance'], 1e-3, 'hwio'],
    ['Chainer', 'conv1/W', 'bn1/', ['gamma', 'avg_mean', 'avg_var'], 2e-5, 'oihw'],
    ['Flax', 'params/Conv_0/kernel', 'BatchNorm_0/', ['scale', 'mean', 'var'], 1e-5, 'hwio'],
  ] as const)('%s', async (_, kernel, prefix, [gamma, mean, variance], epsilon, order) => {
    const flax = gamma === 'scale';
    const shape = order === 'oihw' ? [3, 2, 3, 3] : [3, 3, 2, 3];
    const [own, statistics] = flax ? ['params/', 'batch_stats/'] : ['', ''];
    const kernels = [tensor(kernel, shape)];
    const [raw] = convolutionsOf(kernels, { order }).layers;
    const model = fold(
      [
        ...kernels,
        tensor(`${own}${prefix}${gamma}`, [3], gammas(3)),
        tensor(`${statistics}${prefix}${mean}`, [3]),
        tensor(`${statistics}${prefix}${variance}`, [3], variances(3, epsilon)),
      ],
      order,
    );
    expect(model.batchNorms).toEqual({ folded: 1, notFolded: [] });
    expect(model.notes).toEqual([expect.stringContaining('ε')]);
    expectScaled(await model.layers[0].read(), await raw.read(), [6, 7, 8]);
  });

  test('without γ, and a variance that is not one', async () => {
    const of = (variance: number) => [
      tensor('0.weight', [2, 2, 3, 3]),
      tensor('1.running_mean', [2]),
      tensor('1.running_var', [2], new Float32Array(2).fill(variance)),
    ];
    const { layers } = fold(of(0.25 - 1e-5));
    expectScaled(await layers[0].read(), ramp([2, 2, 3, 3]), [2, 2]);
    await expect(async () => fold(of(-1)).layers[0].read()).rejects.toThrow('the variance -1');
  });

  test('what is left is named', async () => {
    const model = fold([tensor('bn1.running_var', [2]), tensor('conv1.weight', [2, 2, 3, 3])]);
    expect(model.batchNorms).toEqual({
      folded: 0,
      notFolded: [{ batchNorm: 'bn1', reason: expect.stringContaining('before') }],
    });
    expect(await model.layers[0].read()).toEqual(ramp([2, 2, 3, 3]));
  });
});

interface Layer {
  class_name: string;
  config: Record<string, unknown>;
  inbound_nodes?: unknown;
}

const call = (...names: string[]) => [names.map((name) => [name, 0, 0, {}])];
/** As Keras 3 writes a call. */
const call3 = (name: string) => [
  { args: [{ class_name: '__keras_tensor__', config: { keras_history: [name, 0, 0] } }], kwargs: {} },
];
const conv = (config: object = {}, inbound?: unknown): Layer => ({
  ...{ class_name: 'Conv2D', config: { name: 'conv', ...config } },
  ...(inbound !== undefined && { inbound_nodes: inbound }),
});
const norm = (config: object = {}, inbound?: unknown): Layer => ({
  ...{ class_name: 'BatchNormalization', config: { name: 'bn', epsilon: 0.01, ...config } },
  ...(inbound !== undefined && { inbound_nodes: inbound }),
});

/** A file of Keras 3's layout: `conv` [3, 3, 2, 3] and `bn`, whose factors are 6, 7, 8 with ε 0.01. */
async function keras(layers: Layer[], { scale = true, output = '' } = {}) {
  const bytes = await hdf5File((file) => {
    const config = { name: 'net', layers, ...(output && { output_layers: [[output, 0, 0]] }) };
    file.create_attribute(
      'model_config',
      JSON.stringify({ class_name: output ? 'Functional' : 'Sequential', config }),
    );
    writeWeight(file, 'layers/conv2d/vars/0', [3, 3, 2, 3]);
    const vectors = [...(scale ? [gammas(3)] : []), ramp([3]), ramp([3]), variances(3, 0.01)];
    for (const [i, data] of vectors.entries())
      writeWeight(file, `layers/batch_normalization/vars/${i}`, [3], data);
  });
  const read = (foldBatchNorm: boolean) => loadBytes(kerasHdf5, bytes, 'm.h5', { foldBatchNorm });
  const { layers: found, batchNorms } = await read(true);
  return { data: found[0].data, raw: (await read(false)).layers[0].data, batchNorms };
}

describe('Keras', () => {
  test.each([
    ['in a sequence', [conv(), norm()], ''],
    ['behind a dropout', [conv(), { class_name: 'Dropout', config: { name: 'd' } }, norm()], ''],
    ['by connections', [norm({}, call('conv')), conv({}, [])], 'bn'],
    ['by connections of Keras 3', [conv({}, []), norm({}, call3('conv'))], 'bn'],
  ])('%s', async (_, layers, output) => {
    const { data, raw, batchNorms } = await keras(layers, { output });
    expect(batchNorms).toEqual({ folded: 1, notFolded: [] });
    expectScaled(data, raw, [6, 7, 8]);
  });

  test('without γ', async () => {
    const { data, raw } = await keras([conv(), norm({ scale: false })], { scale: false });
    expectScaled(data, raw, [2, 2, 2]);
  });

  test.each([
    ['before the convolution', [norm(), conv()], '', 'reads'],
    [
      'behind an activation of the convolution',
      [conv({ activation: 'relu' }), norm()],
      '',
      'an activation lies between',
    ],
    [
      'behind an activation layer',
      [conv(), { class_name: 'ReLU', config: { name: 'r' } }, norm()],
      '',
      'ReLU',
    ],
    [
      'behind one of two readers',
      [
        conv({}, []),
        norm({}, call('conv')),
        { class_name: 'Add', config: { name: 'a' }, inbound_nodes: call('conv', 'bn') },
      ],
      'a',
      'other layers read',
    ],
    [
      'of a result that is an output, too',
      [conv({}, []), norm({}, call('conv'))],
      'conv',
      'other layers read',
    ],
    ['over another axis', [conv(), norm({ axis: [1] })], '', 'channels'],
  ])('not folded: %s', async (_, layers, output, reason) => {
    const { data, raw, batchNorms } = await keras(layers, { output });
    expect(batchNorms).toEqual({
      folded: 0,
      notFolded: [{ batchNorm: 'bn', reason: expect.stringContaining(reason) }],
    });
    expect(data).toEqual(raw);
  });

  /** A weight file of Keras 2 without a configuration. */
  const weights = async (names: string[], bias: boolean) => {
    const bytes = await hdf5File((file) => {
      file.create_attribute('layer_names', names);
      writeWeight(file, 'a_conv/kernel:0', [3, 3, 2, 3]);
      if (bias) writeWeight(file, 'a_conv/bias:0', [3]);
      writeWeight(file, 'a_bn/gamma:0', [3], gammas(3));
      writeWeight(file, 'a_bn/moving_variance:0', [3], variances(3, 1e-3));
      const list = {
        a_conv: ['kernel:0', ...(bias ? ['bias:0'] : [])],
        a_bn: ['gamma:0', 'moving_variance:0'],
      };
      for (const [name, own] of Object.entries(list)) {
        const group = file.get(name);
        if (group && 'create_attribute' in group) group.create_attribute('weight_names', own);
      }
    });
    return (await loadBytes(kerasHdf5, bytes, 'w.h5', { foldBatchNorm: true })).batchNorms;
  };

  test('weights alone: by names, unless the convolution may have an activation', async () => {
    expect(await weights(['a_conv', 'a_bn'], false)).toEqual({ folded: 1, notFolded: [] });
    expect(await weights(['a_conv', 'a_bn', 'a_relu'], true)).toEqual({ folded: 1, notFolded: [] });
    expect((await weights(['a_conv', 'a_bn'], true))?.folded).toBe(0);
    expect((await weights(['a_bn', 'a_conv'], false))?.folded).toBe(0);
  });
});

/** A model of TensorFlow.js: `conv` and `bn` with the factors 6, 7, 8. */
const tfjsModel = (layers: Layer[] | undefined) => {
  const weights: [string, number[], Float32Array][] = [
    ['conv/kernel', [3, 3, 2, 3], ramp([3, 3, 2, 3])],
    ['bn/gamma', [3], gammas(3)],
    ['bn/moving_variance', [3], variances(3, 0.01)],
  ];
  const manifest = {
    paths: ['w.bin'],
    weights: weights.map(([name, shape]) => ({ name, shape, dtype: 'float32' })),
  };
  const config = { class_name: 'Sequential', config: { name: 'net', layers } };
  const json = { ...(layers && { modelTopology: { model_config: config } }), weightsManifest: [manifest] };
  const data = Float32Array.from(weights.flatMap(([, , values]) => [...values]));
  const read = (foldBatchNorm: boolean) =>
    loadBytes(
      tfjs,
      new TextEncoder().encode(JSON.stringify(json)),
      'model.json',
      { foldBatchNorm },
      {
        'w.bin': new Uint8Array(data.buffer),
      },
    );
  return { folded: read(true), raw: read(false) };
};

test('TensorFlow.js: by connections, and not without them', async () => {
  const { folded, raw } = tfjsModel([conv(), norm()]);
  expect((await folded).batchNorms).toEqual({ folded: 1, notFolded: [] });
  expectScaled((await folded).layers[0].data, (await raw).layers[0].data, [6, 7, 8]);
  for (const layers of [[norm(), conv()], undefined]) {
    const { folded, raw } = tfjsModel(layers);
    expect((await folded).batchNorms).toMatchObject({ folded: 0, notFolded: [{ batchNorm: 'bn' }] });
    expect((await folded).layers[0].data).toEqual((await raw).layers[0].data);
  }
});
