#!/usr/bin/env python3
"""Writes graph/testdata/geometry.txt: the shapes that PyTorch gives for random geometries of the layers.

Made with Python 3.11, torch 2.9.1. Run from the root of the repository:

    python tools/golden/resnet/geometry.py

Each line is an op in the text form of package graph with types in place of its inputs, and the type of the result, or
"error" where PyTorch refuses. Nothing is symmetric unless chance makes it so. Padding that differs from side to side is
made by padding first; PyTorch has no such padding for pools in ceil mode, so those are padded alike on both sides.
"""
import pathlib
import random

import torch
import torch.nn.functional as F

OUT = pathlib.Path("graph/testdata/geometry.txt")
R = random.Random(20160627)


def typ(shape):
    return "float32[" + ",".join(str(d) for d in shape) + "]"


def pair(v):
    return f"{v[0]},{v[1]}"


def line(name, inputs, attrs, run):
    tensors = [torch.zeros(s) for s in inputs]
    try:
        out = typ(run(*tensors).shape)
    except RuntimeError:
        out = "error"
    words = "".join(f" {k}={v}" for k, v in attrs)
    return f"{name}({', '.join(typ(s) for s in inputs)}){words} : {out}"


def two(low, high):
    return (R.randint(low, high), R.randint(low, high))


def conv():
    groups = R.choice((1, 1, 2, 3, 8))
    cg, kg = R.randint(1, 5), R.randint(1, 5)
    h, w = two(1, 24)
    kernel, stride, dilation = two(1, 7), two(1, 4), two(1, 3)
    t, l, b, r = (R.randint(0, 4) for _ in range(4))
    attrs = [("stride", pair(stride)), ("padding", f"{t},{l},{b},{r}"), ("dilation", pair(dilation)), ("groups", groups)]
    x, k = (R.randint(0, 3), cg * groups, h, w), (kg * groups, cg, *kernel)
    bias = R.random() < 0.5
    inputs = [x, k] + ([(kg * groups,)] if bias else [])
    if bias:
        attrs.append(("bias", "true"))
    if R.random() < 0.1:  # one wrong number of channels
        inputs[1] = (kg * groups, cg + 1, *kernel)
    return line("conv2d", inputs, attrs, lambda x, w, bias=None: F.conv2d(F.pad(x, (l, r, t, b)), w, bias, stride, 0, dilation, groups))


def pool(name):
    kernel, stride = two(1, 6), two(1, 5)
    ceil = R.random() < 0.6
    ph, pw = R.randint(0, kernel[0] // 2), R.randint(0, kernel[1] // 2)
    t, l, b, r = ph, pw, ph, pw
    x = (R.randint(1, 3), R.randint(1, 5), *two(1, 24))
    if not ceil:
        t, l, b, r = R.randint(0, kernel[0] - 1), R.randint(0, kernel[1] - 1), R.randint(0, kernel[0] - 1), R.randint(0, kernel[1] - 1)
    attrs = [("kernel", pair(kernel)), ("stride", pair(stride)), ("padding", f"{t},{l},{b},{r}"), ("ceil_mode", str(ceil).lower())]
    op = F.max_pool2d if name == "max_pool" else F.avg_pool2d

    def run(x):
        if ceil:
            return op(x, kernel, stride, (ph, pw), ceil_mode=True)
        return op(F.pad(x, (l, r, t, b)), kernel, stride)

    return line(name, [x], attrs, run)


def other():
    x = (R.randint(0, 4), R.randint(1, 9), *two(1, 17))
    stride, before, after = two(1, 5), R.randint(0, 7), R.randint(0, 7)
    c, k = R.randint(1, 40), R.randint(1, 30)
    return [
        line("subsample", [x], [("stride", pair(stride))], lambda x: x[:, :, :: stride[0], :: stride[1]]),
        line("channel_pad", [x], [("before", before), ("after", after)], lambda x: F.pad(x, (0, 0, 0, 0, before, after))),
        line("global_avg_pool", [x], [], lambda x: F.adaptive_avg_pool2d(x, 1)),
        line("flatten", [x], [], lambda x: x.flatten(1)),
        line("linear", [(x[0], c), (k, c), (k,)], [("bias", "true")], F.linear),
        line("linear", [(x[0], c), (k, c + R.randint(0, 1))], [], F.linear),
        line("softmax", [(x[0], c)], [], lambda x: F.softmax(x, -1)),
        line("gate", [x, x[:2] + (1, 1)], [], lambda x, s: x * torch.sigmoid(s)),
    ]


def family():
    """What the members of the family have beyond ResNet's own layers."""
    n, c, (h, w) = R.randint(1, 3), R.randint(1, 9), two(1, 9)  # of nothing, PyTorch makes any shape
    groups, radix = R.randint(1, 4), R.randint(1, 4)
    x, k = (n, c * groups, h, w), c * groups + (R.random() < 0.2)

    def attend(x, s):  # timm/layers/split_attn.py
        a = F.softmax(s.view(n, groups, radix, k // groups, 1).transpose(1, 2), dim=1).reshape(n, radix, k, 1, 1)
        return (x.view(n, radix, k, h, w) * a).sum(1)

    wide = (n, radix * k, h, w)
    lines = [
        line("group_norm", [x, x[1:2], x[1:2]], [("groups", groups), ("epsilon", "1e-05")], lambda x, g, b: F.group_norm(x, groups, g, b, 1e-5)),
        line("group_norm", [x, x[1:2], x[1:2]], [("groups", c * groups + 1), ("epsilon", "1e-05")], lambda x, g, b: F.group_norm(x, c * groups + 1, g, b, 1e-5)),
        line("split_attention", [wide, wide[:2] + (1, 1)], [("radix", radix), ("groups", groups)], attend),
    ]
    parts = [(n, R.randint(1, 9), h, w + (R.random() < 0.1)) for _ in range(R.randint(1, 5))]
    lines.append(line("concat", parts, [], lambda *parts: torch.cat(parts, dim=1)))
    begin, end = R.randint(0, x[1] - 1), R.randint(1, x[1])
    if begin < end:
        lines.append(line("channel_slice", [x], [("begin", begin), ("end", end)], lambda x: x[:, begin:end]))
    t, l, b, r = (R.randint(0, 5) for _ in range(4))
    pad = [("padding", f"{t},{l},{b},{r}")]
    lines.append(line("spatial_pad", [x], pad, lambda x: F.pad(x, (l, r, t, b))))
    lines.append(line("spatial_pad", [x], pad + [("reflect", "true")], lambda x: F.pad(x, (l, r, t, b), mode="reflect")))
    to = R.choice([(1, x[1], h * w), (x[1] * h, w, 1), (w, x[1], h), (2, x[1], h * w)])
    lines.append(line("reshape", [x], [("to", ",".join(map(str, to)))], lambda x: x.reshape(n, *to)))
    return lines


def main():
    lines = [conv() for _ in range(160)]
    lines += [pool(n) for n in ("max_pool", "avg_pool") for _ in range(110)]
    for _ in range(6):
        lines += other()
    for _ in range(20):
        lines += family()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    head = f"# Made by tools/golden/resnet/geometry.py with torch {torch.__version__}.\n"
    OUT.write_text(head + "\n".join(lines) + "\n")
    print(f"{OUT}: {len(lines)} lines, {sum(l.endswith('error') for l in lines)} errors, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
