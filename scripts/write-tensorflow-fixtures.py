"""Writes test/fixtures/tensorflow/: one small network in every form TensorFlow's own converters give it.

Kernels, an input and the network's output are in expected.json. Run in an environment of its own:

    pip install tensorflow==2.21.0 tf_keras==2.21.0
    pip install --no-deps tensorflowjs==4.22.0 tensorflow_hub==0.16.1 importlib_resources 'setuptools<80'
    python scripts/write-tensorflow-fixtures.py
    npm install --prefix /tmp/tfjs @tensorflow/tfjs@4.22.0 && node scripts/write-tfjs-fixtures.mjs /tmp/tfjs
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from unittest import mock

os.environ["TF_USE_LEGACY_KERAS"] = "1"
# tensorflowjs imports these for conversions that are not wanted here
for unused in ["tensorflow_decision_forests", "jax", "jax.experimental", "jax.experimental.jax2tf", "flax"]:
    sys.modules[unused] = mock.MagicMock()

import numpy as np

np.object, np.bool = object, bool  # names that tensorflowjs still uses
import tensorflow as tf
import tf_keras as keras
from tensorflowjs.converters import keras_h5_conversion, tf_saved_model_conversion_v2
from tensorflowjs.quantization import QUANTIZATION_DTYPE_FLOAT16 as F16
from tensorflowjs.quantization import QUANTIZATION_DTYPE_UINT8 as U8
from tensorflowjs.quantization import QUANTIZATION_DTYPE_UINT16 as U16

OUT = Path(__file__).parent.parent / "test" / "fixtures" / "tensorflow"
random = np.random.default_rng(7)
L = keras.layers

inner = keras.Sequential(
    [
        keras.Input((9, 8, 3)),
        L.Conv2D(4, (3, 2), activation="relu", name="conv"),
        L.DepthwiseConv2D((3, 3), depth_multiplier=2, activation="relu", name="depthwise"),
    ],
    name="inner",
)
net = keras.Sequential(
    [
        keras.Input((9, 8, 3)),
        inner,
        L.SeparableConv2D(5, (2, 3), use_bias=False, name="separable"),
        L.Conv2DTranspose(3, (3, 2), strides=2, use_bias=False, name="transposed"),
    ],
    name="net",
)
for variable in net.trainable_variables:
    if "bias" in variable.name:
        variable.assign(np.full(variable.shape, 0.1))
    else:
        variable.assign(random.normal(size=variable.shape) * 0.5)

# weights of fewer than 1,024 numbers are not quantised unless activations are
wide = keras.Sequential([keras.Input((9, 8, 3)), L.Conv2D(60, (3, 6), use_bias=False, name="wide")])
wide.layers[0].kernel.assign(random.normal(size=wide.layers[0].kernel.shape))

image = random.normal(size=(1, 9, 8, 3)).astype(np.float32)


def stored(array):
    return {"shape": list(array.shape), "data": [float(str(x)) for x in np.float32(array).ravel()]}


def kernel(name, order):
    variables = net.trainable_variables + wide.trainable_variables
    [value] = [v.numpy() for v in variables if name in v.name]
    value = value.transpose(order)
    if "depthwise_kernel" in name:  # [in, multiplier, h, w]
        value = value.reshape(-1, 1, *value.shape[2:])
    return stored(value)


expected = {
    "comment": "kernels are [out, in, h, w]; input and output [h, w, channels]",
    "input": stored(image[0]),
    "output": stored(net(image).numpy()[0]),
    "kernels": {
        "conv": kernel("conv/kernel", [3, 2, 0, 1]),
        "depthwise": kernel("depthwise/depthwise_kernel", [2, 3, 0, 1]),
        "separable/depthwise": kernel("separable/depthwise_kernel", [2, 3, 0, 1]),
        "separable/pointwise": kernel("separable/pointwise_kernel", [3, 2, 0, 1]),
        "transposed": kernel("transposed/kernel", [2, 3, 0, 1]),
        "wide": kernel("wide/kernel", [3, 2, 0, 1]),
    },
}

shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir(parents=True)
(OUT / "expected.json").write_text(json.dumps(expected) + "\n")

work = Path(tempfile.mkdtemp())
saved, saved_wide, h5 = str(work / "saved"), str(work / "wide"), str(work / "net.h5")
tf.saved_model.save(net, saved)
tf.saved_model.save(wide, saved_wide)
net.save(h5)

# TensorFlow.js
QUANTISED = {"float32": None, "uint8": {U8: "*"}, "uint16": {U16: "*"}, "float16": {F16: "*"}}
for name, quantised in QUANTISED.items():
    topology, groups = keras_h5_conversion.h5_merged_saved_model_to_tfjs_format(h5)
    folder = str(OUT / f"layers-{name}")
    os.mkdir(folder)
    keras_h5_conversion.write_artifacts(topology, groups, folder, quantised)
    folder = str(OUT / f"graph-{name}")
    shard = 512 if name == "float32" else 1 << 22  # weights that span two shards
    tf_saved_model_conversion_v2.convert_tf_saved_model(
        saved, folder, quantization_dtype_map=quantised, weight_shard_size_bytes=shard
    )


# TensorFlow Lite
def tflite(name, model=saved, **options):
    converter = tf.lite.TFLiteConverter.from_saved_model(model)
    for option, value in options.items():
        if option == "float16":
            converter.target_spec.supported_types = [tf.float16]
        else:
            setattr(converter, option, value)
    (OUT / f"{name}.tflite").write_bytes(converter.convert())


def samples():
    for _ in range(20):
        yield [random.normal(size=image.shape).astype(np.float32)]


small = [tf.lite.Optimize.DEFAULT]
tflite("float32")
tflite("float16", optimizations=small, float16=True)
tflite("dynamic", saved_wide, optimizations=small)
tflite("int8", optimizations=small, representative_dataset=samples)
tflite(
    "per-tensor",
    optimizations=small,
    representative_dataset=samples,
    _experimental_disable_per_channel=True,
)

interpreter = tf.lite.Interpreter(str(OUT / "float32.tflite"))
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
interpreter.invoke()
output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
assert np.allclose(output, net(image).numpy(), atol=1e-5), "TensorFlow Lite computes something else"
shutil.rmtree(work)
