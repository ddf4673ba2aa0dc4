// Names that Keras and its libraries give to one kernel, and second copies of it.
import { expect, test } from 'vitest';
import { kerasHdf5 } from '../../src/importers/keras-hdf5.js';
import { plainName, roleOf } from '../../src/importers/keras-variables.js';
import { loadBytes } from './loaded.js';
import { hdf5File, ramp, writeWeight } from './write-models.js';

const read = (bytes: Uint8Array) => loadBytes(kerasHdf5, bytes, 'model.h5');

/** A weight file of Keras 2: datasets by layer, named as the attribute weight_names says. */
const weightFile = (layers: Record<string, Record<string, number[]>>) =>
  hdf5File((file) => {
    file.create_attribute('layer_names', Object.keys(layers));
    for (const [layer, weights] of Object.entries(layers)) {
      for (const [name, shape] of Object.entries(weights)) writeWeight(file, `${layer}/${name}`, shape);
      const group = file.get(layer);
      if (group && 'create_attribute' in group) group.create_attribute('weight_names', Object.keys(weights));
    }
  });

test.each([
  ['kernel:0', 'conv', 'kernel'],
  ['kernel_1:0', 'conv', 'kernel'],
  ['conv_W', 'conv', 'W'],
  ['block1_conv1_W_1:0', 'block1_conv1', 'W'],
  ['block1_conv1_b_1:0', 'block1_conv1', 'b'],
  ['convolution2d_1_W', 'convolution2d_1', 'W'],
  ['depthwise_kernel_3:0', 'conv', 'depthwise_kernel'],
  ['moving_variance_12:0', 'bn', 'moving_variance'],
  ['bn_conv1_running_std_1:0', 'bn_conv1', 'running_std'],
  ['bn2a_branch2a_gamma:0', 'bn2a_branch2a', 'gamma'],
  ['kernel_posterior_loc:0', 'conv', 'kernel_posterior_loc'],
  ['param_0', 'conv', 'W'],
])('%s of the layer %s is called %s', (variable, layer, plain) => {
  expect(plainName(variable, layer)).toBe(plain);
});

test.each([
  ['kernel', 'kernel'],
  ['kernel_posterior_loc', 'kernel'],
  ['mu_kernel', 'kernel'],
  ['W_mu', 'W'],
  ['kernel_posterior_untransformed_scale', undefined],
  ['kernel_prior_loc', undefined],
  ['bias_posterior_loc', undefined],
  ['attention_kernel', undefined],
])('the role of %s is %s', (variable, role) => {
  expect(roleOf(variable)).toBe(role);
});

test('numbers that make names unique, of Keras 1 as of Keras 2', async () => {
  const { layers, skipped } = await read(
    await weightFile({
      block1_conv1: { 'block1_conv1_W_1:0': [3, 3, 3, 8], 'block1_conv1_b_1:0': [8] },
      other: { 'other/kernel_1:0': [3, 3, 8, 4], 'other/bias_1:0': [4] },
      turned: { turned_W_2: [5, 2, 3, 3], turned_b_2: [5] }, // Theano's order, told by the bias
    }),
  );
  expect(skipped).toEqual([]);
  expect(layers.map(({ name, kind, shape }) => [name, kind, ...shape])).toEqual([
    ['block1_conv1', 'conv', 8, 3, 3, 3],
    ['other', 'conv', 4, 8, 3, 3],
    ['turned', 'conv', 5, 2, 3, 3],
  ]);
});

test('two kernels of one layer are two layers', async () => {
  const { layers } = await read(
    await weightFile({ pair: { 'pair/kernel_1:0': [3, 3, 2, 4], 'pair/kernel_2:0': [5, 5, 4, 4] } }),
  );
  expect(layers.map(({ name, shape }) => [name, ...shape])).toEqual([
    ['pair/kernel', 4, 2, 3, 3],
    ['pair/kernel_2', 4, 4, 5, 5],
  ]);
});

test('of variational layers the means', async () => {
  const { layers, skipped } = await read(
    await weightFile({
      conv2d_flipout: {
        'conv2d_flipout/kernel_posterior_loc:0': [3, 3, 2, 4],
        'conv2d_flipout/kernel_posterior_untransformed_scale:0': [3, 3, 2, 4],
        'conv2d_flipout/bias_posterior_loc:0': [4],
      },
    }),
  );
  expect(layers.map(({ name, shape }) => [name, ...shape])).toEqual([['conv2d_flipout', 4, 2, 3, 3]]);
  expect(skipped.map(({ reason }) => reason)).toEqual([
    'the spread of variational weights around their means, no kernels',
  ]);
});

/** Keras 3's layout: a wrapper `sn` around a convolution, with a tensor of the convolution's shape. */
const wrapper = (config: boolean, own: Float32Array) =>
  hdf5File((file) => {
    const inner = { class_name: 'Conv2D', config: { name: 'conv' } };
    const outer = { class_name: 'SpectralNormalization', config: { name: 'sn', layer: inner } };
    if (config)
      file.create_attribute(
        'model_config',
        JSON.stringify({ class_name: 'Sequential', config: { name: 'net', layers: [outer] } }),
      );
    writeWeight(file, 'layers/spectral_normalization/layer/vars/0', [3, 3, 2, 4]);
    writeWeight(file, 'layers/spectral_normalization/layer/vars/1', [4]);
    writeWeight(file, 'layers/spectral_normalization/vars/0', [3, 3, 2, 4], own);
    writeWeight(file, 'layers/spectral_normalization/vars/1', [1, 4]);
  });
const shape = [3, 3, 2, 4];

test.each([true, false])('a copy that a wrapper keeps is no layer (configuration: %s)', async (config) => {
  const { layers, skipped } = await read(await wrapper(config, ramp(shape)));
  expect(layers.map(({ shape }) => shape)).toEqual([[4, 2, 3, 3]]);
  if (config) expect(skipped).toEqual([{ layer: 'sn', reason: expect.stringContaining('sn/conv') }]);
  else expect(skipped).toHaveLength(1);
});

test('a file of other layers says what it holds and what to do', async () => {
  const { layers, advice } = await read(await weightFile({ dense: { 'dense/kernel:0': [64, 10] } }));
  expect(layers).toEqual([]);
  expect(advice).toMatch(/dense\/kernel \[64,10\].*ONNX/);
});
