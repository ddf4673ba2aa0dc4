import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { kerasHdf5 } from '../../src/importers/keras-hdf5.js';
import { loadBytes, loadModel } from './loaded.js';
import { hdf5File, ramp, writeWeight } from './write-models.js';

const read = (bytes: Uint8Array) => loadBytes(kerasHdf5, bytes, 'model.h5');
const text = (value: unknown) => JSON.stringify(value);

test('a real weight file (Keras 2.9, trained by others)', async () => {
  const path = fileURLToPath(new URL('../fixtures/websr/model-checkpoint.h5', import.meta.url));
  const { format, producer, layers, skipped } = await loadModel(path);
  expect({ format, producer, skipped }).toEqual({
    format: 'keras-hdf5',
    producer: 'keras 2.9.0',
    skipped: [],
  });
  expect(layers.map(({ name, kind, shape }) => ({ name, kind, shape }))).toEqual([
    { name: 'conv2d', kind: 'conv', shape: [4, 3, 3, 3] },
    { name: 'conv2d_1', kind: 'conv', shape: [4, 8, 3, 3] },
    { name: 'conv2d_2', kind: 'conv', shape: [4, 8, 3, 3] },
    { name: 'conv2d_last', kind: 'conv', shape: [4, 8, 3, 3] },
  ]);
});

/** A whole model as Keras 2 saves it: configuration, weights, optimiser state. */
const wholeModel = () =>
  hdf5File((file) => {
    file.create_attribute(
      'model_config',
      text({
        class_name: 'Sequential',
        config: {
          name: 'net',
          layers: [
            { class_name: 'Conv2D', config: { name: 'first' } },
            { class_name: 'DepthwiseConv2D', config: { name: 'second' } },
            { class_name: 'Conv2DTranspose', config: { name: 'third' } },
          ],
        },
      }),
    );
    writeWeight(file, 'model_weights/first/first/kernel:0', [3, 2, 2, 4]);
    writeWeight(file, 'model_weights/first/first/bias:0', [4]);
    writeWeight(file, 'model_weights/second/second/depthwise_kernel:0', [3, 3, 4, 2]);
    writeWeight(file, 'model_weights/third/third/kernel:0', [2, 2, 5, 4]);
    writeWeight(file, 'model_weights/third/third/orphan:0', [2, 2, 5, 4]);
    writeWeight(file, 'optimizer_weights/Adam/first/kernel/m:0', [3, 2, 2, 4]);
    writeWeight(file, 'optimizer_weights/first/kernel:0', [3, 2, 2, 4]);
    const weights = file.get('model_weights')!;
    if (!('create_attribute' in weights)) throw new Error('no group');
    weights.create_attribute('layer_names', ['first', 'second', 'third']);
    const names = {
      first: ['first/kernel:0', 'first/bias:0'],
      second: ['second/depthwise_kernel:0'],
      third: ['third/kernel:0'],
    };
    for (const [layer, list] of Object.entries(names)) {
      const group = file.get(`model_weights/${layer}`)!;
      if ('create_attribute' in group) group.create_attribute('weight_names', list);
    }
  });

describe('a whole model', () => {
  test('layers by name and class; the optimiser is no layer', async () => {
    const { layers, skipped } = await read(await wholeModel());
    expect(skipped).toEqual([]);
    expect(layers.map(({ name, kind, shape, dtype }) => ({ name, kind, shape, dtype }))).toEqual([
      { name: 'first', kind: 'conv', shape: [4, 2, 3, 2], dtype: 'float32' },
      { name: 'second', kind: 'depthwise', shape: [8, 1, 3, 3], dtype: 'float32' },
      { name: 'third', kind: 'transposed', shape: [5, 4, 2, 2], dtype: 'float32' },
    ]);
  });

  test('[h, w, in, out] becomes [out, in, h, w] with the orientation kept', async () => {
    const { layers } = await read(await wholeModel());
    const at = ([, W, C, O]: number[], h: number, w: number, c: number, o: number) =>
      ((h * W + w) * C + c) * O + o + 1; // ramp's value there
    const [first, second] = layers;
    const shape = [3, 2, 2, 4];
    const slice = (3 * 2 + 1) * 6; // out 3, in 1
    expect([...first.data.subarray(slice, slice + 6)]).toEqual(
      [0, 1, 2].flatMap((h) => [0, 1].map((w) => at(shape, h, w, 1, 3))),
    );
    // depthwise slice of channel 2, multiplier 1
    expect([...second.data.subarray(5 * 9, 6 * 9)]).toEqual(
      [0, 1, 2].flatMap((h) => [0, 1, 2].map((w) => at([3, 3, 4, 2], h, w, 2, 1))),
    );
  });
});

test('Keras 3 weights: layers/<name>/vars, kinds by name, optimiser left out', async () => {
  const bytes = await hdf5File((file) => {
    writeWeight(file, 'layers/conv2d/vars/0', [5, 5, 1, 6]);
    writeWeight(file, 'layers/conv2d/vars/1', [6]);
    writeWeight(file, 'layers/depthwise_conv2d/vars/0', [3, 3, 6, 1]);
    writeWeight(file, 'layers/separable_conv2d/vars/0', [3, 3, 6, 2]);
    writeWeight(file, 'layers/separable_conv2d/vars/1', [1, 1, 12, 4]);
    writeWeight(file, 'layers/dense/vars/0', [10, 10]);
    writeWeight(file, 'layers/conv1d/vars/0', [3, 4, 4]);
    writeWeight(file, 'optimizer/vars/1', [5, 5, 1, 6]);
  });
  const { layers, skipped } = await read(bytes);
  expect(layers.map(({ name, kind, shape }) => `${name} ${kind} ${shape}`)).toEqual([
    'conv2d conv 6,1,5,5',
    'depthwise_conv2d depthwise 6,1,3,3',
    'separable_conv2d/depthwise_kernel depthwise 12,1,3,3',
    'separable_conv2d/pointwise_kernel conv 4,12,1,1',
  ]);
  expect(skipped).toEqual([{ layer: 'conv1d', reason: 'a 1-D convolution' }]);
});

test('values of a compressed float64 dataset', async () => {
  const bytes = await hdf5File((file) => {
    file.create_group('conv').create_dataset({
      name: 'kernel:0',
      data: Float64Array.from(ramp([2, 2, 1, 1])),
      shape: [2, 2, 1, 1],
      chunks: [2, 1, 1, 1],
      compression: 'gzip',
    });
  });
  const { layers } = await read(bytes);
  expect([...layers[0].data]).toEqual([1, 2, 3, 4]);
  expect(layers[0].dtype).toBe('float64');
});

test('no convolutions: nothing found, 4-D weights of unknown layers named', async () => {
  const bytes = await hdf5File((file) => {
    writeWeight(file, 'dense/kernel:0', [10, 10]);
    writeWeight(file, 'attention/table', [2, 2, 2, 2]);
  });
  expect(await read(bytes)).toMatchObject({
    layers: [],
    skipped: [{ layer: 'attention', reason: 'a 4-D weight "table" that no known convolution has' }],
  });
});

test('a dataset that claims more than its file can hold is left out before it is allocated', async () => {
  const bytes = await hdf5File((file) => {
    file.create_group('conv').create_dataset({
      name: 'kernel:0',
      data: ramp([1]),
      shape: [1, 1, 1, 1],
      maxshape: [null, null, null, null],
      chunks: [1, 1, 1, 1],
    });
    const dataset = file.get('conv/kernel:0')!;
    if ('resize' in dataset) dataset.resize([1000, 1000, 100, 10]);
  });
  expect(await read(bytes)).toMatchObject({
    layers: [],
    skipped: [
      { layer: 'conv', reason: 'it claims 1000 · 1000 · 100 · 10 values, more than the file can hold' },
    ],
  });
});

test.each([8, 100, 3000])('cut to %i bytes: an input error that names the file', async (length) => {
  const bytes = await wholeModel();
  await expect(read(bytes.subarray(0, length))).rejects.toThrow(/^model\.h5: not a complete HDF5 file/);
  expect((await read(bytes)).layers).toHaveLength(3); // and the next file is read as ever
});

test('float16, big-endian, with dense attributes', async () => {
  // fixtures/half.h5, by h5py with libver='latest':
  //   f.attrs['layer_names'] = [b'conv'], f['conv'].attrs['weight_names'] = [b'kernel:0'], 12 more attributes
  //   f['conv/kernel:0'] = np.array([1, -2, 65504, 2**-24], '>f2').reshape(2, 2, 1, 1)
  const path = fileURLToPath(new URL('../fixtures/half.h5', import.meta.url));
  const { layers } = await loadModel(path);
  expect(layers).toHaveLength(1);
  expect(layers[0]).toMatchObject({ name: 'conv', dtype: 'float16', shape: [1, 1, 2, 2] });
  expect([...layers[0].data]).toEqual([1, -2, 65504, 2 ** -24]);
});
