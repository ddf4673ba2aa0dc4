"""Writes test/fixtures/quality.json: quality measures and distribution shifts for test/kernels/reference.test.ts.

The measures come from torchconvquality, by the authors of the paper, on made layers and on those of a published model;
the lag-one correlation and the shift are computed here with NumPy, from (20) and (25) of docs/quality.md.

Run: python3 scripts/reference-quality.py   (needs torch, torchconvquality, numpy, h5py; made with torch 1.13,
torchconvquality 0.3.0 and numpy 1.24)
"""
import json
import pathlib

import h5py
import numpy as np
import torch
from torchconvquality import orthogonality, sparsity, variance_entropy

ROOT = pathlib.Path(__file__).parent.parent


def uniform(count: int, seed: int) -> np.ndarray:
    """Numbers in [-1/2, 1/2) that any language makes alike: x <- 1664525 x + 1013904223 mod 2^32."""
    values = np.empty(count, np.float32)
    state = seed
    for i in range(count):
        state = (1664525 * state + 1013904223) % 2**32
        values[i] = np.float32(state / 2**32 - 0.5)
    return values


def layer(shape: list[int], seed: int, smooth: float = 0.0, weak: int = 0) -> np.ndarray:
    """Noise; `smooth` times the left neighbour's value is added along every row; every `weak`-th kernel is tiny."""
    w = uniform(int(np.prod(shape)), seed).astype(np.float64).reshape(-1, *shape[2:])
    for x in range(1, w.shape[2]):
        w[:, :, x] += smooth * w[:, :, x - 1]
    if weak:
        w[::weak] *= 2.0**-10
    return w.astype(np.float32).reshape(shape)


def lag_one(w: np.ndarray) -> np.ndarray:
    w = w.astype(np.float64).reshape(-1, *w.shape[2:])
    c = w - w.mean((1, 2), keepdims=True)
    pairs = np.concatenate(
        [(c[:, :, 1:] * c[:, :, :-1]).reshape(len(c), -1), (c[:, 1:] * c[:, :-1]).reshape(len(c), -1)], axis=1
    )
    return pairs.mean(1) / (c**2).mean((1, 2))


def measures(w: np.ndarray) -> dict:
    tensor = torch.from_numpy(np.ascontiguousarray(w)).double()
    entropy, over_threshold = variance_entropy(tensor)
    lags = lag_one(w)
    return {
        "sparsity": sparsity(tensor)[0],
        "entropy": entropy,
        "varianceEntropy": float(over_threshold),
        "orthogonality": orthogonality(tensor) if len(w) > 1 else None,
        "lagOne": {
            "middle": [float(np.quantile(lags, 0.5, method=m)) for m in ("lower", "higher")],
            "mean": float(lags.mean()),
        },
    }


def shift(sets: list[np.ndarray], bins: int = 70, pseudocount: float = 0.5) -> list[list[float]]:
    rows = [s.astype(np.float64).reshape(len(s) * s.shape[1], -1) for s in sets]
    rows = [r / np.abs(r).max(1, keepdims=True) for r in rows]
    weights = np.concatenate([np.full(len(r), 1 / len(r) / len(rows)) for r in rows])
    pool = np.concatenate(rows)
    centred = pool - weights @ pool
    _, s, axes = np.linalg.svd(np.sqrt(weights)[:, None] * centred, full_matrices=False)
    shares = s**2 / (s**2).sum()
    result = np.zeros((len(rows), len(rows)))
    for share, axis in zip(shares, axes):
        along = [r @ axis for r in rows]
        span = (min(a.min() for a in along), max(a.max() for a in along))
        laws = []
        for a in along:
            counts = np.histogram(a, bins, span)[0] + pseudocount
            laws.append(counts / counts.sum())
        for i, p in enumerate(laws):
            for j, q in enumerate(laws):
                result[i, j] += share * ((p * np.log(p / q)).sum() + (q * np.log(q / p)).sum())
    return result.tolist()


LAYERS = [
    {"shape": [32, 16, 3, 3], "seed": 1},
    {"shape": [24, 8, 3, 3], "seed": 2, "smooth": 0.75},
    {"shape": [24, 8, 3, 3], "seed": 3, "smooth": 0.5, "weak": 5},
    {"shape": [16, 1, 3, 3], "seed": 4, "smooth": 0.25},
    {"shape": [12, 6, 5, 5], "seed": 5, "smooth": 0.5},
    {"shape": [10, 3, 7, 7], "seed": 6},
    {"shape": [8, 20, 1, 7], "seed": 7, "smooth": 0.5, "weak": 3},
    {"shape": [8, 20, 3, 1], "seed": 8},
]
SHIFTS = [[0, 1, 2], [1, 2], [0, 3]]  # of the layers above, by index

made = [layer(**each) for each in LAYERS]
published = []
with h5py.File(ROOT / "test/fixtures/websr/model-checkpoint.h5") as file:
    weights = []
    file.visititems(lambda name, item: weights.append(name) if getattr(item, "ndim", 0) == 4 else None)
    for name in sorted(weights):
        if "optimizer" in name:
            continue
        w = np.transpose(np.asarray(file[name], np.float32), (3, 2, 0, 1))
        published.append({"weight": name, "shape": list(w.shape), **measures(w)})

path = ROOT / "test/fixtures/quality.json"
path.write_text(
    json.dumps(
        {
            "layers": [{**each, **measures(w)} for each, w in zip(LAYERS, made)],
            "published": published,
            "shifts": [{"layers": each, "nats": shift([made[i] for i in each])} for each in SHIFTS],
        },
        indent=2,
    )
    + "\n"
)
