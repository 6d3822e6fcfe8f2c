"""Writes testdata/golden/heads.{json,f64}: the ends of classifiers, with the Grad-CAM map of every class (Selvaraju et al. 2017, equations 1
and 2, before the ReLU) from gradients that PyTorch's autograd computes in float64.

Made with Python 3.11.7, torch 2.9.1, numpy 2.4.6. Run: python tools/golden/ops/heads.py
"""
import math

import torch
import torch.nn.functional as F

from common import Case, write


def head(name, seed, n, c, h, w, k, bias=True, channels=6):
    """A convolution and a ReLU that make features, their mean, and a linear layer."""
    case = Case(name, seed)
    x = case.input("x", (n, channels, h, w))
    weight = case.param("conv.weight", (c, channels, 3, 3), std=math.sqrt(2 / (9 * channels)))
    y = case.node("conv", "conv2d", ["%x", "@conv.weight"], F.conv2d(x, weight, padding=1), padding=[1] * 4)
    features = F.relu(y).requires_grad_()
    case.node("relu", "relu", ["%conv"], features)
    pooled = features.mean((2, 3), keepdim=True)
    case.node("avgpool", "global_avg_pool", ["%relu"], pooled)
    case.node("flatten", "flatten", ["%avgpool"], pooled.flatten(1))
    fc = case.param("fc.weight", (k, c), std=1 / math.sqrt(c))
    b = case.param("fc.bias", (k,), std=0.5) if bias else None
    logits = F.linear(pooled.flatten(1), fc, b)
    case.node("fc", "linear", ["%flatten", "@fc.weight"] + ["@fc.bias"] * bias, logits, **({"bias": True} if bias else {}))
    case.output("fc")
    maps = []
    for i in range(k):
        (gradient,) = torch.autograd.grad(logits[:, i].sum(), features, retain_graph=True)
        alpha = gradient.mean((2, 3), keepdim=True)
        maps.append((alpha * features).sum(1))
    case.extra["gradcam"] = torch.stack(maps, 1).detach()
    return case


torch.set_num_threads(1)
write("heads", [
    head("square", 301, 2, 10, 7, 7, 9),
    head("tall", 302, 1, 33, 9, 4, 17),
    head("one-place", 303, 3, 12, 1, 1, 5),
    head("no-bias", 304, 2, 16, 3, 8, 11, bias=False),
])
