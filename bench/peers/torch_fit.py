"""Fitting the kernel VAE in PyTorch."""

import torch

from common import under
from torch_lenet import decode, encode, log_normal


def elbo(p, w, noise):
    """Nats per kernel, the divergence in closed form."""
    mean, log_std = encode(p, w)
    z = mean + torch.exp(log_std) * noise
    divergence = 0.5 * (mean**2 + torch.exp(2 * log_std) - 1 - 2 * log_std).sum(-1)
    return (log_normal(w, *decode(p, z)) - divergence).mean()


def fit_vae(arrays, settings):
    parameters = {name: torch.from_numpy(x).requires_grad_(True) for name, x in under(arrays, "parameters").items()}
    fixed = {"scale": torch.from_numpy(arrays["scale"])}
    kernels = torch.from_numpy(arrays["kernels"])
    optimiser = torch.optim.Adam(parameters.values(), lr=settings["learningRate"])
    batch = settings["batch"]

    def step(w, noise):
        optimiser.zero_grad(set_to_none=True)
        bound = elbo({**parameters, **fixed}, w, noise)
        (-bound).backward()
        optimiser.step()
        return bound

    losses = []
    for i in range(settings["steps"]):
        w, noise = torch.from_numpy(arrays[f"w.{i}"]), torch.from_numpy(arrays[f"noise.{i}"])
        losses.append([float(step(w, noise))])
    latent = arrays["noise.0"].shape[1]

    def run(units):
        for _ in range(units):
            for rows in torch.randperm(len(kernels)).split(batch):
                step(kernels[rows], torch.randn(batch, latent))

    return losses, run
