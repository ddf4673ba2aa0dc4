"""The deterministic networks in JAX: channels last, one jitted step with donated state."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from common import under
from jax_adam import adam, zero_moments
from jax_lenet import max_pool


def conv2d(x, w, stride=1, padding=0):
    """x [n, h, w, i], w [h, w, i, o]"""
    return lax.conv_general_dilated(
        x, w, (stride, stride), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def cifar(p, running, x):
    x = max_pool(jax.nn.leaky_relu(conv2d(x, p["conv1.kernel"]) + p["conv1.bias"], 0.01))
    for name in ("conv2", "conv3"):
        x = jax.nn.leaky_relu(conv2d(x, p[f"{name}.kernel"]) + p[f"{name}.bias"], 0.01)
    x = x.reshape(x.shape[0], -1) @ p["dense1.kernel"] + p["dense1.bias"]
    return jax.nn.leaky_relu(x, 0.01) @ p["dense2.kernel"] + p["dense2.bias"], running


def resnet20(p, running, x):
    following = {}

    def conv(x, name, stride=1):
        y = conv2d(x, p[f"{name}.kernel"], stride, 1)
        mean, variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
        count = y.size // y.shape[3]
        for key, value in (("mean", mean), ("variance", variance * count / (count - 1))):
            following[f"{name}.{key}"] = 0.9 * running[f"{name}.{key}"] + 0.1 * value
        return (y - mean) * (lax.rsqrt(variance + 1e-5) * p[f"{name}.scale"]) + p[f"{name}.offset"]

    x = jax.nn.relu(conv(x, "stem"))
    for stage in range(3):
        for block in range(3):
            name = f"stage{stage}.block{block}"
            narrows = stage > 0 and block == 0
            y = conv(jax.nn.relu(conv(x, f"{name}.conv0", 2 if narrows else 1)), f"{name}.conv1")
            if narrows:
                extra = x.shape[3] // 2
                x = jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (extra, extra)))
            x = jax.nn.relu(x + y)
    return x.mean((1, 2)) @ p["dense.kernel"] + p["dense.bias"], following


def net(forward):
    def case(arrays, settings):
        @functools.partial(jax.jit, donate_argnums=0)
        def step(state, images, labels):
            def objective(p):
                logits, running = forward(p, state["running"], images)
                chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
                return -chosen.mean(), running

            (loss, running), gradients = jax.value_and_grad(objective, has_aux=True)(state["parameters"])
            return {**adam(state, gradients, settings["learningRate"]), "running": running}, loss

        parameters = {name: jnp.asarray(x) for name, x in under(arrays, "parameters").items()}
        running = {}
        for name, x in parameters.items():
            if name.endswith(".scale"):
                layer = name[: -len(".scale")]
                running[f"{layer}.mean"] = jnp.zeros_like(x)
                running[f"{layer}.variance"] = jnp.ones_like(x)
        carried = [{"parameters": parameters, **zero_moments(parameters), "running": running}]
        images, labels = jnp.asarray(arrays["images"]), jnp.asarray(arrays["labels"])
        losses = []
        for _ in range(settings["steps"]):
            carried[0], loss = step(carried[0], images, labels)
            losses.append([float(loss)])

        def run(units):
            for _ in range(units):
                carried[0], loss = step(carried[0], images, labels)
            jax.block_until_ready((carried, loss))

        return losses, run

    return case
