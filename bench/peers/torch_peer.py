"""PyTorch's side of the benchmarks."""

import sys

import torch

from common import serve
from torch_fit import fit_vae
from torch_lenet import lenet
from torch_matmul import matmul
from torch_nets import cifar, net, resnet20

torch.set_num_threads(int(sys.argv[2]))
serve(
    {"matmul": matmul, "lenet": lenet, "cifar": net(cifar), "resnet20": net(resnet20), "fit_vae": fit_vae},
    f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads",
)
