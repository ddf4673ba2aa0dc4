"""PyTorch's side of the benchmarks."""

import sys

import torch

from common import serve
from torch_lenet import lenet
from torch_matmul import matmul

torch.set_num_threads(int(sys.argv[2]))
serve({"matmul": matmul, "lenet": lenet})
