"""The Bayesian LeNet in PyTorch: channels first, autograd, torch.optim.Adam."""

import math

import torch
import torch.nn.functional as F

from common import under

LOG_2PI = math.log(2 * math.pi)
LAYERS = ("conv1", "conv2")


def log_normal(x, mean, log_std):
    return (-0.5 * ((x - mean) * torch.exp(-log_std)) ** 2 - log_std - 0.5 * LOG_2PI).sum(-1)


def mlp(p, name, x):
    x = F.elu(torch.addmm(p[f"{name}.0.bias"], x, p[f"{name}.0.kernel"]))
    x = F.elu(torch.addmm(p[f"{name}.1.bias"], x, p[f"{name}.1.kernel"]))
    return torch.addmm(p[f"{name}.out.bias"], x, p[f"{name}.out.kernel"])


def floor_log_std(x):
    return F.softplus(x + 4) - 4


def encode(p, w):
    mean, log_std = mlp(p, "encoder", w / p["scale"]).chunk(2, -1)
    return mean, floor_log_std(log_std)


def decode(p, z):
    mean, log_std = mlp(p, "decoder", z).chunk(2, -1)
    return mean * p["scale"], floor_log_std(log_std) + torch.log(p["scale"])


def expected_log_gaussian(p, mean, log_std):
    d = mean.shape[1]
    distance = (((mean - p["mean"]) @ p["inverseCholesky"].T) ** 2).sum(1)
    spread = (torch.exp(2 * log_std) * (p["inverseCholesky"] ** 2).sum(0)).sum(1)
    return -0.5 * (distance + spread) - torch.log(torch.diagonal(p["cholesky"])).sum() - 0.5 * d * LOG_2PI


def hierarchical_bound(p, mean, log_std, kernel_noise, latent_noise):
    w = mean + torch.exp(log_std) * kernel_noise
    r_mean, r_log_std = encode(p, w)
    z = r_mean + torch.exp(r_log_std) * latent_noise
    log_latent = (-0.5 * z**2 - 0.5 * LOG_2PI).sum(-1)
    return log_normal(w, *decode(p, z)) + log_latent - log_normal(z, r_mean, r_log_std)


def bound_terms(p, prior, images, labels, noise, family, examples):
    """expected log-likelihood, prior term, entropy term; nats for the whole training set"""
    x = images
    prior_term = entropy_term = 0.0
    for name in LAYERS:
        mean, log_std = p[f"{name}.mean"], p[f"{name}.logStd"]
        centre = F.conv2d(x, mean, p[f"{name}.bias"])
        variance = F.conv2d(x * x, torch.exp(2 * log_std))
        x = centre + torch.sqrt(variance + 1e-12) * noise[f"{name}.likelihood.activations"]
        x = F.max_pool2d(F.leaky_relu(x, 0.01), 2)
        rows, rows_log_std = mean.flatten(2).flatten(0, 1), log_std.flatten(2).flatten(0, 1)
        if family == "vae":
            kernels, latent = noise[f"{name}.prior.kernels"], noise[f"{name}.prior.latent"]
            prior_term = prior_term + hierarchical_bound(prior[name], rows, rows_log_std, kernels, latent).sum()
        else:
            prior_term = prior_term + expected_log_gaussian(prior[name], rows, rows_log_std).sum()
        entropy_term = entropy_term + (log_std + 0.5 * (LOG_2PI + 1)).sum()
    logits = torch.addmm(p["dense.bias"], x.flatten(1), p["dense.kernel"])
    log_likelihood = -F.cross_entropy(logits, labels, reduction="sum")
    return log_likelihood * (examples / len(labels)), prior_term, entropy_term


def channels_first(x):
    x = torch.from_numpy(x)
    return x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x


def dense_for_channels_first(kernel, height, width, channels):
    """Rows of a dense layer in the order of flattened [c, h, w] instead of [h, w, c]."""
    by_axis = kernel.reshape(height, width, channels, -1)
    return by_axis.permute(2, 0, 1, 3).reshape(kernel.shape).contiguous()


def lenet(arrays, settings):
    family, examples, rate = settings["family"], settings["examples"], settings["learningRate"]
    parameters = {name: torch.from_numpy(x) for name, x in under(arrays, "parameters").items()}
    channels = parameters["conv2.mean"].shape[0]
    side = math.isqrt(parameters["dense.kernel"].shape[0] // channels)
    parameters["dense.kernel"] = dense_for_channels_first(parameters["dense.kernel"], side, side, channels)
    for x in parameters.values():
        x.requires_grad_(True)
    prior = {name: {k: torch.from_numpy(x) for k, x in under(arrays, f"prior.{name}").items()} for name in LAYERS}
    optimiser = torch.optim.Adam(parameters.values(), lr=rate)

    def step(images, labels, noise):
        optimiser.zero_grad(set_to_none=True)
        terms = bound_terms(parameters, prior, images, labels, noise, family, examples)
        (-sum(terms) / examples).backward()
        optimiser.step()
        return terms

    batches = []
    for i in range(settings["steps"]):
        images = channels_first(arrays[f"images.{i}"])
        labels = torch.from_numpy(arrays[f"labels.{i}"]).long()
        noise = {name: channels_first(x) for name, x in under(arrays, f"noise.{i}").items()}
        batches.append((images, labels, noise))
    losses = [[float(term) for term in step(*batch)] for batch in batches]
    images, labels, noise = batches[0]
    shapes = {name: x.shape for name, x in noise.items()}

    def run(units):
        for _ in range(units):
            step(images, labels, {name: torch.randn(shape) for name, shape in shapes.items()})

    return losses, run
