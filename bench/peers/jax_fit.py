"""Fitting the kernel VAE in JAX."""

import functools

import jax
import jax.numpy as jnp

from common import under
from jax_adam import adam, zero_moments
from jax_lenet import decode, encode, log_normal


def elbo(p, w, noise):
    """Nats per kernel, the divergence in closed form."""
    mean, log_std = encode(p, w)
    z = mean + jnp.exp(log_std) * noise
    divergence = 0.5 * (mean**2 + jnp.exp(2 * log_std) - 1 - 2 * log_std).sum(-1)
    return (log_normal(w, *decode(p, z)) - divergence).mean()


def fit_vae(arrays, settings):
    scale, kernels = jnp.asarray(arrays["scale"]), jnp.asarray(arrays["kernels"])
    rate, batch = settings["learningRate"], settings["batch"]
    latent = arrays["noise.0"].shape[1]

    def update(state, w, noise):
        objective = lambda p: -elbo({**p, "scale": scale}, w, noise)  # noqa: E731
        value, gradients = jax.value_and_grad(objective)(state["parameters"])
        return adam(state, gradients, rate), -value

    def initial():
        parameters = {name: jnp.array(x) for name, x in under(arrays, "parameters").items()}
        return {"parameters": parameters, **zero_moments(parameters)}

    given = jax.jit(update)
    state = initial()
    losses = []
    for i in range(settings["steps"]):
        state, bound = given(state, arrays[f"w.{i}"], arrays[f"noise.{i}"])
        losses.append([float(bound)])

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def epoch(state, key):
        """All steps of an epoch in one call."""
        key, shuffle, draw = jax.random.split(key, 3)
        rows = jax.random.permutation(shuffle, len(kernels)).reshape(-1, batch)
        noise = jax.random.normal(draw, (len(rows), batch, latent))
        step = lambda state, given: update(state, kernels[given[0]], given[1])  # noqa: E731
        state, bounds = jax.lax.scan(step, state, (rows, noise))
        return state, key, bounds

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def one(state, key, rows):
        key, draw = jax.random.split(key)
        state, bound = update(state, kernels[rows], jax.random.normal(draw, (batch, latent)))
        return state, key, bound

    carried = [initial(), jax.random.PRNGKey(0)]

    def run_by_epoch(units):
        for _ in range(units):
            carried[0], carried[1], bounds = epoch(*carried)
        jax.block_until_ready((carried, bounds))

    def run_by_step(units):
        for _ in range(units):
            carried[1], shuffle = jax.random.split(carried[1])
            for rows in jax.random.permutation(shuffle, len(kernels)).reshape(-1, batch):
                carried[0], carried[1], bound = one(*carried, rows)
        jax.block_until_ready((carried, bound))

    return losses, (run_by_epoch if settings["scan"] else run_by_step)
