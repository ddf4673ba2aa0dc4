# What dwp collect-kernels does, with onnx and numpy: clean, drop duplicates, split by kernel or model, write .npy.
# python collect_onnx.py FOLDER OUT prints one JSON line with counts, memory and processor time.
import hashlib
import json
import os
import resource
import sys

import numpy as np
import onnx
from onnx import numpy_helper

TEST_FRACTION = 0.2
MODELS_FOR_SPLIT = 5
RESOLUTION = np.float32(2**-23)


def clean(kernels):
    """Rows of [n, d] that are finite, not constant, and not near zero, by the layer's largest norm and weight."""
    squares = np.einsum("nd,nd->n", kernels, kernels, dtype=np.float64)
    finite = np.isfinite(squares)
    kernels, squares = (kernels, squares) if finite.all() else (kernels[finite], squares[finite])
    if len(kernels) == 0:
        return kernels
    low, high = kernels.min(axis=1), kernels.max(axis=1)
    largest = max(high.max(), -low.min())
    keep = (high - low > RESOLUTION * largest) & (squares >= (1e-4**2) * squares.max()) & (squares > 0)
    return kernels if keep.all() else kernels[keep]


def main(folder, out):
    by_size, digests, found = {}, [], 0
    for number, name in enumerate(sorted(os.listdir(folder))):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        graph = onnx.load(path).graph
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type != "Conv":
                continue
            weights = numpy_helper.to_array(tensors[node.input[1]])
            h, w = weights.shape[2:]
            if h * w == 1:
                continue
            found += weights.shape[0] * weights.shape[1]
            by_size.setdefault((h, w), []).append((number, clean(weights.reshape(-1, h * w))))
    random = np.random.default_rng(0)
    kept = 0
    for (h, w), parts in by_size.items():
        kernels = np.concatenate([rows for _, rows in parts])
        models = np.concatenate([np.full(len(rows), number, np.int32) for number, rows in parts])
        # the first of rows with the same bytes: rows seen as one opaque value each
        opaque = np.ascontiguousarray(kernels).view(np.dtype((np.void, kernels.dtype.itemsize * h * w))).ravel()
        _, first = np.unique(opaque, return_index=True)
        if len(first) < len(kernels):
            first.sort()
            kernels, models = kernels[first], models[first]
        present, counts = np.unique(models, return_counts=True)
        if len(present) >= MODELS_FOR_SPLIT:
            order = random.permutation(len(present))
            ends = np.cumsum(counts[order])
            chosen = present[order[: max(1, int(np.argmin(np.abs(ends - TEST_FRACTION * ends[-1]))) + 1)]]
            test = np.isin(models, chosen)
        else:
            test = np.zeros(len(kernels), bool)
            test[random.permutation(len(kernels))[: round(TEST_FRACTION * len(kernels))]] = True
        kept += len(kernels)
        place = os.path.join(out, f"{h}x{w}")
        os.makedirs(place)
        for part, rows in (("train", kernels[~test]), ("test", kernels[test])):
            file = os.path.join(place, f"{part}.npy")
            np.save(file, rows.reshape(-1, h, w))
            with open(file, "rb") as written:
                digests.append(hashlib.file_digest(written, "sha256").hexdigest())
                os.fsync(written.fileno())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    report = {"found": found, "kept": kept, "peak": usage.ru_maxrss * 1024}
    print(json.dumps({**report, "cpuSeconds": usage.ru_utime + usage.ru_stime}))


main(*sys.argv[1:])
