"""Writes testdata/golden/blocks.{json,f64}: residual blocks with every intermediate value, computed by torchvision's
BasicBlock and Bottleneck in float64 (with the shortcut replaced for option A).

Made with Python 3.11.7, torch 2.9.1, torchvision 0.24.1, numpy 2.4.6. Run: python tools/golden/ops/blocks.py
"""
import math

import torch
import torch.nn.functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck

from common import Case, write


class OptionA(torch.nn.Module):
    """The parameter-free shortcut of He et al. 2016: every stride-th row and column, channels of zeros around."""

    def __init__(self, stride, extra):
        super().__init__()
        self.stride, self.before, self.after = stride, extra // 2, extra - extra // 2

    def forward(self, x):
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


def projection(cin, cout, stride):
    return torch.nn.Sequential(torch.nn.Conv2d(cin, cout, 1, stride, bias=False), torch.nn.BatchNorm2d(cout))


def clones(module, before=False):
    """Records the inputs (before) or results of the module's calls; clones, for ReLU and += work in place."""
    calls = []
    if before:
        module.register_forward_pre_hook(lambda m, args: calls.append(args[0].detach().clone()))
    else:
        module.register_forward_hook(lambda m, args, out: calls.append(out.detach().clone()))
    return calls


def block(name, seed, module, x_shape):
    """Runs the module with seeded parameters and lists its values in the order in which it computes them."""
    c = Case(name, seed)
    x = c.input("x", x_shape)
    m = module.double().eval()
    for key, p in list(m.named_parameters()) + [b for b in m.named_buffers() if "num_batches" not in b[0]]:
        shape = tuple(p.shape)
        if len(shape) == 4:
            mean, std = 0.0, math.sqrt(2 / (shape[1] * shape[2] * shape[3]))
        elif key.endswith("running_var"):
            mean, std = 1.0, 0.4
        elif key.endswith("weight"):
            mean, std = 1.0, 0.2
        else:
            mean, std = 0.0, 0.3
        p.data.copy_(c.param(key, shape, std=std, mean=mean))
    n = 3 if isinstance(module, Bottleneck) else 2
    recorded = {k: clones(getattr(m, k)) for i in range(1, n + 1) for k in (f"conv{i}", f"bn{i}")}
    activated, summed = clones(m.relu), clones(m.relu, before=True)
    shortcut = {}
    if isinstance(m.downsample, torch.nn.Sequential):
        shortcut = {"downsample.0": clones(m.downsample[0]), "downsample.1": clones(m.downsample[1])}
    with torch.no_grad():
        y = m(x.clone())

    def conv(key, source, layer):
        c.node(key, "conv2d", [source, f"@{key}.weight"], value_of(key), stride=layer.stride, padding=layer.padding * 2, groups=layer.groups)

    def norm(key, source, layer):
        names = [f"@{key}.{p}" for p in ("weight", "bias", "running_mean", "running_var")]
        c.node(key, "batch_norm", [source] + names, value_of(key), epsilon=layer.eps)

    def value_of(key):
        return (recorded | shortcut)[key][0]

    source = "%x"
    for i in range(1, n + 1):
        conv(f"conv{i}", source, getattr(m, f"conv{i}"))
        norm(f"bn{i}", f"%conv{i}", getattr(m, f"bn{i}"))
        source = f"%bn{i}"
        if i < n:
            c.node(f"relu{i}", "relu", [source], activated[i - 1])
            source = f"%relu{i}"
    other = "%x"
    if shortcut:
        conv("downsample.0", "%x", m.downsample[0])
        norm("downsample.1", "%downsample.0", m.downsample[1])
        other = "%downsample.1"
    elif m.downsample is not None:
        a = m.downsample
        sub = c.node("shortcut.subsample", "subsample", ["%x"], x[:, :, :: a.stride, :: a.stride], stride=(a.stride, a.stride))
        c.node("shortcut.pad", "channel_pad", ["%shortcut.subsample"], a(x), before=a.before, after=a.after)
        other = "%shortcut.pad"
    c.node("add", "add", [source, other], summed[-1])
    c.node(f"relu{n}", "relu", ["%add"], y)
    c.output(f"relu{n}")
    return c


torch.set_num_threads(1)
write("blocks", [
    block("basic-plain", 101, BasicBlock(10, 10), (2, 10, 7, 5)),
    block("basic-projection-stride2", 102, BasicBlock(6, 10, stride=2, downsample=projection(6, 10, 2)), (2, 6, 9, 12)),
    block("basic-option-a-stride2", 103, BasicBlock(5, 12, stride=2, downsample=OptionA(2, 7)), (2, 5, 9, 12)),
    block("bottleneck-plain", 104, Bottleneck(12, 3), (2, 12, 7, 6)),
    block("bottleneck-projection-stride2", 105, Bottleneck(6, 5, stride=2, downsample=projection(6, 20, 2)), (2, 6, 9, 12)),
    block("bottleneck-option-a-stride2", 106, Bottleneck(7, 5, stride=2, downsample=OptionA(2, 13)), (1, 7, 10, 7)),
    block("bottleneck-groups-projection", 107, Bottleneck(9, 6, downsample=projection(9, 24, 1), groups=4, base_width=32), (1, 9, 5, 7)),
])
