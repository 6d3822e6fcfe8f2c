"""Writes testdata/golden/ops.{json,f64}: random asymmetric geometries of every op, computed by PyTorch in float64.

Made with Python 3.11.7, torch 2.9.1, numpy 2.4.6. Run: python tools/golden/ops/ops.py
"""
import random

import torch
import torch.nn.functional as F

from common import Case, write

MAX_ELEMS = 320  # of a result
MOST = {"depthwise": 9, "channels": 9, "side": 14, "kernel": 5, "pad": 3, "planes": 7, "pool_side": 13, "pool_kernel": 5}  # geometry.py has more
rng = random.Random(20240229)
cases = []


def new(op, detail):
    c = Case(f"{op}/{len(cases):03d}-{detail}", seed=len(cases) + 1)
    cases.append(c)
    return c


def pair(lo, hi):
    return (rng.randint(lo, hi), rng.randint(lo, hi))


def extent(size, pad, kernel, stride, dilation=1):
    return (size + pad - dilation * (kernel - 1) - 1) // stride + 1


def torch_pad(pad):  # ours is top, left, bottom, right; F.pad wants left, right, top, bottom
    top, left, bottom, right = pad
    return (left, right, top, bottom)


def conv():
    while True:
        groups = rng.choice([1, 1, 1, 2, 3, 4, 0])  # 0: depthwise
        if groups == 0:
            groups = rng.randint(2, MOST["depthwise"])
            cg, kg = 1, rng.randint(1, 2)
        else:
            cg, kg = rng.randint(1, MOST["channels"]), rng.randint(1, MOST["channels"])
        n, (h, w) = rng.randint(1, 3), pair(1, MOST["side"])
        kernel = rng.choice([(1, 1), (3, 3), (7, 7), pair(1, MOST["kernel"]), pair(1, MOST["kernel"])])
        stride, dilation = rng.choice([(1, 1), (2, 2), pair(1, 3)]), rng.choice([(1, 1), (1, 1), pair(1, 3)])
        pad = rng.choice([(0,) * 4, (kernel[0] // 2, kernel[1] // 2) * 2, tuple(rng.randint(0, MOST["pad"]) for _ in range(4))])
        if h + pad[0] + pad[2] < dilation[0] * (kernel[0] - 1) + 1 or w + pad[1] + pad[3] < dilation[1] * (kernel[1] - 1) + 1:
            continue
        p = extent(h, pad[0] + pad[2], kernel[0], stride[0], dilation[0])
        q = extent(w, pad[1] + pad[3], kernel[1], stride[1], dilation[1])
        k = groups * kg
        if n * k * p * q <= MAX_ELEMS:
            break
    c = new("conv2d", f"n{n}c{groups * cg}h{h}w{w}k{k}r{kernel[0]}s{kernel[1]}g{groups}")
    x = c.input("x", (n, groups * cg, h, w))
    weight = c.param("w", (k, cg) + kernel, std=(cg * kernel[0] * kernel[1]) ** -0.5)
    inputs, attrs, bias = ["%x", "@w"], dict(stride=stride, padding=pad, dilation=dilation, groups=groups), None
    if rng.random() < 0.6:
        bias = c.param("b", (k,), std=0.5)
        inputs.append("@b")
        attrs["bias"] = True
    y = F.conv2d(F.pad(x, torch_pad(pad)), weight, bias, stride=stride, dilation=dilation, groups=groups)
    if rng.random() < 0.4:
        y = y + c.input("shortcut", tuple(y.shape))
        inputs.append("%shortcut")
        attrs["add"] = True
    if rng.random() < 0.5:
        y = F.relu(y)
        attrs["act"] = "relu"
    c.node("y", "conv2d", inputs, y, **attrs)
    c.output("y")


def pool_geometry():
    """Draws sizes until a pool of them is allowed: padding below the kernel, at least one window."""
    while True:
        n, ch, (h, w) = rng.randint(1, 3), rng.randint(1, MOST["planes"]), pair(1, MOST["pool_side"])
        kernel, stride = rng.choice([(3, 3), (2, 2), pair(1, MOST["pool_kernel"]), pair(1, MOST["pool_kernel"])]), rng.choice([(2, 2), pair(1, 4), pair(1, 4)])
        pad = tuple(rng.randint(0, k - 1) for k in (kernel[0], kernel[1], kernel[0], kernel[1]))
        if rng.random() < 0.4:
            pad = (min(1, kernel[0] - 1), min(1, kernel[1] - 1)) * 2
        ceil = rng.random() < 0.5
        if h + pad[0] + pad[2] < kernel[0] or w + pad[1] + pad[3] < kernel[1]:
            continue
        # A window that ceil mode adds must begin in the input or the padding before it. PyTorch's own rule, for
        # its equal paddings on both sides, applied here to each side.
        out = []
        for size, before, after, k, s in ((h, pad[0], pad[2], kernel[0], stride[0]), (w, pad[1], pad[3], kernel[1], stride[1])):
            windows = (size + before + after - k) // s + 1
            if ceil and (size + before + after - k) % s and windows * s < size + before:
                windows += 1
            out.append(windows)
        if n * ch * out[0] * out[1] <= MAX_ELEMS:
            return n, ch, h, w, kernel, stride, pad, ceil, out


def pool_reference(x, kernel, stride, pad, ceil, out, f, fill):
    """Runs f on the explicitly padded input and cuts to the windows that count. The callers check this against
    PyTorch's own padding where that can express it (torch_can)."""
    return f(F.pad(x, torch_pad(pad), value=fill), kernel, stride, 0, ceil)[:, :, : out[0], : out[1]]


def torch_can(kernel, pad):
    """PyTorch's pools pad equally on both sides, by at most half the kernel."""
    return pad[0] == pad[2] and pad[1] == pad[3] and pad[0] <= kernel[0] // 2 and pad[1] <= kernel[1] // 2


def max_pool():
    n, ch, h, w, kernel, stride, pad, ceil, out = pool_geometry()
    c = new("max_pool", f"n{n}c{ch}h{h}w{w}k{kernel[0]}x{kernel[1]}{'-ceil' if ceil else ''}")
    x = c.input("x", (n, ch, h, w), mean=-1.0)
    f = lambda t, k, s, p, ceil: F.max_pool2d(t, k, s, p, ceil_mode=ceil)
    y = pool_reference(x, kernel, stride, pad, ceil, out, f, float("-inf"))
    if torch_can(kernel, pad):
        own = f(x, kernel, stride, (pad[0], pad[1]), ceil)
        assert own.shape == y.shape and torch.equal(own, y), c.name
    c.node("y", "max_pool", ["%x"], y, kernel=kernel, stride=stride, padding=pad, ceil_mode=ceil)
    c.output("y")


def avg_pool():
    n, ch, h, w, kernel, stride, pad, ceil, out = pool_geometry()
    include = rng.random() < 0.5
    c = new("avg_pool", f"n{n}c{ch}h{h}w{w}k{kernel[0]}x{kernel[1]}{'-ceil' if ceil else ''}{'-pad' if include else ''}")
    x = c.input("x", (n, ch, h, w), mean=0.5)
    mean = lambda t, k, s, p, ceil: F.avg_pool2d(t, k, s, p, ceil_mode=ceil, count_include_pad=True)
    total = lambda t, k, s, p, ceil: F.avg_pool2d(t, k, s, p, ceil_mode=ceil, divisor_override=1)
    if include:
        y = pool_reference(x, kernel, stride, pad, ceil, out, mean, 0.0)
    else:
        count = pool_reference(torch.ones_like(x), kernel, stride, pad, ceil, out, total, 0.0)
        y = pool_reference(x, kernel, stride, pad, ceil, out, total, 0.0) / count
    if torch_can(kernel, pad):
        own = F.avg_pool2d(x, kernel, stride, (pad[0], pad[1]), ceil_mode=ceil, count_include_pad=include)
        assert own.shape == y.shape and torch.allclose(own, y, rtol=1e-13, atol=1e-13), c.name
        y = own
    c.node("y", "avg_pool", ["%x"], y, kernel=kernel, stride=stride, padding=pad, ceil_mode=ceil, count_include_pad=include)
    c.output("y")


def any_nchw(limit=MAX_ELEMS):
    while True:
        s = (rng.randint(1, 3), rng.randint(1, 9)) + pair(1, 11)
        if s[0] * s[1] * s[2] * s[3] <= limit:
            return s


def batch_norm():
    s = any_nchw()
    c = new("batch_norm", "x".join(map(str, s)))
    x = c.input("x", s, mean=0.25, std=2.0)
    weight, bias = c.param("weight", s[1:2], mean=1.0, std=0.4), c.param("bias", s[1:2], std=0.5)
    mean, var = c.param("mean", s[1:2], mean=0.25), c.param("var", s[1:2], mean=1.0, std=0.55)
    eps = rng.choice([1e-5, 1e-3, 1e-12, 0.125])
    y = F.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)
    c.node("y", "batch_norm", ["%x", "@weight", "@bias", "@mean", "@var"], y, epsilon=eps)
    c.output("y")


def linear():
    n, cin, k = rng.randint(1, 5), rng.randint(1, 70), rng.randint(1, 40)
    c = new("linear", f"n{n}c{cin}k{k}")
    x, w = c.input("x", (n, cin)), c.param("w", (k, cin), std=cin**-0.5)
    bias = c.param("b", (k,)) if rng.random() < 0.7 else None
    y = F.linear(x, w, bias)
    if bias is None:
        c.node("y", "linear", ["%x", "@w"], y)
    else:
        c.node("y", "linear", ["%x", "@w", "@b"], y, bias=True)
    c.output("y")


def softmax():
    shape = rng.choice([(rng.randint(1, 6), rng.randint(1, 60)), (rng.randint(1, 90),), (2, 3, 4, rng.randint(1, 9))])
    c = new("softmax", "x".join(map(str, shape)))
    x = c.input("x", shape, std=rng.choice([0.5, 3.0, 20.0]), mean=rng.choice([0.0, 50.0, -200.0]))
    c.node("y", "softmax", ["%x"], F.softmax(x, dim=-1))
    c.output("y")


def option_a():
    s = any_nchw(160)
    stride, before, after = rng.choice([(2, 2), pair(1, 4)]), rng.randint(0, 5), rng.randint(0, 5)
    c = new("option_a", f"n{s[0]}c{s[1]}h{s[2]}w{s[3]}")
    x = c.input("x", s)
    y = c.node("sub", "subsample", ["%x"], x[:, :, :: stride[0], :: stride[1]], stride=stride)
    c.node("y", "channel_pad", ["%sub"], F.pad(y, (0, 0, 0, 0, before, after)), before=before, after=after)
    c.output("y")


def unary(op, f):
    s = any_nchw()
    c = new(op, "x".join(map(str, s)))
    x = c.input("x", s)
    c.node("y", op, ["%x"], f(x))
    c.output("y")


def add():
    s = any_nchw()
    c = new("add", "x".join(map(str, s)))
    a, b = c.input("a", s), c.input("b", s, std=0.01)
    c.node("y", "add", ["%a", "%b"], a + b)
    c.output("y")


def gate():
    s = any_nchw()
    c = new("gate", "x".join(map(str, s)))
    x, g = c.input("x", s), c.input("s", s[:2] + (1, 1), std=rng.choice([0.5, 3.0, 20.0]))
    y, inputs, attrs = x * torch.sigmoid(g), ["%x", "%s"], {}
    if rng.random() < 0.5:
        y = y + c.input("shortcut", s)
        inputs.append("%shortcut")
        attrs["add"] = True
    if rng.random() < 0.5:
        y = F.relu(y)
        attrs["act"] = "relu"
    c.node("y", "gate", inputs, y, **attrs)
    c.output("y")


def divisor(n):
    return rng.choice([d for d in range(1, n + 1) if n % d == 0])


def relu_or_not(y, attrs):
    if rng.random() < 0.5:
        attrs["act"] = "relu"
        y = F.relu(y)
    return y


def group_norm():
    n, (h, w) = rng.randint(1, 3), pair(1, 9)
    ch = rng.choice([rng.randint(1, 9), 12, 32, 33])
    while n * ch * h * w > MAX_ELEMS:
        n, (h, w) = rng.randint(1, 2), pair(1, 7)
    groups = rng.choice([1, ch, divisor(ch), divisor(ch)])
    if h * w == 1:
        w = 2  # PyTorch refuses a group of one element
    eps = rng.choice([1e-5, 1e-3, 1e-12, 0.125])
    c = new("group_norm", f"n{n}c{ch}h{h}w{w}g{groups}")
    x = c.input("x", (n, ch, h, w), mean=rng.choice([0.25, -30.0]), std=2.0)
    weight, bias = c.param("weight", (ch,), mean=1.0, std=0.4), c.param("bias", (ch,), std=0.5)
    attrs = dict(groups=groups, epsilon=eps)
    y = relu_or_not(F.group_norm(x, groups, weight, bias, eps), attrs)
    c.node("y", "group_norm", ["%x", "@weight", "@bias"], y, **attrs)
    c.output("y")


def split_attention():
    """As timm's RadixSoftmax and the sum after it (timm/layers/split_attn.py)."""
    radix, groups = rng.choice([(1, 1), (2, 1), (3, 1), (4, 2), (2, rng.randint(2, 4)), (rng.randint(2, 4), rng.randint(1, 3))])
    n, ch, (h, w) = rng.randint(1, 3), groups * rng.randint(1, 5), pair(1, 7)
    while n * ch * h * w > MAX_ELEMS:
        n, (h, w) = rng.randint(1, 2), pair(1, 5)
    c = new("split_attention", f"n{n}c{ch}h{h}w{w}r{radix}g{groups}")
    x, s = c.input("x", (n, radix * ch, h, w)), c.input("s", (n, radix * ch, 1, 1), std=rng.choice([0.5, 3.0, 20.0]), mean=rng.choice([0.0, 50.0]))
    a = F.softmax(s.view(n, groups, radix, -1).transpose(1, 2), dim=1).reshape(n, radix, ch, 1, 1)
    y, inputs, attrs = (x.view(n, radix, ch, h, w) * a).sum(dim=1), ["%x", "%s"], dict(radix=radix, groups=groups)
    if rng.random() < 0.5:
        y = y + c.input("shortcut", (n, ch, h, w))
        inputs.append("%shortcut")
        attrs["add"] = True
    y = relu_or_not(y, attrs)
    c.node("y", "split_attention", inputs, y, **attrs)
    c.output("y")


def concat():
    n, (h, w) = rng.randint(1, 3), pair(1, 5)
    channels = [rng.randint(1, 7) for _ in range(rng.randint(1, 5))]
    c = new("concat", f"n{n}c{'+'.join(map(str, channels))}h{h}w{w}")
    parts = [c.input(f"x{i}", (n, k, h, w)) for i, k in enumerate(channels)]
    inputs = [f"%x{i}" for i in range(len(parts))]
    if rng.random() < 0.5:
        parts.append(parts[0])
        inputs.append(inputs[0])
    c.node("y", "concat", inputs, torch.cat(parts, dim=1))
    c.output("y")


def channel_slice():
    s = any_nchw()
    begin = rng.randint(0, s[1] - 1)
    end = rng.randint(begin + 1, s[1])
    c = new("channel_slice", f"{'x'.join(map(str, s))}-{begin}-{end}")
    x = c.input("x", s)
    c.node("y", "channel_slice", ["%x"], x[:, begin:end], begin=begin, end=end)
    c.output("y")


def spatial_pad():
    s, reflect = any_nchw(60), rng.random() < 0.5
    most = (s[2] - 1, s[3] - 1) if reflect else (4, 4)
    pad = tuple(rng.randint(0, most[i % 2]) for i in range(4))
    if s[0] * s[1] * (s[2] + pad[0] + pad[2]) * (s[3] + pad[1] + pad[3]) > MAX_ELEMS:
        pad = tuple(min(p, 1) for p in pad)
    c = new("spatial_pad", f"{'x'.join(map(str, s))}{'-reflect' if reflect else ''}")
    x = c.input("x", s)
    c.node("y", "spatial_pad", ["%x"], F.pad(x, torch_pad(pad), mode="reflect" if reflect else "constant"), padding=pad, reflect=reflect)
    c.output("y")


def reshape():
    s = any_nchw()
    size = s[1] * s[2] * s[3]
    k = divisor(size)
    h = divisor(size // k)
    to = (k, h, size // k // h)
    c = new("reshape", f"{'x'.join(map(str, s))}-{'x'.join(map(str, to))}")
    x = c.input("x", s)
    c.node("y", "reshape", ["%x"], x.reshape(s[0], *to), to=to)
    c.output("y")


ALL = [
    (150, conv), (45, max_pool), (60, avg_pool), (20, batch_norm), (15, linear), (12, softmax), (20, option_a),
    (8, lambda: unary("relu", F.relu)), (8, add), (12, lambda: unary("global_avg_pool", lambda x: F.adaptive_avg_pool2d(x, 1))),
    (5, lambda: unary("flatten", lambda x: x.flatten(1))), (16, gate),
    (30, group_norm), (30, split_attention), (12, concat), (10, channel_slice), (24, spatial_pad), (8, reshape),
]

if __name__ == "__main__":
    for count, make in ALL:
        for _ in range(count):
            make()
    torch.set_num_threads(1)
    write("ops", cases)
