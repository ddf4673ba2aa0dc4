"""Writes test/fixtures/keras (gzipped): one small network, trained for one step, in every file format of Keras.

    pip install keras jax h5py tensorflow tf_keras    # Keras 3.15.1, TensorFlow 2.21.0, tf_keras 2.21.0 (Keras 2)
    python scripts/write-keras-fixtures.py

Each version of Keras runs in a process of its own. Files of Keras 1, which no longer installs, are laid out with h5py
as its save_model did. expected.json has each network's kernels as [out, in, h, w] (base64 of float32), and for every
layer an input and what Keras itself computes from it, without the bias.
"""

import base64
import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / 'test' / 'fixtures' / 'keras'
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
os.environ['CUDA_VISIBLE_DEVICES'] = ''


def encoded(array):
    import numpy as np

    array = np.ascontiguousarray(array, '<f4')
    return {'shape': list(array.shape), 'data': base64.b64encode(array.tobytes()).decode()}


def build(keras, prefix):
    """Every kind of convolution, none of them symmetric; models inside the model, one inside the other."""
    layers = keras.layers
    leaf = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, (2, 1), name='leaf')], name='block')
    inside = keras.Input((None, None, 3))
    inner = keras.Model(inside, leaf(layers.Conv2D(3, (1, 3), name='deep')(inside)), name='inner')
    image = keras.Input((9, 8, 4))
    x = layers.Conv2D(6, (3, 2), name='plain')(image)
    x = layers.Conv2D(4, (2, 3), groups=2, name='grouped')(x)
    x = layers.BatchNormalization(name='norm')(x)
    x = layers.DepthwiseConv2D((3, 2), depth_multiplier=2, name='depth')(x)
    x = layers.SeparableConv2D(5, (2, 1), depth_multiplier=2, name='apart')(x)
    x = layers.Conv2DTranspose(3, (3, 2), strides=(2, 1), name=f'{prefix}up')(x)
    x = inner(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(2, name='dense')(x), name='net'), inner, leaf


def describe(net, inner, leaf, prefix):
    """Kernels by the names that are expected of the importer, and each layer's own arithmetic."""
    import numpy as np

    random = np.random.default_rng(7)
    expected, checks = {}, {}

    def put(name, kind, kernel):
        expected[name] = {'kind': kind, **encoded(kernel)}

    def check(name, layer, channels, kernels, **extra):
        x = random.normal(size=(1, 5, 6, channels)).astype('f4')
        y = np.asarray(layer(x))
        if layer.bias is not None:
            y = y - np.asarray(layer.bias)
        checks[name] = {'input': encoded(x[0]), 'output': encoded(y[0]), 'kernels': kernels, **extra}

    def value(variable):
        return np.asarray(variable)

    def dense(name, layer, channels, groups=1):
        put(name, 'conv', value(layer.kernel).transpose(3, 2, 0, 1))
        check(name, layer, channels, [name], groups=groups)

    def depthwise(kernel):
        h, w, channels, multiplier = kernel.shape
        return kernel.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, h, w)

    dense('plain', net.get_layer('plain'), 4)
    dense('grouped', net.get_layer('grouped'), 6, 2)
    layer = net.get_layer('depth')
    kernel = layer.depthwise_kernel if prefix == 'two_' else layer.kernel
    put('depth', 'depthwise', depthwise(value(kernel)))
    check('depth', layer, 4, ['depth'], groups=4)
    layer = net.get_layer('apart')
    put('apart/depthwise_kernel', 'depthwise', depthwise(value(layer.depthwise_kernel)))
    put('apart/pointwise_kernel', 'conv', value(layer.pointwise_kernel).transpose(3, 2, 0, 1))
    check('apart', layer, 8, ['apart/depthwise_kernel', 'apart/pointwise_kernel'], groups=8)
    layer = net.get_layer(f'{prefix}up')
    put(layer.name, 'transposed', value(layer.kernel).transpose(2, 3, 0, 1))
    check(layer.name, layer, 5, [layer.name], strides=[2, 1])
    dense('inner/deep', inner.get_layer('deep'), 3)
    dense('inner/block/leaf', leaf.get_layer('leaf'), 3)
    return {'kernels': expected, 'checks': checks}


def train(keras, prefix, **options):
    import numpy as np

    keras.utils.set_random_seed(3)
    net, inner, leaf = build(keras, prefix)
    random = np.random.default_rng(5)
    net.compile(keras.optimizers.Adam(), 'mse', **options)
    net.fit(random.normal(size=(8, 9, 8, 4)).astype('f4'), random.normal(size=(8, 2)), epochs=1, verbose=0)
    return net, inner, leaf


def keras3(out):
    os.environ['KERAS_BACKEND'] = 'jax'
    import keras

    models = train(keras, 'three_')
    net = models[0]
    net.save(out / 'keras3.keras')
    net.save(out / 'keras3.h5')
    net.save_weights(out / 'keras3.weights.h5')
    (out / 'keras3.json').write_text(json.dumps(describe(*models, 'three_')))
    keras.config.set_dtype_policy('bfloat16')
    small = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Conv2D(3, (3, 2), name='brain')])
    small.save(out / 'bfloat16.keras')
    import numpy as np

    kernel = np.asarray(small.layers[-1].kernel).astype('f4').transpose(3, 2, 0, 1)
    (out / 'bfloat16.json').write_text(json.dumps({'kernels': {'brain': {'kind': 'conv', **encoded(kernel)}}}))


def keras2(out):
    import tf_keras as keras

    models = train(keras, 'two_', jit_compile=True)
    net = models[0]
    net.save(out / 'keras2.h5')
    net.save(out / 'keras2.keras')
    net.save_weights(out / 'keras2-weights.hdf5')
    net.save_weights(out / 'keras2.weights.h5')
    (out / 'keras2.json').write_text(json.dumps(describe(*models, 'two_')))


def copy_rewritten(source, target, dtype=None, libver=None, **storage):
    """The same file with its datasets stored in another way."""
    import h5py

    def copy(group, other):
        for name, value in group.attrs.items():
            other.attrs[name] = value
        for name, item in group.items():
            if isinstance(item, h5py.Group):
                copy(item, other.create_group(name))
                continue
            data = item[()]
            if dtype and item.dtype.kind == 'f':
                data = data.astype(dtype)
            options = storage if data.ndim else {}
            other.create_dataset(name, data=data, **options)

    with h5py.File(source) as before, h5py.File(target, 'w', libver=libver) as after:
        copy(before['model_weights'], after)


def variants(out):
    import numpy as np

    source = out / 'keras3.h5'
    packed = {'chunks': True, 'compression': 'gzip', 'shuffle': True}
    copy_rewritten(source, out / 'gzip.h5', fletcher32=True, **packed)
    copy_rewritten(source, out / 'big-endian.h5', '>f4')
    copy_rewritten(source, out / 'float64.h5', '>f8', chunks=True)
    copy_rewritten(source, out / 'half.h5', '<f2', **packed)
    copy_rewritten(source, out / 'latest.h5', libver='latest', **packed)
    three = json.loads((out / 'keras3.json').read_text())
    for kernel in three['kernels'].values():
        values = np.frombuffer(base64.b64decode(kernel['data']), '<f4').reshape(kernel['shape'])
        kernel.update(encoded(values.astype('f2')))
    (out / 'half.json').write_text(json.dumps({'kernels': three['kernels']}))


def keras1(out):
    """What save_model of Keras 1.2.2 wrote: weights called <layer>_W, the ordering in the configuration only."""
    import h5py
    import numpy as np

    for ordering in 'th', 'tf':
        random = np.random.default_rng(11)
        kernel = random.normal(size=(4, 3, 3, 2)).astype('f4')  # [out, in, h, w], for correlation
        up = random.normal(size=(2, 4, 2, 3)).astype('f4')
        config = {'nb_filter': 4, 'nb_row': 3, 'nb_col': 2, 'dim_ordering': ordering}
        layers = [
            {'class_name': 'Convolution2D', 'config': {'name': 'convolution2d_1', **config}},
            {'class_name': 'Deconvolution2D', 'config': {'name': 'up_1', 'dim_ordering': ordering}},
            {'class_name': 'Dense', 'config': {'name': 'dense_1'}},
        ]
        if ordering == 'th':  # Theano computed true convolutions
            stored = [kernel[:, :, ::-1, ::-1], up[:, :, ::-1, ::-1]]
        else:
            stored = [kernel.transpose(2, 3, 1, 0), up.transpose(2, 3, 1, 0)]
        with h5py.File(out / f'keras1-{ordering}.h5', 'w') as file:
            file.attrs['keras_version'] = b'1.2.2'
            file.attrs['model_config'] = json.dumps({'class_name': 'Sequential', 'config': layers}).encode()
            weights = file.create_group('model_weights')
            weights.attrs['layer_names'] = [layer['config']['name'].encode() for layer in layers]
            for layer, value in zip(layers, stored + [np.zeros((5, 2), 'f4')]):
                name = layer['config']['name']
                group = weights.create_group(name)
                group.attrs['weight_names'] = [f'{name}_W'.encode(), f'{name}_b'.encode()]
                group.create_dataset(f'{name}_W', data=np.ascontiguousarray(value))
                outputs = {'convolution2d_1': 4, 'up_1': 2, 'dense_1': 2}[name]
                group.create_dataset(f'{name}_b', data=np.zeros(outputs, 'f4'))
            slots = file.create_group('optimizer_weights')
            slots.attrs['weight_names'] = [b'convolution2d_1_W_m']
            slots.create_dataset('convolution2d_1_W_m', data=np.ascontiguousarray(stored[0]))
        kernels = {
            'convolution2d_1': {'kind': 'conv', **encoded(kernel)},
            'up_1': {'kind': 'transposed', **encoded(up)},
        }
        (out / f'keras1-{ordering}.json').write_text(json.dumps({'kernels': kernels}))


NETWORKS = {
    'keras3': ['keras3.keras', 'keras3.h5', 'keras3.weights.h5', 'gzip.h5', 'big-endian.h5', 'float64.h5', 'latest.h5'],
    'keras2': ['keras2.keras', 'keras2.h5', 'keras2-weights.hdf5', 'keras2.weights.h5'],
    'half': ['half.h5'],
    'bfloat16': ['bfloat16.keras'],
    'keras1-th': ['keras1-th.h5'],
    'keras1-tf': ['keras1-tf.h5'],
}


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for step in 'keras3', 'keras2', 'variants', 'keras1':
            subprocess.run([sys.executable, __file__, step, folder], check=True)
        OUT.mkdir(parents=True, exist_ok=True)
        expected = []
        for network, files in NETWORKS.items():
            for file in files:
                packed = gzip.compress((work / file).read_bytes(), 9, mtime=0)  # HDF5 is mostly zeros
                (OUT / f'{file}.gz').write_bytes(packed)
            expected.append({'files': files, **json.loads((work / f'{network}.json').read_text())})
        (OUT / 'expected.json').write_text(json.dumps(expected) + '\n')


if __name__ == '__main__':
    if len(sys.argv) > 1:
        globals()[sys.argv[1]](Path(sys.argv[2]))
    else:
        main()
