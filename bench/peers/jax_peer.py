"""JAX's side of the benchmarks."""

import sys

from common import limit_to_cpus, serve

limit_to_cpus(int(sys.argv[2]))  # XLA makes one thread for each CPU that it may use

import jax  # noqa: E402

from jax_fit import fit_vae  # noqa: E402
from jax_lenet import lenet  # noqa: E402
from jax_matmul import matmul  # noqa: E402
from jax_nets import cifar, net, resnet20  # noqa: E402

serve(
    {"matmul": matmul, "lenet": lenet, "cifar": net(cifar), "resnet20": net(resnet20), "fit_vae": fit_vae},
    f"JAX {jax.__version__}",
)
