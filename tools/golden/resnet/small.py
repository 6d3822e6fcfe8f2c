#!/usr/bin/env python3
"""Writes graph/resnet/testdata/small.json.gz: logits of small networks of every kind of the family, computed by timm and transformers in float64.

Made with Python 3.11, torch 2.9.1, timm 1.0.31, transformers 5.24.0, numpy 2.4.6. Run from the root of the repository:

    python tools/golden/resnet/small.py

Each case is a member with fewer blocks and channels. It holds the state dict's names and shapes with the mean and the standard
deviation of each tensor, which is made by the formula of internal/seeded (stream "CASE/NAME", the case's seed) as is the input
("CASE/input"), and the logits. Standardised weights are float64 here and rounded to float32 in our networks: those cases say how far logits may be off.
"""
import gzip
import json
import math
import pathlib
import sys

import numpy as np
import timm
import torch
import transformers
from timm.models import resnetv2

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "ops"))
import seeded  # noqa: E402

OUT = pathlib.Path("graph/resnet/testdata/small.json.gz")
CLASSES = 7
EXACT, STANDARDIZED = 1e-12, 1e-6


def timm_net(member, depths, widths, **more):
    channels = tuple(w * 4 for w in widths) if member.startswith("resnetv2") and "_18" not in member else tuple(widths)
    args = {"layers": depths, "channels": channels, "num_classes": CLASSES, **more}
    if member.endswith("_bit"):
        return resnetv2._create_resnetv2_bit(member, **args)
    return timm.create_model(member, **args)


def bit_net(depths, widths):
    config = transformers.BitConfig(embedding_size=64, hidden_sizes=[w * 4 for w in widths], depths=list(depths), num_labels=CLASSES)
    return transformers.BitForImageClassification(config)


def spread(name, shape):
    """Mean and standard deviation of a tensor: activations neither vanish nor explode."""
    if name.endswith("running_var"):
        return 1.0, 0.2
    if len(shape) > 1:
        return 0.0, math.sqrt(2 / math.prod(shape[1:]))
    if name.endswith("weight"):
        return 1.0, 0.2
    return 0.0, 0.2


def case(name, seed, member, net, shape, tolerance=EXACT):
    net = net.double().eval()
    tensors = {}
    with torch.no_grad():
        for key, t in net.state_dict().items():
            if key.endswith("num_batches_tracked"):
                continue
            mean, std = spread(key, tuple(t.shape))
            values = seeded.uniform_around(seed, f"{name}/{key}", t.numel(), mean, std)
            t.copy_(torch.from_numpy(values.astype(np.float64)).reshape(t.shape))
            tensors[key] = {"shape": list(t.shape), "mean": mean, "std": std}
        x = torch.from_numpy(seeded.uniform(seed, f"{name}/input", math.prod(shape), 1.0).astype(np.float64)).reshape(shape)
        y = net(x)
    y = getattr(y, "logits", y)
    assert torch.isfinite(y).all() and y.std() > 0.01, (name, y)
    print(f"{name}: logits of standard deviation {y.std().item():.3g}")
    return {"name": name, "seed": seed, "member": member, "input": list(shape), "tensors": tensors, "tolerance": tolerance, "logits": y.flatten().tolist()}


def main():
    torch.set_num_threads(1)
    small, two, wide = (16, 24, 32, 40), (1, 2, 1, 1), (32, 64, 96, 128)
    cases = []

    def add(member, depths, widths, shape, tolerance=EXACT):
        cases.append(case(member, 1000 + len(cases), member, timm_net(member, depths, widths), shape, tolerance))

    add("resnet18", two, small, (2, 3, 71, 90))
    add("resnet50d", two, small, (1, 3, 70, 91))
    add("seresnet50", two, small, (1, 3, 71, 90))
    add("ecaresnet26t", two, (64, 128, 192, 256), (2, 3, 41, 62))
    add("ecaresnetlight", two, small, (1, 3, 71, 90))
    add("resnetaa34d", two, small, (2, 3, 64, 96))
    add("seresnextaa101d_32x8d", two, small, (1, 3, 96, 64))
    add("resnetblur18", two, small, (2, 3, 71, 90))
    add("resnetblur50d", two, small, (1, 3, 97, 70))
    add("resnetrs50", two, small, (2, 3, 69, 90))
    add("resnest26d", two, small, (2, 3, 71, 90))
    add("resnest50d_1s4x24d", two, (16, 24, 32, 48), (2, 3, 71, 90))
    add("resnest50d_4s2x40d", two, (32, 64, 96, 128), (1, 3, 90, 71))
    add("skresnet18", two, (32, 64, 96, 128), (2, 3, 71, 90))
    add("skresnet50d", two, (32, 64, 96, 128), (1, 3, 71, 90))
    add("skresnext50_32x4d", two, (16, 32, 48, 64), (1, 3, 90, 71))
    add("res2net50_26w_4s", two, (32, 64, 96, 128), (1, 3, 71, 90))
    add("res2net50_48w_2s", two, (16, 32, 48, 64), (2, 3, 71, 90))
    add("res2net50d", two, (32, 64, 96, 128), (1, 3, 71, 90))
    add("res2next50", two, (16, 32, 48, 64), (2, 3, 90, 71))
    add("resnetv2_18", two, small, (2, 3, 71, 90))
    add("resnetv2_18d", two, small, (2, 3, 71, 90))
    add("resnetv2_50", two, small, (2, 3, 71, 90))
    add("resnetv2_50t", two, small, (2, 3, 71, 90))
    add("resnetv2_50d_gn", two, wide, (1, 3, 71, 90))
    add("resnet50_gn", two, wide, (1, 3, 90, 71))
    add("resnetv2_50x1_bit", two, wide, (2, 3, 71, 90), STANDARDIZED)
    cases.append(case("BitForImageClassification", 2000, "", bit_net(two, wide), (2, 3, 90, 71), STANDARDIZED))
    OUT.write_bytes(gzip.compress(json.dumps(cases, separators=(",", ":")).encode(), 9, mtime=0))
    print(f"{OUT}: {len(cases)} cases, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
