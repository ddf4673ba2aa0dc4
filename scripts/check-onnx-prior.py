#!/usr/bin/env python3
"""Checks folders of `dwp export <prior> --onnx` with Python's onnx and onnxruntime.

    pip install numpy onnx onnxruntime
    python scripts/check-onnx-prior.py interchange/7x7 [more folders]
    python scripts/check-onnx-prior.py interchange/7x7 --kernels kernels.npy --expect 114.5123

Every graph must pass onnx.checker and use operators of ONNX alone. log-density must give the numbers of the example in
kernel-prior.json, from onnxruntime and from onnx.reference, to 1e-4 nats. With --expect, the mean log-density of the
kernels [n, h, w] must be that number, which `dwp eval-prior --format json` prints as logDensity, to 1e-4 nats.
"""

import argparse
import hashlib
import json
import pathlib
import sys

import numpy
import onnx
import onnx.reference
import onnxruntime

NATS = 1e-4


def check(folder, kernels, expect):
    description = json.loads((folder / "kernel-prior.json").read_text())
    worst = 0.0
    for name, graph in description["graphs"].items():
        content = (folder / graph["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == graph["sha256"], name
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model, full_check=True)
        assert {node.domain for node in model.graph.node} <= {""}, name
        assert {i.name for i in model.graph.input} == {i["name"] for i in graph["inputs"].values()}, name
        assert {o.name for o in model.graph.output} == {o["name"] for o in graph["outputs"].values()}, name
    path = str(folder / description["graphs"]["log-density"]["file"])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    example = {name: numpy.array(values, numpy.float32) for name, values in description["example"].items()}
    given = {name: example[name] for name in ("w", "noise") if name in example}
    expected = example["logDensity"]
    reference = onnx.reference.ReferenceEvaluator(path).run(["logDensity"], given)[0]
    for found in (session.run(["logDensity"], given)[0], reference):
        worst = max(worst, float(numpy.abs(found - expected).max()))
    line = f"{folder}: {len(description['graphs'])} graphs; example within {worst:.1e} nats"
    if kernels is not None:
        values = [session.run(["logDensity"], {"w": part})[0] for part in numpy.array_split(kernels, 1 + len(kernels) // 4000)]
        mean = float(numpy.concatenate(values).astype(numpy.float64).mean())
        line += f"; {len(kernels)} kernels at {mean:.5f} nats"
        if expect is not None:
            worst = max(worst, abs(mean - expect))
            line += f", eval-prior says {expect:.5f}"
    print(line)
    return worst <= NATS


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folders", nargs="+", type=pathlib.Path)
parser.add_argument("--kernels", type=pathlib.Path)
parser.add_argument("--expect", type=float)
options = parser.parse_args()
kernels = numpy.load(options.kernels).astype(numpy.float32) if options.kernels else None
passed = [check(folder, kernels, options.expect) for folder in options.folders]
sys.exit(0 if all(passed) else 1)
