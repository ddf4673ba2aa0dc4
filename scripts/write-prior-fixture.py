#!/usr/bin/env python3
"""Writes test/fixtures/external-prior: a small VAE of 3×3 kernels, fitted by PyTorch and exported to ONNX, with its own
bounds of some kernels.

    pip install torch numpy onnx
    python scripts/write-prior-fixture.py

Kernels are smooth random filters made here. The encoder says the log variance of q(z|w), the decoder the mean of p(w|z);
the log standard deviation of a pixel is one number for all z. So the names and conventions differ from this project's.
"""

import json
import math
import pathlib

import numpy
import torch
from torch import nn

OUT = pathlib.Path(__file__).resolve().parent.parent / "test/fixtures/external-prior"
H, W, LATENT = 3, 3, 2


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 2), nn.LeakyReLU(0.1), nn.Conv2d(6, 8, 2), nn.BatchNorm2d(8), nn.ELU(), nn.Flatten()
        )
        self.mu, self.logvar = nn.Linear(8, LATENT), nn.Linear(8, LATENT)

    def forward(self, w):
        features = self.features(10 * w)
        return self.mu(features), self.logvar(features)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(LATENT, 8)
        self.up = nn.ConvTranspose2d(2, 4, 2, stride=2, padding=1, output_padding=1)
        self.last = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, z):
        image = nn.functional.softplus(self.dense(z)).view(-1, 2, 2, 2)
        return 0.1 * self.last(torch.tanh(self.up(image))).flatten(1)


def normal(x, mean, log_std):
    return (-0.5 * ((x - mean) / log_std.exp()) ** 2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)


def log_weights(encoder, decoder, log_std, w, noise):
    """log p(w|z) p(z) / q(z|w) with z = mu + sigma · noise: [K, n]."""
    mean, log_variance = encoder(w)
    z = mean + (0.5 * log_variance).exp() * noise
    decoded = torch.stack([decoder(row) for row in z])
    zero = torch.zeros(())
    likelihood = normal(w.flatten(1), decoded, log_std.expand(H * W))
    return likelihood + normal(z, zero, zero) - normal(z, mean, 0.5 * log_variance)


def export(model, given, path, inputs, outputs):
    axes = {name: {0: "n"} for name in (*inputs, *outputs)}
    torch.onnx.export(
        model, given, path, input_names=inputs, output_names=outputs, dynamic_axes=axes, opset_version=17, dynamo=False
    )


torch.manual_seed(7)
basis = torch.randn(LATENT, H * W) * 0.05
kernels = (torch.tanh(torch.randn(400, LATENT)) @ basis + 0.01 * torch.randn(400, H * W)).view(-1, 1, H, W)
encoder, decoder, log_std = Encoder(), Decoder(), nn.Parameter(torch.full((H * W,), -4.0))
parameters = [*encoder.parameters(), *decoder.parameters(), log_std]
optimiser = torch.optim.Adam(parameters, 1e-2)
for _ in range(600):
    batch = kernels[torch.randint(len(kernels), (64,))]
    loss = -log_weights(encoder, decoder, log_std, batch, torch.randn(1, 64, LATENT)).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
print(f"after the fit {-loss.item():.2f} nats")

encoder.eval(), decoder.eval()
OUT.mkdir(parents=True, exist_ok=True)
export(encoder, kernels[:2], str(OUT / "encoder.onnx"), ["image"], ["mu", "logvar"])
export(decoder, torch.zeros(2, LATENT), str(OUT / "decoder.onnx"), ["code"], ["pixels"])
(OUT / "prior.yaml").write_text(
    f"""# A VAE of PyTorch: scripts/write-prior-fixture.py
format: kernel-prior-onnx-1
name: smooth filters
licence: MIT
size: {{ h: {H}, w: {W} }}
latent: {{ size: {LATENT}, prior: standard-normal }}
observation:
  kind: normal
  logStd: [{", ".join(f"{x:.9g}" for x in log_std.tolist())}]
graphs:
  encoder:
    file: encoder.onnx
    inputs: {{ w: {{ name: image, shape: [n, 1, {H}, {W}] }} }}
    outputs: {{ mean: mu, logVariance: logvar }}
  decoder:
    file: decoder.onnx
    inputs: {{ z: code }}
    outputs: {{ mean: pixels }}
"""
)
with torch.no_grad():
    w, noise = kernels[:12], torch.randn(5, 12, LATENT)
    weights = log_weights(encoder.double(), decoder.double(), log_std.double(), w.double(), noise.double())
    bound = torch.logsumexp(weights, 0) - math.log(len(noise))
lists = {"w": w.view(-1, H * W), "noise": noise, "elbo": weights.mean(0), "bound": bound}
(OUT / "expected.json").write_text(json.dumps({name: x.tolist() for name, x in lists.items()}) + "\n")
print(f"{sum(f.stat().st_size for f in OUT.iterdir())} bytes; ELBO {weights.mean():.4f}, 5-sample bound {bound.mean():.4f}")
