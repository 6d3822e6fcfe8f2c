"""Writes testdata/golden/resnet{18,50}.safetensors: batch norm statistics and logits of networks with seeded weights.

The weights, the input and the pictures for calibration are made by the formula of internal/seeded; stream names are
"NETWORK/PARAMETER", "NETWORK/input" and "NETWORK/calibration". The running statistics are those of the calibration
pictures, so that activations have a standard deviation near 1; they are stored as float32 and used so. The logits
("want/fc") are what torchvision's network gives for the input in float64.

Made with Python 3.11.7, torch 2.9.1, torchvision 0.24.1, safetensors 0.8.0, numpy 2.4.6.
Run: python tools/golden/ops/networks.py
"""
import math
import os

import torch
import torchvision
from safetensors.torch import save_file

import seeded
from common import OUT

SIZE = 224


def uniform(name, shape, seed, mean, std):
    flat = seeded.uniform_around(seed, name, math.prod(shape), mean, std)
    return torch.from_numpy(flat).double().reshape(shape)


def distribution(key, shape):
    """Mean and standard deviation of a parameter; internal/golden/networks.go has the same rule."""
    if len(shape) == 4:  # Kaiming, by fan-in
        return 0.0, math.sqrt(2 / (shape[1] * shape[2] * shape[3]))
    if key == "fc.weight":
        return 0.0, math.sqrt(1 / shape[1])
    if key.endswith(".bn3.weight"):
        # The last norm of a bottleneck scales its branch down, as training leaves it. With 1.0 the sixteen blocks
        # multiply rounding errors so much that float32 PyTorch itself is 1.5e-5 away from float64 in the logits
        # (1.1e-6 with 0.3), and the comparison would say little about an implementation.
        return 0.3, 0.03
    if key.endswith(".weight"):
        return 1.0, 0.1
    return 0.0, 0.1


def network(name, seed):
    net = getattr(torchvision.models, name)(weights=None).double()
    for key, p in net.named_parameters():
        mean, std = distribution(key, tuple(p.shape))
        p.data.copy_(uniform(f"{name}/{key}", tuple(p.shape), seed, mean, std))
    norms = {k: m for k, m in net.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    for m in norms.values():
        m.momentum = 1.0
    with torch.no_grad():
        net.train()(uniform(f"{name}/calibration", (2, 3, SIZE, SIZE), seed, 0.0, 1.0))
        stored = {}
        for key, m in norms.items():
            for stat in ("running_mean", "running_var"):
                value = getattr(m, stat).float()
                getattr(m, stat).copy_(value.double())
                stored[f"{key}.{stat}"] = value.clone()
        spread = []
        for m in norms.values():
            m.register_forward_hook(lambda m, args, out: spread.append(out.std().item()))
        logits = net.eval()(uniform(f"{name}/input", (1, 3, SIZE, SIZE), seed, 0.0, 1.0))
        single = net.float()(uniform(f"{name}/input", (1, 3, SIZE, SIZE), seed, 0.0, 1.0).float()).double()
    stored["want/fc"] = logits.clone()
    path = os.path.join(OUT, name + ".safetensors")
    save_file(stored, path, metadata={"network": name, "seed": str(seed)})
    print(f"{name}: standard deviation after batch norms {min(spread):.2f} to {max(spread):.2f}, of the logits {logits.std():.3f}, PyTorch's own float32 error {((single - logits).norm() / logits.norm()).item():.2g}, {os.path.getsize(path)} bytes")


torch.set_num_threads(1)
network("resnet18", 18)
network("resnet50", 50)
