#!/usr/bin/env python3
"""Writes graph/resnet/testdata/structure.json.gz: what PyTorch says about every member of the family.

Made with Python 3.11, torch 2.9.1, torchvision 0.24.1, timm 1.0.31. Run from the root of the repository:

    python tools/golden/resnet/structure.py

Each case holds the member's name, the shape of its input and number of classes, and from the model in PyTorch: the
multiply-accumulates (torch.utils.flop_counter, halved, without those of blurs), the shapes of what each convolution, norm, pool and
linear layer returns under the name that package resnet gives it, and, for the first case of a member, the names and shapes of the state dictionary. Everything runs
on torch's meta device, which computes shapes only.

The ImageNet networks are torchvision's, those in the list TIMM timm's. Those with a CIFAR stem are assembled from torchvision's blocks, with the stem,
pool and shortcuts that He et al. 2016 section 4.2 describes.
"""
import gzip
import json
import pathlib
import platform
import re

import timm
import torch
import torch.nn.functional as F
import torchvision
from timm.layers import BlurPool2d
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


TIMM = """
resnet10t resnet14t resnet18d resnet26 resnet26d resnet26t resnet34d resnet50c resnet50d resnet50s resnet50t
resnet101c resnet101d resnet101s resnet152c resnet152d resnet152s resnet200 resnet200d resnext50d_32x4d resnext101_32x4d resnext101_32x16d resnext101_32x32d
seresnet18 seresnet34 seresnet50 seresnet50t seresnet101 seresnet152 seresnet152d seresnet200d seresnet269d seresnext26d_32x4d seresnext26t_32x4d
seresnext50_32x4d seresnext101_32x4d seresnext101_32x8d seresnext101d_32x8d seresnext101_64x4d
ecaresnet26t ecaresnet50d ecaresnet50t ecaresnet101d ecaresnet200d ecaresnet269d ecaresnext26t_32x4d ecaresnext50t_32x4d ecaresnetlight
resnetaa34d resnetaa50 resnetaa50d resnetaa101d seresnetaa50d seresnextaa101d_32x8d seresnextaa201d_32x8d resnetblur18 resnetblur50 resnetblur50d resnetblur101d
resnetrs50 resnetrs101 resnetrs152 resnetrs200 resnetrs270 resnetrs350 resnetrs420
resnest14d resnest26d resnest50d resnest101e resnest200e resnest269e resnest50d_1s4x24d resnest50d_4s2x40d
skresnet18 skresnet34 skresnet50 skresnet50d skresnext50_32x4d
res2net50_14w_8s res2net50_26w_4s res2net50_26w_6s res2net50_26w_8s res2net50_48w_2s res2net50d res2net101_26w_4s res2net101d res2next50
resnetv2_18 resnetv2_18d resnetv2_34 resnetv2_34d resnetv2_50 resnetv2_50d resnetv2_50t resnetv2_101 resnetv2_101d resnetv2_152 resnetv2_152d resnetv2_50d_gn
resnetv2_50x1_bit resnetv2_50x3_bit resnetv2_101x1_bit resnetv2_101x3_bit resnetv2_152x2_bit resnetv2_152x4_bit resnet50_gn
""".split()


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


RENAMED = {  # modules of timm
    "global_pool.pool": "avgpool", "head.global_pool.pool": "avgpool", "head.fc": "fc", "stem.pool": "maxpool", "stem.conv": "conv1",
    "stem.conv1": "conv1.0", "stem.norm1": "conv1.1", "stem.conv2": "conv1.3", "stem.norm2": "conv1.4", "stem.conv3": "conv1.6",
}


def renamed(module):
    if m := re.fullmatch(r"stages\.(\d)\.blocks\.(.+)", module):
        return f"layer{int(m[1]) + 1}.{m[2]}"
    return RENAMED.get(module, module)


def shape_of(name, module, out):
    """As graphs have it: a convolution of one dimension is one of two, and a classifier that is a convolution is linear."""
    if isinstance(module, nn.Conv1d):
        return [*out.shape, 1]
    return list(out.shape[:2] if name == "fc" else out.shape)


def case(member, shape, classes, with_params):
    with torch.device("meta"):
        m = make(member, shape[1], classes).eval()
        x = torch.empty(shape)
    outputs, blurs = {}, [0]
    kinds = (nn.Conv2d, nn.Conv1d, nn.BatchNorm2d, nn.GroupNorm, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Linear, BlurPool2d)

    def look(name):
        def hook(module, _inputs, out):
            outputs[name] = shape_of(name, module, out)
            if isinstance(module, BlurPool2d):
                blurs[0] += out.numel() * module.filt_size**2
        return hook

    for name, module in m.named_modules():
        if isinstance(module, kinds):
            module.register_forward_hook(look(renamed(name)))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        m(x)
    macs = counter.get_total_flops() // 2 - blurs[0]  # a blur has no parameters, and need not be a convolution
    c = {"member": member, "input": list(shape), "classes": classes, "macs": macs, "outputs": outputs}
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
        ("ecaresnetlight", (2, 3, 93, 67), 6),
        ("resnetaa34d", (1, 3, 64, 160), 4),
        ("resnetblur18", (2, 1, 73, 101), 5),
        ("resnetblur50d", (1, 3, 65, 102), 5),
        ("resnetrs50", (2, 3, 77, 101), 6),
        ("resnest14d", (1, 3, 83, 131), 3),
        ("resnest50d_4s2x40d", (2, 3, 71, 90), 3),
        ("skresnet18", (2, 4, 93, 67), 8),
        ("skresnext50_32x4d", (1, 3, 70, 95), 8),
        ("res2net50_26w_4s", (2, 3, 71, 99), 9),
        ("resnetv2_18d", (2, 3, 69, 94), 2),
        ("resnetv2_50", (1, 1, 71, 99), 2),
        ("resnetv2_50x1_bit", (2, 3, 97, 66), 7),
        ("resnet50_gn", (1, 3, 70, 93), 4),
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
