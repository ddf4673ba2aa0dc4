"""Writes torchvision's ResNet-18 with random weights as ONNX: a network that this project did not make.

    python3 -m venv venv && venv/bin/pip install 'torch==2.6.0' 'torchvision==0.21.0' 'numpy<2' onnx
    venv/bin/python scripts/write-resnet18.py resnet18.onnx [classes]

In the folder deep-weight-prior-models of the temporary folder it is one of the networks of `npm run test:models`.

Running averages of the batch normalisations are those of two batches of random images, so that none of them is 0 or 1.
"""

import sys

import torch
import torchvision

out, classes = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000
torch.manual_seed(18)
network = torchvision.models.resnet18(weights=None, num_classes=classes)
network.train()
with torch.no_grad():
    for _ in range(2):
        network(torch.randn(8, 3, 64, 64))
network.eval()
torch.onnx.export(
    network,
    torch.randn(1, 3, 64, 64),
    out,
    input_names=["images"],
    output_names=["logits"],
    dynamic_axes={name: {0: "n"} for name in ("images", "logits")},
    # as in training, or the exporter folds batch normalisations into convolutions
    training=torch.onnx.TrainingMode.PRESERVE,
    do_constant_folding=False,
)
