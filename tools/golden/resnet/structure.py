#!/usr/bin/env python3
"""Writes graph/resnet/testdata/structure.json.gz: what PyTorch says about every member of the family.

Made with Python 3.11, torch 2.9.1, torchvision 0.24.1, timm 1.0.31. Run from the root of the repository:

    python tools/golden/resnet/structure.py

Each case holds the member's name, the shape of its input and number of classes, and from the model in PyTorch: the
multiply-accumulates (torch.utils.flop_counter, halved), the shapes of what each convolution, batch norm, pool and
linear layer returns, and, for the first case of a member, the names and shapes of the state dictionary. Everything runs
on torch's meta device, which computes shapes only.

The ImageNet networks are torchvision's, those with a letter behind the number of layers timm's. Those with a CIFAR stem are assembled from torchvision's blocks, with the stem,
pool and shortcuts that He et al. 2016 section 4.2 describes.
"""
import gzip
import json
import pathlib
import platform

import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet as tv

OUT = pathlib.Path("graph/resnet/testdata/structure.json.gz")

IMAGENET = {  # member: (block, depths, groups, width per group)
    "resnet18": (tv.BasicBlock, (2, 2, 2, 2), 1, 64),
    "resnet34": (tv.BasicBlock, (3, 4, 6, 3), 1, 64),
    "resnet50": (tv.Bottleneck, (3, 4, 6, 3), 1, 64),
    "resnet101": (tv.Bottleneck, (3, 4, 23, 3), 1, 64),
    "resnet152": (tv.Bottleneck, (3, 8, 36, 3), 1, 64),
}


TIMM = (
    "resnet10t", "resnet14t", "resnet18d", "resnet26", "resnet26d", "resnet26t", "resnet34d", "resnet50c", "resnet50d", "resnet50s", "resnet50t",
    "resnet101c", "resnet101d", "resnet101s", "resnet152c", "resnet152d", "resnet152s", "resnet200d", "resnext50d_32x4d",
    "seresnet18", "seresnet34", "seresnet50", "seresnet50t", "seresnet101", "seresnet152", "seresnet152d", "seresnext26d_32x4d", "seresnext26t_32x4d",
    "seresnext50_32x4d", "seresnext101_32x4d", "seresnext101_32x8d", "seresnext101_64x4d",
)


class OptionA(nn.Module):
    """Every second row and column, with as many channels of zeros before as behind."""

    def __init__(self, stride, extra):
        super().__init__()
        self.stride, self.extra = stride, extra

    def forward(self, x):
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))


class SixN(nn.Module):
    """The network of 6n+2 layers."""

    def __init__(self, n, option, channels, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        before = 16
        for stage, width in enumerate((16, 32, 64), 1):
            blocks = []
            for i in range(n):
                stride = 2 if stage > 1 and i == 0 else 1
                shortcut = None
                if width != before and option == "A":
                    shortcut = OptionA(stride, width - before)
                elif width != before:
                    shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))
                blocks.append(tv.BasicBlock(before, width, stride, shortcut))
                before = width
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.fc(self.avgpool(x).flatten(1))


def make(member, channels, classes):
    if member in TIMM:
        return timm.create_model(member, in_chans=channels, num_classes=classes)
    base, _, variant = member.partition("-")
    if variant.startswith("cifar") and base not in IMAGENET:
        n = (int(base.removeprefix("resnet")) - 2) // 6
        return SixN(n, "B" if variant == "cifar-b" else "A", channels, classes)
    if base in IMAGENET:
        block, depths, groups, width = IMAGENET[base]
        m = tv.ResNet(block, list(depths), num_classes=classes, groups=groups, width_per_group=width)
    else:
        m = getattr(torchvision.models, base)(num_classes=classes)
    if variant == "cifar":
        m.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        m.maxpool, m.avgpool = nn.Identity(), nn.AvgPool2d(4)
    elif channels != 3:
        m.conv1 = nn.Conv2d(channels, 64, 7, 2, padding=3, bias=False)
    if variant == "v1":
        for block in m.modules():
            if isinstance(block, tv.Bottleneck):
                block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return m


RENAMED = {"global_pool.pool": "avgpool"}  # of timm


def case(member, shape, classes, with_params):
    with torch.device("meta"):
        m = make(member, shape[1], classes).eval()
        x = torch.empty(shape)
    outputs = {}
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Linear)
    for name, module in m.named_modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda _m, _i, out, name=RENAMED.get(name, name): outputs.__setitem__(name, list(out.shape)))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        m(x)
    c = {"member": member, "input": list(shape), "classes": classes, "macs": counter.get_total_flops() // 2, "outputs": outputs}
    if with_params:
        c["params"] = {k: list(v.shape) for k, v in m.state_dict().items() if not k.endswith("num_batches_tracked")}
    return c


def main():
    cases = []
    for base in IMAGENET:
        cases.append(case(base, (1, 3, 224, 224), 1000, True))
        cases.append(case(base + "-cifar", (1, 3, 32, 32), 10, True))
        if IMAGENET[base][0] is tv.Bottleneck:
            cases.append(case(base + "-v1", (1, 3, 224, 224), 1000, True))
    for name in ("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"):
        cases.append(case(name, (1, 3, 224, 224), 1000, True))
    for n in (20, 32, 44, 56, 110, 1202):
        for option in ("", "-b"):
            cases.append(case(f"resnet{n}-cifar{option}", (1, 3, 32, 32), 10, True))
    for name in TIMM:
        cases.append(case(name, (1, 3, 224, 224), 1000, True))
    # other batches, channels, classes, and pictures that are neither square nor even
    for member, shape, classes in (
        ("resnet18", (2, 1, 97, 131), 7),
        ("resnet50", (3, 4, 201, 63), 5),
        ("resnet50-v1", (2, 3, 65, 97), 3),
        ("resnext50_32x4d", (1, 3, 75, 33), 11),
        ("resnet18d", (2, 1, 97, 131), 7),
        ("resnet50s", (2, 4, 66, 103), 9),
        ("resnet26t", (1, 3, 229, 67), 5),
        ("seresnet34", (2, 3, 71, 99), 6),
        ("resnet20-cifar", (2, 1, 33, 29), 100),
        ("resnet32-cifar-b", (5, 2, 15, 31), 4),
        ("resnet18-cifar", (2, 6, 27, 49), 10),
        ("resnet50-cifar", (1, 3, 56, 25), 10),
    ):
        cases.append(case(member, shape, classes, False))
    made_with = f"python {platform.python_version()}, torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}"
    text = json.dumps({"made_with": made_with, "cases": cases}, separators=(",", ":"))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{OUT}: {len(cases)} cases, {OUT.stat().st_size} bytes ({made_with})")


if __name__ == "__main__":
    main()
