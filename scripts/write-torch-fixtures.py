"""Writes test/fixtures/torch: one small network in every form that PyTorch, Flax, safetensors and NumPy save it in.

    python3 -m venv venv && venv/bin/pip install 'torch==2.6.0' 'numpy<2' safetensors flax
    venv/bin/python scripts/write-torch-fixtures.py

All weights are multiples of 1/8 below 16, so that float16 and bfloat16 hold them exactly. expected.json has every
layer's weights as PyTorch stores them, an input, and the output that PyTorch's layer (Flax's for those of Flax)
computes for it.
"""

import argparse
import json
import pathlib
import zipfile

import flax.linen
import jax.numpy
import numpy
import safetensors.numpy
import safetensors.torch
import torch

folder = pathlib.Path(__file__).parent.parent / "test" / "fixtures" / "torch"
folder.mkdir(parents=True, exist_ok=True)
generator = torch.Generator().manual_seed(4)


def eighths(*shape):
    return torch.randint(-120, 121, shape, generator=generator).float() / 8


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 4, (3, 2))
        self.body = torch.nn.Sequential(
            torch.nn.BatchNorm2d(4),
            torch.nn.Conv2d(4, 6, 3, groups=2, bias=False),
            torch.nn.Conv2d(6, 6, (2, 3), groups=6),
        )
        self.up = torch.nn.ConvTranspose2d(6, 4, (2, 3), stride=2)
        self.wide = torch.nn.ConvTranspose2d(4, 6, 2, groups=2)
        self.deconv = torch.nn.ConvTranspose2d(6, 6, (3, 2), bias=False)
        self.head = torch.nn.Linear(6, 2)

    def forward(self, x):
        x = self.deconv(self.wide(self.up(self.body(self.stem(x)))))
        return self.head(x.mean((2, 3)))


def filled(module):
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.copy_(eighths(*value.shape))
    return module.eval()


def layer(name, kind, module, inputs):
    """As PyTorch stores it, with what it computes."""
    x = eighths(1, inputs, 5, 6)
    y = module(x)
    return {
        "name": name,
        "kind": kind,
        "groups": module.groups,
        "stride": module.stride[0],
        "stored": list(module.weight.shape),
        "weights": module.weight.flatten().tolist(),
        "bias": [] if module.bias is None else module.bias.tolist(),
        "input": {"shape": list(x.shape), "values": x.flatten().tolist()},
        "output": {"shape": list(y.shape), "values": y.flatten().tolist()},
    }


net = filled(Net())
state = net.state_dict()
with torch.no_grad():
    layers = [
        layer("stem", "conv", net.stem, 3),
        layer("body.1", "conv", net.body[1], 4),
        layer("body.2", "depthwise", net.body[2], 6),
        layer("up", "transposed", net.up, 6),
        layer("wide", "transposed", net.wide, 4),
        layer("deconv", "transposed", net.deconv, 6),
    ]

torch.save(state, folder / "zip.pt")
torch.save(state, folder / "legacy.pt", _use_new_zipfile_serialization=False)
torch.save(state, folder / "protocol4.pt", pickle_protocol=4)
torch.save({k: v.half() for k, v in state.items()}, folder / "float16.pt")
torch.save({k: v.bfloat16() for k, v in state.items()}, folder / "bfloat16.pth")
torch.save({k: v.double() for k, v in state.items()}, folder / "float64.bin")
torch.save(net.to(memory_format=torch.channels_last).state_dict(), folder / "channels-last.pt")
net.to(memory_format=torch.contiguous_format)

optimiser = torch.optim.Adam(net.parameters())
net(eighths(1, 3, 9, 9)).sum().backward()
optimiser.step()  # fills the moments
net.load_state_dict(state := {k: v.clone() for k, v in torch.load(folder / "zip.pt").items()})
checkpoint = {
    "epoch": 3,
    "best": numpy.float64(0.5),
    "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("runs")),
    "state_dict": state,
    "optimizer": optimiser.state_dict(),
    "moments": {"state": optimiser.state_dict()["state"], "param_groups": []},
    "model_ema": {k: v + 1 for k, v in state.items()},
    "rng": torch.get_rng_state(),
}
torch.save(checkpoint, folder / "checkpoint.ckpt")
torch.save(checkpoint, folder / "checkpoint-legacy.ckpt", _use_new_zipfile_serialization=False)
torch.jit.script(net).save(str(folder / "script.pt"))
torch.jit.freeze(torch.jit.script(net)).save(str(folder / "frozen.pt"))
torch.save(net, folder / "module.pt")
torch.save(net, folder / "module-legacy.pt", _use_new_zipfile_serialization=False)

# views of one storage: the same weights under two names, every second input, an expanded kernel, and parts
whole = eighths(4, 6, 3, 3)
parts = eighths(2 * 2 * 3 * 3 * 2)
views = {
    "a.weight": whole,
    "b.weight": whole,
    "every_second.weight": whole[:, ::2],
    "flipped.weight": whole.permute(1, 0, 3, 2),
    "expanded.weight": eighths(1, 1, 3, 3).expand(8, 8, 3, 3),
    "first.weight": parts[:36].view(2, 2, 3, 3),
    "second.weight": parts[36:].view(2, 2, 3, 3),
}
torch.save(views, folder / "views.pt")
torch.save(views, folder / "views-legacy.pt", _use_new_zipfile_serialization=False)
expected_views = {k: {"shape": list(v.shape), "values": v.flatten().tolist()} for k, v in views.items()}

normal = torch.nn.utils.weight_norm(filled(torch.nn.Conv2d(3, 4, 3)))
renewed = torch.nn.utils.parametrizations.weight_norm(filled(torch.nn.Conv2d(3, 4, 3)))
spectral = torch.nn.utils.spectral_norm(filled(torch.nn.Conv2d(3, 4, 3)))
qconv = torch.ao.nn.quantized.Conv2d(3, 4, 3)
torch.save(
    {
        **{f"old.{k}": v for k, v in normal.state_dict().items()},
        **{f"new.{k}": v for k, v in renewed.state_dict().items()},
        **{f"spectral.{k}": v for k, v in spectral.state_dict().items()},
        **{f"quantised.{k}": v for k, v in qconv.state_dict().items()},
        "volume.weight": eighths(1, 1, 2, 2, 2),
        "conv1d.weight": eighths(2, 2, 3),
        "pos_embed": eighths(1, 4, 3, 3),
        "whole.weight": eighths(1, 1, 2, 2).to(torch.int8),
        "tiny.weight": eighths(1, 1, 2, 2).to(torch.float8_e5m2),
    },
    folder / "others.pt",
)
normalised = {"old": normal.weight.flatten().tolist(), "new": renewed.weight.flatten().tolist()}

# big-endian: as a machine of the other byte order would write it
with zipfile.ZipFile(folder / "zip.pt") as little, zipfile.ZipFile(folder / "big-endian.pt", "w") as big:
    for item in little.infolist():
        content = little.read(item)
        name = item.filename
        if name.endswith("/byteorder"):
            content = b"big"
        elif "/data/" in name:
            width = 8 if len(content) == 8 else 4  # the one int64, num_batches_tracked
            content = numpy.frombuffer(content, f"<u{width}").byteswap().tobytes()
        big.writestr(name, content)

safetensors.torch.save_file(state, folder / "torch.safetensors", metadata={"format": "pt", "license": "Apache-2.0"})
half = {k: v.bfloat16() if v.is_floating_point() else v for k, v in state.items()}
safetensors.torch.save_file(half, folder / "bfloat16.safetensors")
shards = [dict(list(state.items())[:6]), dict(list(state.items())[6:])]
names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
for name, shard in zip(names, shards):
    safetensors.torch.save_file(shard, folder / name, metadata={"format": "pt"})
index = {"metadata": {}, "weight_map": {k: n for n, s in zip(names, shards) for k in s}}
(folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))

arrays = {k.replace(".", "/"): v.numpy() for k, v in state.items()}
numpy.savez(folder / "stored.npz", **arrays)
numpy.savez_compressed(
    folder / "deflated.npz",
    **{k: v.astype(">f8") if v.dtype == numpy.float32 else v for k, v in arrays.items()},
    note=numpy.array({"a": 1}, dtype=object),
)
numpy.savez(folder / "fortran.npz", **{k: numpy.asfortranarray(v).astype("<f2") for k, v in arrays.items()})
numpy.savez(folder / "unnamed.npz", net.stem.weight.detach().numpy(), net.body[1].weight.detach().numpy())
numpy.save(folder / "stem.npy", net.stem.weight.detach().numpy())


# Flax: the same weights in its own layout, and what its layers compute with them
class FlaxNet(flax.linen.Module):
    @flax.linen.compact
    def __call__(self, x):
        x = flax.linen.Conv(4, (3, 2), padding="VALID", name="stem")(x)
        self.sow("outputs", "of_stem", x)
        x = flax.linen.Conv(6, (3, 3), padding="VALID", feature_group_count=2, use_bias=False)(x)
        self.sow("outputs", "of_Conv_0", x)
        x = flax.linen.Conv(6, (2, 3), padding="VALID", feature_group_count=6)(x)
        self.sow("outputs", "of_Conv_1", x)
        x = flax.linen.ConvTranspose(4, (2, 3), strides=(2, 2), padding="VALID")(x)
        self.sow("outputs", "of_ConvTranspose_0", x)
        return x


def hwio(weight):
    return jax.numpy.asarray(weight.detach().permute(2, 3, 1, 0).contiguous().numpy())


def vector(values):
    return jax.numpy.asarray(values.detach().numpy())


turned = net.up.weight.flip(2, 3).permute(2, 3, 0, 1).contiguous()  # Flax slides where PyTorch paints
parameters = {
    "stem": {"kernel": hwio(net.stem.weight), "bias": vector(net.stem.bias)},
    "Conv_0": {"kernel": hwio(net.body[1].weight)},
    "Conv_1": {"kernel": hwio(net.body[2].weight), "bias": vector(net.body[2].bias)},
    "ConvTranspose_0": {"kernel": jax.numpy.asarray(turned.detach().numpy()), "bias": vector(net.up.bias)},
}
x = eighths(1, 3, 9, 10)
_, seen = FlaxNet().apply({"params": parameters}, jax.numpy.asarray(x.permute(0, 2, 3, 1).numpy()), mutable="outputs")
with torch.no_grad():
    y = x
    for name, module in {"stem": net.stem, "Conv_0": net.body[1], "Conv_1": net.body[2], "ConvTranspose_0": net.up}.items():
        y = module(y)
        of_flax = numpy.asarray(seen["outputs"][f"of_{name}"][0]).transpose(0, 3, 1, 2)
        assert numpy.abs(y.numpy() - of_flax).max() < 1e-5 * numpy.abs(of_flax).max(), name
flat = {f"params/{a}/{b}": numpy.asarray(v) for a, p in parameters.items() for b, v in p.items()}
safetensors.numpy.save_file(flat, folder / "flax.safetensors", metadata={"format": "flax"})
safetensors.numpy.save_file({k.replace("/", "."): v for k, v in flat.items()}, folder / "flax-unsaid.safetensors")
numpy.savez(folder / "flax.npz", **flat)

(folder / "expected.json").write_text(
    json.dumps({"layers": layers, "views": expected_views, "normalised": normalised}, separators=(",", ":"))
)
print(sum(file.stat().st_size for file in folder.iterdir()), "bytes")
