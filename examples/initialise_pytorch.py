#!/usr/bin/env python3
"""Starts a PyTorch convolution at samples of a kernel prior.

    dwp fit-prior kernels-dataset --size 7x7 --out priors/7x7
    dwp export priors/7x7 --onnx interchange/7x7
    pip install torch onnxruntime
    python examples/initialise_pytorch.py interchange/7x7
"""

import argparse
import json
import pathlib

import numpy
import onnxruntime
import torch


class KernelPrior:
    """The graphs of one folder. All random numbers are given to them: the same seed draws the same kernels."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.about = json.loads((self.folder / "kernel-prior.json").read_text())
        self.sessions = {}

    def run(self, graph, inputs):
        if graph not in self.sessions:
            path = self.folder / self.about["graphs"][graph]["file"]
            self.sessions[graph] = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        session = self.sessions[graph]
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs)))

    def noise(self, graph, generator, sizes):
        """Standard normals for the inputs that are noise; `sizes` says what n and K are."""
        return {
            port["name"]: generator.standard_normal([sizes.get(s, s) for s in port["shape"]]).astype(numpy.float32)
            for port in self.about["graphs"][graph]["inputs"].values()
            if port["name"].startswith("noise")
        }

    def sample(self, n, seed=0):
        """Kernels [n, h, w]."""
        noise = self.noise("sampler", numpy.random.default_rng(seed), {"n": n})
        return self.run("sampler", noise)["kernels"]

    def log_density(self, w, samples=50, seed=0):
        """log p(w) in nats, [n]; of a VAE the lower bound from so many samples."""
        noise = self.noise("log-density", numpy.random.default_rng(seed), {"n": len(w), "K": samples})
        return self.run("log-density", {"w": w, **noise})["logDensity"]


def initialise(layer, prior, seed=0):
    """Gives a torch.nn.Conv2d kernels of the prior, each slice [h, w] one sample."""
    out, inputs, h, w = layer.weight.shape
    kernels = prior.sample(out * inputs, seed).reshape(out, inputs, h, w)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(kernels))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    folder = parser.parse_args().folder
    prior = KernelPrior(folder)
    size = prior.about["size"]
    layer = torch.nn.Conv2d(3, 32, (size["h"], size["w"]))

    def report(what):
        w = layer.weight.detach().numpy().reshape(-1, size["h"], size["w"])
        density = prior.log_density(w)
        print(f"{what}: standard deviation {w.std():.4f}, {density.mean():.2f} nats per kernel under the prior")

    report("PyTorch's own start")
    initialise(layer, prior, seed=1)
    report("samples of the prior")
    print("output of a random image:", tuple(layer(torch.randn(1, 3, 32, 32)).shape))
