"""Writes test/fixtures/same-network: one network, its weights known by a formula, by the library of every format.

usage: write-same-network.py onnx|torch|keras|tensorflow   (whichever of the libraries is installed; once for each)

  onnx:        onnx
  torch:       torch safetensors numpy
  keras:       keras (3) with TensorFlow
  tensorflow:  tensorflow tf_keras tensorflowjs
"""

import os
import sys
import tempfile

import numpy as np

FOLDER = os.path.join(os.path.dirname(__file__), "..", "test", "fixtures", "same-network")
os.makedirs(FOLDER, exist_ok=True)


def at(name):
    return os.path.join(FOLDER, name)


def weights(shape, start):
    """Multiples of 1/128 in [-1, 1): exact in every float type. test/importers/same-network.test.ts has it too."""
    i = np.arange(np.prod(shape)) + start
    return (((i * 37 + 11) % 255 - 127) / 128).astype(np.float32).reshape(shape)


# [out, in of a group, h, w]: 3 -> 4 channels, 4 groups, 4 -> 5 channels transposed
CONV = weights((4, 3, 3, 2), 0)
DEPTHWISE = weights((4, 1, 3, 3), 1000)
TRANSPOSED = weights((5, 4, 2, 3), 2000)


def write_onnx():
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Conv", ["x", "a"], ["p"], name="conv"),
        helper.make_node("Conv", ["p", "b"], ["q"], name="depthwise", group=4),
        helper.make_node("ConvTranspose", ["q", "c"], ["y"], name="transposed"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 9, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5, "h", "w"])],
        [
            numpy_helper.from_array(CONV, "a"),
            numpy_helper.from_array(DEPTHWISE, "b"),
            numpy_helper.from_array(np.ascontiguousarray(TRANSPOSED.transpose(1, 0, 2, 3)), "c"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, at("net.onnx"))


def write_torch():
    import torch
    from safetensors.torch import save_file

    net = torch.nn.Sequential()
    net.add_module("conv", torch.nn.Conv2d(3, 4, (3, 2)))
    net.add_module("depthwise", torch.nn.Conv2d(4, 4, 3, groups=4))
    net.add_module("transposed", torch.nn.ConvTranspose2d(4, 5, (2, 3)))
    with torch.no_grad():
        net.conv.weight.copy_(torch.from_numpy(CONV))
        net.depthwise.weight.copy_(torch.from_numpy(DEPTHWISE))
        net.transposed.weight.copy_(torch.from_numpy(TRANSPOSED.transpose(1, 0, 2, 3).copy()))
        for part in net:
            part.bias.zero_()
    state = net.state_dict()
    torch.save(state, at("net.pt"))
    torch.save(state, at("net-legacy.pth"), _use_new_zipfile_serialization=False)
    save_file(state, at("net.safetensors"), {"format": "pt"})
    save_file({k: v.half() for k, v in state.items()}, at("net-half.safetensors"), {"format": "pt"})
    np.savez_compressed(at("net.npz"), **{name: value.numpy() for name, value in state.items()})


def keras_network(layers, models):
    net = models.Sequential(
        [
            layers.Conv2D(4, (3, 2), name="conv", input_shape=(9, 8, 3)),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Conv2DTranspose(5, (2, 3), name="transposed"),
        ]
    )
    net.layers[0].set_weights([CONV.transpose(2, 3, 1, 0), np.zeros(4)])
    net.layers[1].set_weights([DEPTHWISE.transpose(2, 3, 0, 1), np.zeros(4)])
    net.layers[2].set_weights([TRANSPOSED.transpose(2, 3, 0, 1), np.zeros(5)])
    return net


def write_keras():
    from keras import layers, models

    net = keras_network(layers, models)
    net.save(at("net.keras"))
    net.save(at("net.h5"))
    net.save_weights(at("net.weights.h5"))


def write_tensorflow():
    from unittest import mock

    # tensorflowjs imports these for conversions that are not wanted here
    for unused in ["tensorflow_decision_forests", "jax", "jax.experimental", "jax.experimental.jax2tf", "flax"]:
        sys.modules[unused] = mock.MagicMock()
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    np.object, np.bool = object, bool  # names that tensorflowjs still uses
    import tensorflow as tf
    import tf_keras
    from tensorflowjs.converters import keras_h5_conversion, tf_saved_model_conversion_v2

    net = keras_network(tf_keras.layers, tf_keras.models)
    net.save(at("net-keras2.h5"))
    with open(at("net.tflite"), "wb") as file:
        file.write(tf.lite.TFLiteConverter.from_keras_model(net).convert())
    topology, groups = keras_h5_conversion.h5_merged_saved_model_to_tfjs_format(at("net-keras2.h5"))
    os.makedirs(at("layers-model"), exist_ok=True)
    keras_h5_conversion.write_artifacts(topology, groups, at("layers-model"))
    with tempfile.TemporaryDirectory() as saved:
        tf.saved_model.save(net, saved)
        tf_saved_model_conversion_v2.convert_tf_saved_model(saved, at("graph-model"))


{"onnx": write_onnx, "torch": write_torch, "keras": write_keras, "tensorflow": write_tensorflow}[sys.argv[1]]()
