#!/usr/bin/env python3
"""Checks that Keras 3 loads what `dwp export <run> --keras name.weights.h5` writes, and predicts the same with it.

    pip install keras jax h5py onnx onnxruntime
    dwp export runs/one --onnx one.onnx --keras one.weights.h5
    KERAS_BACKEND=jax python scripts/check-keras-export.py one.weights.h5 one.onnx

The Keras model is put together from the nodes of the ONNX file, with fresh weights; load_weights has to replace all of
them, and the logits of random images have to agree with those of onnxruntime to 1e-4.
"""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy
import onnx
import onnxruntime

TOLERANCE = 1e-4


def network(graph):
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in graph.initializer}
    _, channels, height, width = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
    layers = [keras.Input((height, width, channels))]
    for node in graph.node:
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Conv":
            out, _, *size = weights[node.input[1]].shape
            padding = "same" if options.get("auto_pad") == b"SAME_UPPER" else "valid"
            layers.append(keras.layers.Conv2D(out, size, padding=padding))
        elif node.op_type == "LeakyRelu":
            layers.append(keras.layers.LeakyReLU(negative_slope=options["alpha"]))
        elif node.op_type == "MaxPool":
            layers.append(keras.layers.MaxPooling2D(options["kernel_shape"][0]))
        elif node.op_type == "Flatten":
            layers.append(keras.layers.Flatten())
        elif node.op_type == "Gemm":
            layers.append(keras.layers.Dense(weights[node.input[1]].shape[1]))
        elif node.op_type != "Transpose":
            sys.exit(f"{node.op_type}: not a node of an exported network")
    return keras.Sequential(layers), (height, width, channels)


def main(weights, model):
    net, shape = network(onnx.load(model).graph)
    before = [w.copy() for w in net.get_weights()]
    net.load_weights(weights)
    if any(numpy.array_equal(a, b) for a, b in zip(before, net.get_weights()) if a.any()):
        sys.exit(f"{weights}: some weights were not replaced")
    images = numpy.random.default_rng(0).random((8, *shape), dtype=numpy.float32)
    session = onnxruntime.InferenceSession(model)
    (expected,) = session.run(["logits"], {"images": images.transpose(0, 3, 1, 2)})
    worst = float(abs(net.predict(images, verbose=0) - expected).max())
    print(f"{weights}: Keras {keras.__version__} on {keras.backend.backend()}, logits differ by {worst:.2g} at most")
    if not worst < TOLERANCE:
        sys.exit("they differ")


if __name__ == "__main__":
    main(*sys.argv[1:])
