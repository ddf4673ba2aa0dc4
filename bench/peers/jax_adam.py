"""Adam for JAX, on any tree of parameters."""

import jax
import jax.numpy as jnp

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def zero_moments(parameters):
    zeros = lambda: jax.tree.map(jnp.zeros_like, parameters)  # noqa: E731
    return {"first": zeros(), "second": zeros(), "t": jnp.zeros(())}


def adam(state, gradients, rate):
    t = state["t"] + 1
    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, state["first"], gradients)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, state["second"], gradients)
    size = rate * jnp.sqrt(1 - BETA2**t) / (1 - BETA1**t)
    parameters = jax.tree.map(
        lambda p, m, v: p - size * m / (jnp.sqrt(v) + EPSILON), state["parameters"], first, second
    )
    return {"parameters": parameters, "first": first, "second": second, "t": t}
