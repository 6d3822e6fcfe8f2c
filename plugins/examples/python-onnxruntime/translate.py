"""From the protocol's graphs to ONNX models. The formulas of the operations stand in backend.proto.

Where ONNX Runtime computes an operation otherwise than the protocol wants it, it is put together from others.
"""
import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from errors import invalid, misfit, unsupported
from resnet.backend.v1 import backend_pb2 as pb

OPSET, IR = 20, 10
BYTES = {pb.DTYPE_FLOAT32: 4, pb.DTYPE_FLOAT16: 2, pb.DTYPE_BFLOAT16: 2, pb.DTYPE_INT8: 1, pb.DTYPE_UINT8: 1, pb.DTYPE_INT32: 4}


def size(t):
    """The bytes of a tensor. Raises Failure for what is no type, or one of a later version."""
    if t.dtype == pb.DTYPE_UNSPECIFIED or len(t.shape) > 6 or any(n < 0 for n in t.shape):
        raise invalid(f"tensor type: want an element type and at most 6 dimensions of 0 or more, got {t.dtype} {list(t.shape)[:7]}")
    if t.dtype not in BYTES:
        raise unsupported("dtype", "one that this version knows", f"number {t.dtype}")
    n = math.prod(t.shape) * BYTES[t.dtype]
    if n >= 1 << 63:
        raise invalid(f"tensor type: want fewer than 2^63 bytes, got {n}")
    return n


# A mean is computed as a convolution with this many ones a channel at most.
MOST_ONES = 1 << 16


def refuse(name, op, inputs, result):
    """Raises Failure for a node that this backend does not run: Supports and Compile alike."""
    kind = op.WhichOneof("kind")
    if kind not in LOWER:
        raise unsupported("op", "one that this version knows", kind)
    for t in [*inputs, result]:
        if size(t) and t.dtype != pb.DTYPE_FLOAT32:
            raise unsupported("dtype", "float32", pb.DType.Name(t.dtype))
    o = getattr(op, kind)
    if getattr(o, "activation", pb.ACTIVATION_NONE) not in (pb.ACTIVATION_NONE, pb.ACTIVATION_RELU):
        raise unsupported("activation", "none or relu", o.activation)
    if size(result) and not all(size(t) for t in inputs):
        raise unsupported("input", "one with elements", "none")
    for part in ("stride", "dilation", "kernel"):
        extent = getattr(o, part, None)
        if extent is not None and not (0 < extent.rows <= 1 << 24 and 0 < extent.columns <= 1 << 24):
            raise misfit(part, "1 to 2^24", f"{extent.rows}x{extent.columns}", name)
    if kind == "avg_pool" and op.avg_pool.kernel.rows * op.avg_pool.kernel.columns > MOST_ONES:
        raise unsupported("kernel", f"at most {MOST_ONES} elements", f"{op.avg_pool.kernel.rows}x{op.avg_pool.kernel.columns}")
    if not 0 < getattr(o, "epsilon", 1) < math.inf:
        raise misfit("epsilon", "a finite number above 0", o.epsilon, name)
    around = getattr(o, "padding", pb.Padding())
    counts = {part: getattr(around, part) for part in ("top", "left", "bottom", "right")}
    counts.update((part, getattr(o, part, 0)) for part in ("before", "after", "begin", "end"))
    for part, n in counts.items():
        if n < 0:  # ONNX takes these to cut something off, or as counted from the end
            raise misfit(part, "0 or more", n, name)


class Builder:
    """An ONNX graph that is being made."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, array):
        name = f"constant:{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op, *inputs, **attributes):
        name = f"step:{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name


def reshape(b, x, *shape):
    return b.add("Reshape", x, b.constant(np.array(shape, np.int64)), allowzero=1)


def pads(p, more=(0, 0)):
    return [p.top, p.left, p.bottom + more[0], p.right + more[1]]


def pair(extent):
    return [extent.rows, extent.columns]


def beyond(o, x, y):
    """How far ceil_mode makes the last windows reach beyond the padding."""
    def one(length, window, stride, before, after, count):
        return max(0, (count - 1) * stride + window - length - before - after)

    return (one(x[2], o.kernel.rows, o.stride.rows, o.padding.top, o.padding.bottom, y[2]),
            one(x[3], o.kernel.columns, o.stride.columns, o.padding.left, o.padding.right, y[3]))


def conv2d(b, o, x, types):
    rest = x[2:]
    bias = [rest.pop(0)] if o.bias else []
    y = b.add("Conv", *x[:2], *bias, strides=pair(o.stride), dilations=pair(o.dilation), pads=pads(o.padding), group=o.groups)
    if o.add:
        y = b.add("Add", y, rest.pop(0))
    return b.add("Relu", y) if o.activation == pb.ACTIVATION_RELU else y


def max_pool(b, o, x, types):
    shape, result = types[0].shape, types[-1].shape
    window = dict(kernel_shape=pair(o.kernel), strides=pair(o.stride), pads=pads(o.padding, beyond(o, shape, result)))
    # ONNX Runtime's MaxPool overlooks NaN, and makes -infinity the least finite number where there is padding.
    nan = b.add("IsNaN", x[0])
    marks = b.add("MaxPool", b.add("Cast", nan, to=TensorProto.FLOAT), **window)
    least = b.add("MaxPool", b.add("Cast", b.add("Not", b.add("IsInf", x[0], detect_positive=0)), to=TensorProto.FLOAT), **window)
    clean = b.add("MaxPool", b.add("Where", nan, b.constant(np.float32(-np.inf)), x[0]), **window)
    half = b.constant(np.float32(0.5))
    y = b.add("Where", b.add("Less", least, half), b.constant(np.float32(-np.inf)), clean)
    return b.add("Where", b.add("Greater", marks, half), b.constant(np.float32(np.nan)), y)


def avg_pool(b, o, x, types):
    """A sum, which is a convolution with ones, through what each window counts."""
    shape, result = types[0].shape, types[-1].shape
    ones = b.constant(np.ones((shape[1], 1, o.kernel.rows, o.kernel.columns), np.float32))
    y = b.add("Conv", x[0], ones, group=shape[1], strides=pair(o.stride), pads=pads(o.padding, beyond(o, shape, result)))

    def counted(length, window, stride, before, after, count):
        first, last = (-before, length + after) if o.count_include_pad else (0, length)
        starts = np.arange(count) * stride - before
        return np.minimum(starts + window, last) - np.maximum(starts, first)

    rows = counted(shape[2], o.kernel.rows, o.stride.rows, o.padding.top, o.padding.bottom, result[2])
    columns = counted(shape[3], o.kernel.columns, o.stride.columns, o.padding.left, o.padding.right, result[3])
    return b.add("Div", y, b.constant(np.outer(rows, columns).astype(np.float32)))


def channel_pad(b, o, x, types):
    around = np.zeros(8, np.int64)
    around[1], around[5] = o.before, o.after
    return b.add("Pad", x[0], b.constant(around))


def subsample(b, o, x, types):
    def number(*n):
        return b.constant(np.array(n, np.int64))

    return b.add("Slice", x[0], number(0, 0), number(1 << 62, 1 << 62), number(2, 3), number(*pair(o.stride)))


def gate(b, o, x, types):
    one = b.constant(np.float32(1))  # ONNX Runtime's Sigmoid is a rational approximation that is too far off
    y = b.add("Mul", x[0], b.add("Div", one, b.add("Add", one, b.add("Exp", b.add("Neg", x[1])))))
    if o.add:
        y = b.add("Add", y, x[2])
    return b.add("Relu", y) if o.activation else y


def group_norm(b, o, x, types):
    n, channels, rows, columns = types[0].shape
    if o.groups < 1 or channels % o.groups:
        raise ValueError(f"groups: want a divisor of {channels} channels, got {o.groups}")
    groups = reshape(b, x[0], n, o.groups, channels // o.groups * rows * columns)
    # ONNX Runtime's GroupNormalization subtracts the square of the mean from the mean of the squares, which may leave less than 0.
    one, zero = (b.constant(np.full(o.groups, v, np.float32)) for v in (1, 0))
    y = b.add("InstanceNormalization", groups, one, zero, epsilon=o.epsilon)
    weight, bias = (reshape(b, v, channels, 1, 1) for v in x[1:])
    y = b.add("Add", b.add("Mul", reshape(b, y, n, channels, rows, columns), weight), bias)
    return b.add("Relu", y) if o.activation else y


def split_attention(b, o, x, types):
    n, channels, rows, columns = types[-1].shape
    if o.radix < 1 or o.groups < 1 or channels % o.groups:
        raise ValueError(f"radix, groups: want 1 or more and a divisor of {channels} channels, got {o.radix}, {o.groups}")
    scores = b.add("Transpose", reshape(b, x[1], n, o.groups, o.radix, channels // o.groups), perm=[0, 2, 1, 3])
    shares = reshape(b, b.add("Softmax", scores, axis=1), n, o.radix, channels, 1, 1)
    y = b.add("Mul", reshape(b, x[0], n, o.radix, channels, rows, columns), shares)
    y = b.add("ReduceSum", y, b.constant(np.array([1], np.int64)), keepdims=0)
    if o.add:
        y = b.add("Add", y, x[2])
    return b.add("Relu", y) if o.activation else y


def channel_slice(b, o, x, types):
    if not o.begin < o.end <= types[0].shape[1]:
        raise ValueError(f"begin, end: want channels of {types[0].shape[1]}, got {o.begin}, {o.end}")
    begin, end, axis = (b.constant(np.array([n], np.int64)) for n in (o.begin, o.end, 1))
    return b.add("Slice", x[0], begin, end, axis)


def spatial_pad(b, o, x, types):
    p, (rows, columns) = o.padding, types[0].shape[2:]
    if o.reflect and (max(p.top, p.bottom) >= rows or max(p.left, p.right) >= columns):
        raise ValueError(f"padding: want less than the picture of {rows}x{columns} to reflect it")
    around = np.array([0, 0, p.top, p.left, 0, 0, p.bottom, p.right], np.int64)
    return b.add("Pad", x[0], b.constant(around), mode="reflect" if o.reflect else "constant")


def pictures(b, o, x, types):
    n, *each = types[0].shape
    if math.prod(each) != o.channels * o.rows * o.columns or min(o.channels, o.rows, o.columns) < 1:
        raise ValueError(f"channels, rows, columns: want {math.prod(each)} elements, got {o.channels}x{o.rows}x{o.columns}")
    return reshape(b, x[0], n, o.channels, o.rows, o.columns)


# Each operation: (builder, its message, names of its inputs, types of its inputs and its result) to the result's name.
LOWER = {
    "conv2d": conv2d,
    "linear": lambda b, o, x, types: b.add("Gemm", *x, transB=1),
    "batch_norm": lambda b, o, x, types: b.add("BatchNormalization", *x, epsilon=o.epsilon),
    "relu": lambda b, o, x, types: b.add("Relu", x[0]),
    "add": lambda b, o, x, types: b.add("Add", *x),
    "softmax": lambda b, o, x, types: b.add("Softmax", x[0], axis=-1),
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "global_avg_pool": lambda b, o, x, types: b.add("GlobalAveragePool", x[0]),
    "flatten": lambda b, o, x, types: reshape(b, x[0], *types[-1].shape),
    "channel_pad": channel_pad,
    "subsample": subsample,
    "gate": gate,
    "group_norm": group_norm,
    "split_attention": split_attention,
    "concat": lambda b, o, x, types: b.add("Concat", *x, axis=1),
    "channel_slice": channel_slice,
    "spatial_pad": spatial_pad,
    "reshape": pictures,
}


def values(graph):
    """The types of all values by name. Raises Failure for a graph that does not follow section 4 of the page."""
    known = {}
    for v in [*graph.inputs, *graph.parameters]:
        if v.name in known or not v.name:
            raise invalid(f"graph: want a name of its own for each value, got {v.name!r}")
        size(v.type)
        known[v.name] = v.type
    parameters = {v.name for v in graph.parameters}
    for n in graph.nodes:
        for name in n.inputs:
            if name not in known:
                raise invalid(f"node {n.name!r}: no value {name!r} is made before")
        if n.name in known or not n.name:
            raise invalid(f"graph: want a name of its own for each value, got {n.name!r}")
        refuse(n.name, n.op, [known[name] for name in n.inputs], n.result)
        known[n.name] = n.result
    for name in graph.outputs:
        if name not in known or name in parameters:
            raise invalid(f"graph: output {name!r} is no input and no result")
    if not graph.inputs or not graph.outputs:
        raise invalid("graph: want at least one input and one output")
    return known


def model(graph, known, data):
    """The ONNX model of a checked graph as bytes, with parameters from data by name. Outputs without elements are left out."""
    needed = {name for name in graph.outputs if size(known[name])}
    kept = []
    for n in reversed(graph.nodes):
        if n.name in needed:
            needed.update(n.inputs)
            kept.append(n)
    b, names = Builder(), {v.name: "value:" + v.name for v in [*graph.inputs, *graph.parameters]}
    for n in reversed(kept):
        kind = n.op.WhichOneof("kind")
        types = [*(known[name] for name in n.inputs), n.result]
        try:
            names[n.name] = LOWER[kind](b, getattr(n.op, kind), [names[name] for name in n.inputs], types)
        except (IndexError, ValueError, MemoryError) as err:
            raise invalid(f"node {n.name!r} ({kind}): {err}") from err
    outputs = []
    for i, name in enumerate(graph.outputs):
        if size(known[name]):
            b.nodes.append(helper.make_node("Identity", [names[name]], [f"output:{i}"]))
            outputs.append(helper.make_tensor_value_info(f"output:{i}", TensorProto.FLOAT, known[name].shape))
    for v in graph.parameters:
        if v.name in needed:
            b.constants.append(numpy_helper.from_array(np.frombuffer(data[v.name], np.float32).reshape(v.type.shape), names[v.name]))
    inputs = [helper.make_tensor_value_info(names[v.name], TensorProto.FLOAT, v.type.shape) for v in graph.inputs if v.name in needed]
    made = helper.make_model(helper.make_graph(b.nodes, "graph", inputs, outputs, b.constants), ir_version=IR,
                             opset_imports=[helper.make_opsetid("", OPSET)])
    try:
        if made.ByteSize() < 1 << 30:  # the checker cannot take more than 2 GiB, and copies
            onnx.checker.check_model(made, full_check=True)
    except Exception as err:  # it has several kinds
        raise invalid(f"graph: {err}") from err
    return made.SerializeToString()
